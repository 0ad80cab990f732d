"""Nodes in one store: who founds and leads, what all serve by, and what none of them takes."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.observe.events.secrets import FleetAway
from proxy.supervisor.membership.kinds.keys.ticket_plan import AHEAD_SECONDS
from proxy.supervisor.membership.kinds.keys.tickets import TICKETS
from proxy.supervisor.membership.places import FOUNDED
from proxy.supervisor.membership.shared import LEADER, Conflict, SharedAway, StoreChange, Stored
from proxy.supervisor.membership.shared_kind import NotAMember
from proxy.supervisor.membership.state import FILE_NAME
from proxy.supervisor.membership.values import Schemas
from tests.proxy.supervisor.membership.nodes import NOW, PERIOD, Node, World, joined, pair
from tests.proxy.supervisor.membership.stores import FaultyShared, MemoryShared
from tests.waiting import until_seen


async def test_the_first_node_founds_the_fleet_and_goes_on_with_its_own_secret(world: World) -> None:
    node = world.node("one")
    with pytest.raises(NotAMember):
        _ = node.member.key
    async with node.running():
        await until_seen(lambda: node.served.followed)
        (tickets, since) = node.served.followed[0]
        assert (tickets.current, since) == (b"one".ljust(32, b"s"), NOW - 100)
        assert tickets.previous is None
        assert tickets.following is not None
        await until_seen(lambda: node.member.state.revision)
        assert node.member.is_leading
        assert node.tickets.plan is not None
        assert node.tickets.plan.until > NOW + AHEAD_SECONDS
        assert [(one.node, one.since, one.by) for one in node.admissions.members()] == [("one", NOW, "")]
    assert node.told == ["fleet_led"]
    assert LEADER not in world.store.entries, "given up at the end"
    secret = node.member.key.secret
    stored = b"".join(one.value for one in world.store.entries.values())
    assert secret.hex().encode() not in stored
    assert tickets.current.hex().encode() not in stored


async def test_a_node_that_joined_serves_by_the_same_secrets_and_changes_over_by_its_clock(world: World) -> None:
    async with pair(world) as (one, two):
        assert two.told[0] == "fleet_joined"
        first = one.served.followed[-1][0]
        for node in (one, two):
            assert node.member.state.key == one.member.state.key
        world.now += PERIOD
        for node in (one, two):
            node.tickets.tick()  # as its timer does
        await until_seen(lambda: len(one.served.followed) == len(two.served.followed) == 2)
        second = one.served.followed[-1][0]
        assert (second.previous, second.current) == (first.current, first.following)
        await two.serves(one)


async def test_without_the_store_all_serve_and_change_over_and_a_node_starts(world: World) -> None:
    async with pair(world) as (one, two):
        world.store.fail("etcd is gone")
        await until_seen(lambda: one.member.fault and two.member.fault)
        assert not one.member.is_leading
        world.now += 2 * PERIOD
        again = world.node("two")
        async with again.running():
            await until_seen(lambda: again.served.followed)
            one.tickets.tick()
            await until_seen(lambda: len(one.served.followed) == 2)
            await again.serves(one)
            assert again.member.fault == "etcd is gone"
        world.store.fail(None)
        await until_seen(lambda: "fleet_back" in one.told)
    assert [event.detail for event in one.events if isinstance(event, FleetAway)] == ["etcd is gone"]


async def test_the_next_node_leads_and_goes_on_with_the_plan(world: World) -> None:
    async with pair(world) as (one, two):
        plan = one.tickets.plan
        assert plan is not None
        world.now = plan.until - AHEAD_SECONDS + 1
        one.events.clear()
        world.store.write({LEADER: b"two"})  # as if the lease of the first one was over, and two led
        world.store.token = 0
        await until_seen(lambda: not one.member.is_leading)
        assert world.store.given_up == [], "etcd refuses to end what is over, and its watch would end by that"
        world.store.expire()
        await until_seen(lambda: one.member.is_leading or two.member.is_leading)
        await until_seen(lambda: all(_until(node) > plan.until for node in (one, two)))


async def test_a_node_that_has_not_joined_leads_nothing(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    async with one.running():
        await one.founds()
    async with two.running():
        await until_seen(lambda: two.member.revision)
        before = world.store.asked
        two.member._news.set()
        await until_seen(lambda: world.store.asked > before)
        assert not two.member.is_leading
        assert two.member.state.key is None
        assert two.served.followed == []
        with pytest.raises(NotAMember):
            await two.admissions.invite()


@pytest.mark.parametrize("number", range(5))
async def test_founding_that_is_cut_at_any_request_is_completed(world: World, number: int) -> None:
    node = world.node("one", FaultyShared(world.store, [number]))
    async with node.running():
        await node.founds()
        key = node.member.state.key
    kept = node.file.read()
    assert kept.encode() == node.member.state.encode()
    assert key is not None
    assert [one.node for one in node.admissions.members()] == ["one"]


async def test_of_two_that_found_at_once_one_has_to_join(world: World) -> None:
    """The later one has the lead and a key of its own on its disk when it hears of the other fleet."""
    other = world.node("other")
    async with other.running():
        await other.founds()
    founded = world.store.entries[FOUNDED].value
    world.store.write({FOUNDED: None})

    class Overtaken(MemoryShared):
        async def commit(
            self,
            compares: Mapping[str, int],
            writes: Mapping[str, bytes | None],
            token: int | None = None,
            lasts_seconds: int | None = None,
        ) -> None:
            if FOUNDED not in self.store.entries:
                self.store.write({FOUNDED: founded})
            await super().commit(compares, writes, token, lasts_seconds)

    late = world.node("late", Overtaken(world.store))
    async with late.running():
        await until_seen(lambda: late.told and LEADER not in world.store.entries)
        await until_seen(lambda: late.member.state.key is None)
        assert late.tickets.plan is None
        assert world.store.entries[FOUNDED].value == founded
        assert late.file.read().key is None


@pytest.mark.parametrize(("skew", "text"), [(120, "2 min ahead of"), (-120, "2 min behind")])
async def test_a_node_with_another_time_serves_and_neither_takes_nor_leads(world: World, skew: int, text: str) -> None:
    node, store = world.node("one"), world.store
    store.now = lambda: world.now - skew
    async with node.running():
        await until_seen(lambda: node.member.fault)
        assert node.member.fault == f"the clock of this node is {text} that of the store: check NTP on both"
        assert store.entries == {}
        store.now = lambda: world.now
        await node.founds()
        store.now = lambda: world.now - skew
        world.now = _until(node) - AHEAD_SECONDS + 1
        before = store.entries[TICKETS]
        node.member._news.set()
        await until_seen(lambda: node.member.fault)
        assert store.entries[TICKETS] == before, "nothing is planned"
        assert node.served.followed


async def test_a_clock_that_goes_wrong_while_a_node_is_connected_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.membership.member._LOOK_SECONDS", 0.01)
    async with pair(world) as (one, two):
        await until_seen(lambda: two.member.skew == 0.0)
        wrong = world.now + 61
        world.store.now = lambda: wrong
        await until_seen(lambda: one.member.fault and two.member.fault)
        assert two.member.fault == "the clock of this node is 1 min behind that of the store: check NTP on both"
        assert two.member.skew == -61.0
        assert not one.member.is_leading
        with pytest.raises(SharedAway, match="check NTP on both"):
            await two.member.write({"orders/x": "by its clock"})


class DeafShared(MemoryShared):
    """Its watch tells nothing for a while, as behind a balancer that holds back an answer which does not end."""

    is_deaf = False

    async def watch(self, revision: int) -> AsyncGenerator[Sequence[StoreChange]]:
        async with aclosing(super().watch(revision)) as news:
            async for changes in news:
                if self.is_deaf:
                    await asyncio.get_running_loop().create_future()
                yield changes


async def test_a_watch_that_tells_nothing_is_noticed_and_begun_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.membership.member._LOOK_SECONDS", 0.05)
    monkeypatch.setattr("proxy.supervisor.membership.member._KEEP_SECONDS", 0.001)
    shared = DeafShared(world.store)
    node = world.node("one", shared)
    async with node.running():
        await node.founds()
        before = node.tickets.plan
        shared.is_deaf = True
        world.now += PERIOD
        await until_seen(lambda: "fleet_away" in node.told)
        assert "it answers, but its watch tells nothing" in str(node.events)
        shared.is_deaf = False
        await until_seen(lambda: node.member.fault is None and node.tickets.plan != before)


async def test_a_node_of_another_fleet_at_the_same_place_writes_over_nothing(world: World, tmp_path: Path) -> None:
    """As of a copy of a machine that was to have an etcd of its own."""
    one = world.node("one")
    async with one.running():
        await one.founds()
    others = World(tmp_path / "others")
    async with others.node("two").running() as two:
        await two.founds()
    for number in range(others.store.revision):
        world.store.write({f"x/{number}": b""})
    before = dict(world.store.entries)
    two = others.node("two", MemoryShared(world.store))
    async with two.running():
        await until_seen(lambda: two.member.fault)
        assert two.member.fault == (
            "epochs/1 in the store of the fleet is of another fleet than this node: "
            "give each fleet a fleet.prefix of its own"
        )
        two.member.wake()
        with pytest.raises(SharedAway, match="of another fleet than this node"):
            await two.member.write({"orders/x": "of another fleet"})
    assert world.store.entries == before


async def test_a_store_that_grows_without_end_is_not_taken_into_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.membership.refusals.MOST_BYTES", 50_000)
    async with pair(world) as (_, two):
        world.store.write({"x/1": bytes(30_000)})
        await until_seen(lambda: two.member.revision == world.store.revision)
        assert two.member.fault is None
        world.store.write({"x/2": bytes(30_000)})
        await until_seen(lambda: "fleet_away" in two.told)
    details = [event.detail for event in two.events if isinstance(event, FleetAway)]
    assert details[0] == "the store has more than 0 MB below fleet.prefix"


async def test_a_new_leader_goes_on_with_the_newest_plan_also_if_its_disk_is_slow(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would plan secrets of its own for times for which other nodes have some already."""
    monkeypatch.setattr("proxy.supervisor.membership.member.LEASE_SECONDS", 0.01)
    one, two = world.node("one"), world.node("two")
    async with AsyncExitStack() as stack:
        async with one.running():
            await one.founds()
            await stack.enter_async_context(two.running())
            await joined(two, one)
            two.sealer.gate.clear()
            world.now = _until(one) - AHEAD_SECONDS + 1
            before = one.tickets.plan
            one.member._news.set()
            await until_seen(lambda: one.tickets.plan != before)
            wanted = one.tickets.plan
        await until_seen(lambda: two.member._leadership is not None)
        for _ in range(20):
            await asyncio.sleep(0)
        assert two.tickets.plan == before
        two.sealer.gate.set()
        await until_seen(lambda: two.tickets.plan == wanted)
        assert two.stored_plan(world.store) == wanted
        assert sum(one.name == TICKETS for one in world.store.history) == 2


