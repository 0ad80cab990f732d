"""What every store of a fleet promises: etcd, with and without TLS, and what stands in for it in other tests."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing
from pathlib import Path

import pytest

from proxy.supervisor.membership.etcd import EtcdStore
from proxy.supervisor.membership.shared import LEADER, Conflict, Shared, SharedAway, StoreChange, Stored
from tests.certificates import Authority
from tests.etcd import Etcd
from tests.proxy.supervisor.membership.stores import FaultyShared, MemoryShared, MemoryStore

Open = Callable[[], Shared]
"""Opens the same store for one more node."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    etcd = Etcd(tmp_path_factory.mktemp("plain"))
    with etcd.running():
        yield etcd


@pytest.fixture(params=["memory", "etcd"])
async def node(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """Nodes of one fleet, whose store is empty."""
    if request.param == "memory":
        store = MemoryStore()
        yield lambda: MemoryShared(store)
        return
    etcd: Etcd = request.getfixturevalue("plain")
    async with AsyncExitStack() as stack:

        def opened() -> Shared:
            made = EtcdStore([etcd.url], None, f"/{request.node.name}/")
            stack.push_async_callback(made.close)
            return made

        yield opened


async def test_what_is_written_is_read_and_its_revision_is_compared(node: Open) -> None:
    one, other = node(), node()
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
    await other.commit({"a": seen.revision, "c": 0}, {"a": b"\xff\x00", "b": None})
    assert (await one.read()).entries == {"a": Stored(b"\xff\x00", before + 2)}


async def test_a_watch_tells_each_change_once_from_its_revision_on(node: Open) -> None:
    one, other = node(), node()
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


async def test_one_node_leads_until_it_gives_up(node: Open) -> None:
    one, other = node(), node()
    leading = await one.lead("one")
    assert leading is not None
    assert await leading.keep()
    assert await other.lead("other") is None
    assert (await other.read()).entries[LEADER].value == b"one"
    await leading.give_up()
    assert not await leading.keep()
    assert await other.lead("other") is not None


async def test_a_leader_that_came_too_late_writes_nothing(node: Open) -> None:
    one, other = node(), node()
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


async def test_a_change_whose_answer_is_lost_was_made_or_was_not() -> None:
    store = MemoryStore()
    for number in (0, 1):
        shared = FaultyShared(store, [number])
        for _ in range(number):
            await shared.read()
        with pytest.raises(SharedAway):
            await shared.commit({str(number): 0}, {str(number): b""})
    assert [*store.entries] == ["0"]


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
