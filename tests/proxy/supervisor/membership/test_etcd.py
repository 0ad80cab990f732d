"""What etcd's gateway says when it cannot do something, and where is asked next."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from proxy.supervisor.membership.etcd import EtcdStore
from proxy.supervisor.membership.shared import SharedAway
from tests.etcd import Etcd
from tests.ports import lasting_port
from tests.waiting import until_seen

HEADER = '"header":{"revision":"7"}'
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def gateway(answer: Answer) -> AsyncIterator[str]:
    """A member of a cluster that answers as it is told."""
    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def store_of(*endpoints: str) -> AsyncIterator[EtcdStore]:
    store = EtcdStore(endpoints, None, "/fleet")
    try:
        yield store
    finally:
        await store.close()


def saying(text: str, status: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status)

    return answer


async def silence(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (saying('{"error":"x","code":14,"message":"etcdserver: no leader"}', 503), "etcdserver: no leader"),
        (saying('{"error":{"message":"etcdserver: permission denied"}}', 403), "etcdserver: permission denied"),
        (saying("{}", 500), "an answer without a reason"),
        (saying('{"message":"\\u001b[2J gone"}', 503), "\\x1b[2J gone"),
        (saying("[]"), "an answer that is no object"),
        (saying("CommonName will be ignored\n", 401), "'CommonName will be ignored\\n'"),
        (saying("<html>", 200), "Expecting value: line 1 column 1 (char 0)"),
        (silence, "no answer within 0.2 s"),
    ],
)
async def test_a_failure_is_told_with_its_member(answer: Answer, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.supervisor.membership.etcd._ANSWER_SECONDS", 0.2)
    async with gateway(answer) as url, store_of(url) as store:
        with pytest.raises(SharedAway) as away:
            await store.read()
    assert str(away.value) == f"{url}: {reason}"


async def test_an_answer_without_end_is_not_taken_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.supervisor.membership.etcd.MOST_BYTES", 1_048_576)
    async with gateway(saying(f'{{{HEADER},"x":"{"a" * 1_048_576}"}}')) as url, store_of(url) as store:
        with pytest.raises(SharedAway, match="an answer of more than 1 MB"):
            await store.read()


async def test_the_next_member_is_asked_and_then_kept() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(text=f"{{{HEADER}}}")

    dead = f"http://127.0.0.1:{lasting_port()}"
    async with gateway(saying("{}", 503)) as sick, gateway(answer) as well, store_of(dead, sick, well) as store:
        for _ in range(2):
            assert (await store.read()).revision == 7
        assert asked == ["/v3/kv/range"] * 2
        assert store._endpoints[store._asked] == well


async def test_a_watch_ends_when_requests_go_elsewhere() -> None:
    """The member behind it may be gone without a word: its connection would stay open for minutes."""
    watching = asyncio.Event()

    async def half(request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("watch"):
            return web.Response(status=503, text='{"error":"it is ill"}')
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"result":{"created":true}}\n')
        watching.set()
        return await silence(request)

    async with gateway(half) as gone, gateway(saying(f"{{{HEADER}}}")) as well, store_of(gone, well) as store:

        async def watch() -> None:
            async with aclosing(store.watch(1)) as news:
                async for _ in news:
                    raise AssertionError

        task = asyncio.get_running_loop().create_task(watch())
        await watching.wait()
        await until_seen(lambda: store._watched is not None)
        connection = None if store._watched is None else store._watched.connection
        assert connection is not None
        assert connection.transport is not None
        has_probes = connection.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert has_probes, "else a watch whose member is gone behind a balancer is silent for ever"
        assert (await store.read()).revision == 7
        with pytest.raises(SharedAway, match=f"^{gone}: it is ill$"):
            await task


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"result":{"canceled":true,"compact_revision":"9","cancel_reason":"mvcc: compacted"}}', "mvcc: compacted"),
        ('{"error":{"message":"etcdserver: no leader"}}', "etcdserver: no leader"),
        ("[]", "an answer that is no object"),
    ],
)
async def test_a_watch_that_etcd_ends_is_told(line: str, reason: str) -> None:
    async with gateway(saying(line + "\n")) as url, store_of(url) as store:
        with pytest.raises(SharedAway, match=reason):
            await anext(store.watch(1))


@pytest.mark.parametrize("text", ["", "no JSON\n", '{"result":{"events":[{}]}}\n'])
async def test_a_watch_that_is_cut_or_malformed_is_told(text: str) -> None:
    async with gateway(saying(text)) as url, store_of(url) as store:
        with pytest.raises(SharedAway):
            await anext(store.watch(1))


async def test_a_change_without_end_is_not_taken_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.supervisor.membership.etcd._LONGEST_LINE", 65_536)
    line = f'{{"result":{{"events":[],"x":"{"a" * 1_048_576}"}}}}\n'
    async with gateway(saying(line)) as url, store_of(url) as store:
        with pytest.raises(SharedAway, match="a change of more than 128 KB"):
            await anext(store.watch(1))


async def test_an_etcd_that_sleeps_or_dies_is_away_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etcd = Etcd(tmp_path)
    with etcd.running():
        async with store_of(etcd.url) as store:
            await store.commit({}, {"a": b"1"})
            etcd.sleep()
            monkeypatch.setattr("proxy.supervisor.membership.etcd._ANSWER_SECONDS", 0.2)
            with pytest.raises(SharedAway, match="no answer"):
                await store.read()
            etcd.wake()
            monkeypatch.setattr("proxy.supervisor.membership.etcd._ANSWER_SECONDS", 8.0)
            seen = await store.read()
            news = store.watch(seen.revision)
            assert [one.name for one in await anext(news)] == ["a"]
            etcd.kill()
            with pytest.raises(SharedAway):
                await anext(news)
            with pytest.raises(SharedAway):
                await store.commit({}, {"a": b"2"})
            await asyncio.to_thread(etcd.start)
            assert (await store.read()).entries == seen.entries