async def test_nothing_older_or_foreign_is_taken_and_the_leader_mends_it(world: World) -> None:
    async with pair(world) as (one, two):
        old = world.store.entries[TICKETS].value
        plan = one.tickets.plan
        assert plan is not None
        world.now = plan.until - AHEAD_SECONDS + 1
        one.member._news.set()
        two.member._news.set()
        await until_seen(lambda: _until(two) > plan.until)
        wanted = two.tickets.plan
        spoilt = (old, b"{}", b"\xff")
        for value in spoilt:
            world.store.write({TICKETS: value})
            await until_seen(lambda: world.store.entries[TICKETS].value not in spoilt)
            await until_seen(lambda: two.member.fault is None)
            assert one.tickets.plan == two.tickets.plan == wanted
    details = [event.detail for event in two.events if isinstance(event, FleetAway)]
    assert details == [
        "tickets in the store of the fleet is older than what this node has taken before",
        *["tickets in the store of the fleet is no value of a fleet"] * 2,
    ]


async def test_a_store_that_lost_changes_is_used_when_an_operator_says_so(world: World) -> None:
    node = world.node("one")
    async with node.running():
        await node.founds()
    restored = World(world.directory)
    again = restored.node("one")
    async with again.running():
        await until_seen(lambda: again.member.fault)
        assert again.member.fault is not None
        assert "accept-restore" in again.member.fault
        assert restored.store.entries == {}
        await again.member.accept_restore()
        await until_seen(lambda: TICKETS in restored.store.entries)
        await until_seen(lambda: again.member.fault is None)
    assert again.tickets.plan == node.tickets.plan


