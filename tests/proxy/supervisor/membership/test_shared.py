"""What every store of a fleet promises: etcd, with and without TLS, and what stands in for it in other tests."""

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from proxy.supervisor.membership.etcd import EtcdStore
from proxy.supervisor.membership.shared import LEADER, Conflict, Shared, SharedAway, StoreChange, Stored
from tests.certificates import Authority
from tests.etcd import Etcd
from tests.proxy.supervisor.membership.stores import FaultyShared, Insisting, MemoryStore
from tests.proxy.supervisor.membership.test_etcd import gateway


@dataclass
class Nodes:
    """Nodes of one fleet, whose store is empty at first."""

    opened: Callable[[], Shared]
    """Opens the store for one more node."""
    compact: Callable[[int], Awaitable[None]]
    """Lets the store forget all changes up to a revision, the newest one."""
    lapse: Callable[[], None] = lambda: None
    """Lets time pass, where the store has none of its own."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    etcd = Etcd(tmp_path_factory.mktemp("plain"))
    with etcd.running():
        yield etcd


@pytest.fixture(params=["memory", "faulty memory", "etcd", "faulty etcd"])
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[Nodes]:
    """A faulty one loses requests before and after it has done what was asked, and cuts its watches. Who asks again (`Insisting`)
    has what the others promise.
    """
    is_faulty = request.param.startswith("faulty")
    async with AsyncExitStack() as stack:
        made = (
            _of_memory(is_faulty=is_faulty)
            if request.param.endswith("memory")
            else await _of_etcd(request, stack, is_faulty=is_faulty)
        )
        insisting: list[Insisting] = []

        def opened() -> Shared:
            insisting.append(Insisting(made.opened()))
            return insisting[-1]

        yield replace(made, opened=opened) if is_faulty else made
        assert bool(sum(one.faults for one in insisting)) is is_faulty


def _of_memory(*, is_faulty: bool) -> Nodes:
    store = MemoryStore()

    async def compact(_: int) -> None:
        store.compact()

    return Nodes(
        lambda: FaultyShared(store, [number for number in range(100) if number % 3 and is_faulty]), compact, store.lapse
    )


async def _of_etcd(request: pytest.FixtureRequest, stack: AsyncExitStack, *, is_faulty: bool) -> Nodes:
    etcd: Etcd = request.getfixturevalue("plain")
    endpoints = [etcd.url]
    if is_faulty:
        endpoints = [await stack.enter_async_context(losing(etcd.url)) for _ in range(2)]

    def opened(endpoints: Sequence[str] = endpoints) -> EtcdStore:
        made = EtcdStore(endpoints, None, f"/{request.node.name}/")
        stack.push_async_callback(made.close)
        return made

    async def compact(revision: int) -> None:
        await opened([etcd.url])._ask("kv/compaction", {"revision": str(revision)})

    return Nodes(opened, compact)


@asynccontextmanager
async def losing(url: str) -> AsyncIterator[str]:
    """A gateway of etcd that loses every other request: before etcd has it, or its answer."""
    chances = random.Random(1)  # noqa: S311 - the same each time

    async def passed(request: web.Request) -> web.StreamResponse:
        fate = chances.randrange(4)
        assert request.transport is not None
        if fate == 1:
            request.transport.abort()
        async with session.post(url + request.path, data=await request.read()) as answer:
            if request.path.endswith("/watch"):
                response = web.StreamResponse()
                await response.prepare(request)
                async for line in answer.content:
                    await response.write(line)
                    if b'"events"' in line:
                        break
                return response
            content = await answer.read()
            if fate == 2:
                request.transport.abort()
            return web.Response(body=content, status=answer.status)

    async with aiohttp.ClientSession() as session, gateway(passed) as made:
        yield made


async def test_what_is_written_is_read_and_its_revision_is_compared(nodes: Nodes) -> None:
    one, other = nodes.opened(), nodes.opened()
    before = (await one.read()).revision
    await one.commit({"a": 0}, {"a": b"1", "b": b""})
    seen = await other.read()
    assert {name: stored.value for name, stored in seen.entries.items()} == {"a": b"1", "b": b""}
    assert seen.entries["a"].revision == seen.entries["b"].revision == seen.revision == before + 1
    with pytest.raises(Conflict):
        await other.commit({"a": 0}, {"a": b"2", "c": b"3"})
    again = await one.read()
    assert (again.entries, again.revision) == (seen.entries, seen.revision)
    assert abs(again.now - time.time()) < 10  # noqa: TID251 - the store has a clock of its own
    assert abs(await one.time() - again.now) < 10
    await other.commit({"a": seen.revision, "c": 0}, {"a": b"\xff\x00", "b": None})
    assert (await one.read()).entries == {"a": Stored(b"\xff\x00", before + 2)}


async def test_a_watch_tells_each_change_once_from_its_revision_on(nodes: Nodes) -> None:
    one, other = nodes.opened(), nodes.opened()
    first = (await one.read()).revision + 1
    await one.commit({}, {"a": b"1"})
    await one.commit({}, {"a": b"2", "b": b"3"})
    seen: list[StoreChange] = []
    async with aclosing(other.watch(first + 1)) as news:
        seen += await anext(news)
        await one.commit({}, {"a": None})
        seen += await anext(news)
    assert seen == [
        StoreChange("a", Stored(b"2", first + 1), first + 1),
        StoreChange("b", Stored(b"3", first + 1), first + 1),
        StoreChange("a", None, first + 2),
    ]


async def test_one_node_leads_until_it_gives_up(nodes: Nodes) -> None:
    one, other = nodes.opened(), nodes.opened()
    leading = await one.lead("one")
    assert leading is not None
    assert await leading.keep()
    assert await other.lead("other") is None
    assert (await other.read()).entries[LEADER].value == b"one"
    await leading.give_up()
    assert not await leading.keep()
    assert await other.lead("other") is not None


async def test_a_leader_that_came_too_late_writes_nothing(nodes: Nodes) -> None:
    one, other = nodes.opened(), nodes.opened()
    late = await one.lead("one")
    assert late is not None
    await one.commit({}, {"a": b"1"}, late.token)
    await late.give_up()
    with pytest.raises(Conflict):
        await one.commit({}, {"a": b"late"}, late.token)
    leading = await other.lead("other")
    assert leading is not None
    with pytest.raises(Conflict):
        await one.commit({}, {"a": b"late"}, late.token)
    await other.commit({}, {"a": b"2"}, leading.token)
    assert (await one.read()).entries["a"].value == b"2"


async def test_changes_that_are_forgotten_are_not_told_and_the_content_is_read_instead(nodes: Nodes) -> None:
    one, other = nodes.opened(), nodes.opened()
    first = (await one.read()).revision + 1
    await one.commit({}, {"a": b"1"})
    await one.commit({}, {"a": b"2"})
    seen = await other.read()
    await nodes.compact(seen.revision)
    with pytest.raises(SharedAway):
        await anext(other.watch(first))
    again = await other.read()
    assert again.entries == seen.entries == {"a": Stored(b"2", seen.revision)}  # who asks again may have written twice
    async with aclosing(other.watch(again.revision + 1)) as news:
        await one.commit({}, {"a": b"3"})
        (change,) = await anext(news)
        assert change.stored is not None
        assert change.stored.value == b"3"
        assert change.stored.revision > again.revision


async def test_what_is_not_to_last_is_removed_and_that_is_told(nodes: Nodes) -> None:
    one, other = nodes.opened(), nodes.opened()
    await one.commit({}, {"a": b"1"}, lasts_seconds=1)
    await one.commit({}, {"b": b"2"})
    seen = await other.read()
    assert set(seen.entries) == {"a", "b"}
    nodes.lapse()
    async with aclosing(other.watch(seen.revision + 1)) as news:
        assert [(change.name, change.stored) for change in await anext(news)] == [("a", None)]
    assert set((await other.read()).entries) == {"b"}


async def test_a_store_with_many_names_is_read_in_pages_of_one_revision(nodes: Nodes) -> None:
    shared = nodes.opened()
    names = {f"{number:04}": b"%d" % number for number in range(2_100)}
    for start in range(0, len(names), 100):
        await shared.commit({}, dict([*names.items()][start : start + 100]))
    seen = await shared.read()
    assert {name: one.value for name, one in seen.entries.items()} == names
    assert seen.revision == max(one.revision for one in seen.entries.values())


async def test_etcd_takes_nodes_by_their_certificates_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, client = authority.issue("127.0.0.1"), authority.issue("edge-1")
    etcd = Etcd(tmp_path, server, authority.path)
    with ExitStack() as stack:
        stack.enter_context(etcd.running())
        known = authority.client_context()
        known.load_cert_chain(client.certificate, client.key)
        store, stranger = (EtcdStore([etcd.url], tls, "/fleet") for tls in (known, authority.client_context()))
        await store.commit({}, {"a": b"1"})
        with pytest.raises(SharedAway):
            await stranger.read()
        assert (await store.read()).entries["a"].value == b"1"
        await store.close()
        await stranger.close()