async def test_what_a_node_knows_after_a_restore_is_written_also_if_others_write_then(world: World) -> None:
    node = world.node("one")
    async with node.running():
        await node.founds()

    class Crowded(MemoryShared):
        crowd = 3

        async def commit(
            self,
            compares: Mapping[str, int],
            writes: Mapping[str, bytes | None],
            token: int | None = None,
            lasts_seconds: int | None = None,
        ) -> None:
            if self.crowd:
                self.crowd -= 1
                raise Conflict
            await super().commit(compares, writes, token, lasts_seconds)

    restored = World(world.directory)
    restored.store.entries[LEADER] = Stored(b"two", 1)  # a node that knows less
    again = restored.node("one", Crowded(restored.store))
    async with again.running():
        await until_seen(lambda: again.member.fault)
        await again.member.accept_restore()
        await until_seen(lambda: TICKETS in restored.store.entries)
        await until_seen(lambda: again.member.fault is None)


async def test_a_disk_that_was_restored_brings_back_nothing(world: World) -> None:
    node = world.node("one")
    path = node.file.directory / FILE_NAME
    async with node.running():
        await node.founds()
        backup, plan = path.read_bytes(), node.tickets.plan
        world.now += 2 * AHEAD_SECONDS
        node.member.wake()
        await until_seen(lambda: node.tickets.plan != plan)
    stored = world.store.entries[TICKETS]
    path.write_bytes(backup)
    again = world.node("one")
    async with again.running():
        await until_seen(lambda: again.tickets.plan == node.tickets.plan)
        await until_seen(lambda: again.member.is_leading)
        again.member.wake()
    assert world.store.entries[TICKETS] == stored


async def test_a_running_node_refuses_a_store_that_lost_changes_of_which_it_only_heard(world: World) -> None:
    async with pair(world) as (one, two):
        snapshot = dict(world.store.entries), world.store.revision
        world.store.write({"invitations/x": b"{}"})
        await until_seen(lambda: all(node.member.revision > snapshot[1] for node in (one, two)))
        world.store.fail("away")
        await until_seen(lambda: all(node.member.fault for node in (one, two)))
        world.store.entries, world.store.revision = snapshot
        world.store.fail(None)
        await until_seen(lambda: all("accept-restore" in (node.member.fault or "") for node in (one, two)))
        for node in (one, two):
            await node.member.accept_restore()
        await until_seen(lambda: not any(node.member.fault for node in (one, two)))


async def test_workers_that_refuse_are_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.supervisor.membership.kinds.keys.tickets._REFUSED_SECONDS", 0.001)
    node = world.node("one")
    node.served.refusals = 2
    async with node.running():
        await until_seen(lambda: node.served.followed)
    assert node.served.refusals == 0


async def test_a_disk_that_takes_nothing_is_tried_again(world: World) -> None:
    node = world.node("one")
    node.file.directory.write_bytes(b"in the way")
    async with node.running():
        await until_seen(lambda: node.member.fault)
        node.file.directory.unlink()
        await node.founds()
        await asyncio.sleep(0)
    assert node.told[0] == "fleet_away"


def _until(node: Node) -> float:
    assert node.tickets.plan is not None
    return node.tickets.plan.until


async def test_a_fleet_writes_in_the_schema_that_all_its_members_read(world: World) -> None:
    async with pair(world) as (one, two):
        asked: list[list[str]] = []

        def lowest(members: Sequence[str]) -> int:
            asked.append(sorted(members))
            return 1

        one.member.values.lowest_schema = lowest
        newer = replace(one.member.key, schemas=Schemas(2, lambda _, content: content, lambda _, content: content))
        one.member._state = replace(one.member.state, key=newer)
        plan = one.tickets.plan
        assert plan is not None
        world.now = plan.until - AHEAD_SECONDS + 1
        one.member.wake()
        await until_seen(lambda: two.tickets.plan != plan)
        assert asked[-1] == ["one", "two"]
        assert json.loads(world.store.entries[TICKETS].value)["schema"] == 1
