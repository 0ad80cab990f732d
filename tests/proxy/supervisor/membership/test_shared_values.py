"""What the member does for every kind: values are taken once, kept, mended and never brought back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.supervisor.membership.member import sealed
from proxy.supervisor.membership.shared import LEADER, Conflict
from proxy.supervisor.membership.shared_kind import NotAMember
from tests.proxy.supervisor.membership.nodes import Node, Notes, World, joined
from tests.waiting import until_seen


class Pair:
    """Two nodes with notes of both sorts; the first one leads."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.kept = [Notes(), Notes()]
        self.passing = [Notes("now/", is_kept=False), Notes("now/", is_kept=False)]
        self.nodes = [
            world.node(name, kinds=[self.kept[index], self.passing[index]]) for index, name in enumerate(("one", "two"))
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Node, Node]]:
        """Both, until the block ends."""
        one, two = self.nodes
        async with one.running():
            await one.founds()
            async with two.running():
                await joined(two, one)
                yield one, two

    async def lead(self, **wanted: str | None) -> None:
        """Let the leader write these notes, and wait until both have them."""
        for notes in self.kept:
            notes.wanted |= {f"notes/{name}": line for name, line in wanted.items()}
        self.nodes[0].member.wake()
        await until_seen(lambda: not any(notes.due(0, 1) for notes in self.kept))


async def test_what_the_leader_writes_is_taken_by_all_and_is_on_their_disks(world: World) -> None:
    pair = Pair(world)
    async with pair.running() as (one, two):
        await pair.lead(a="first", b="b")
        await pair.lead(a="second")
        assert pair.kept[0].lines == pair.kept[1].lines == {"notes/a": "second", "notes/b": "b"}
        await pair.lead(b=None)
        await until_seen(lambda: one.member.state.values == two.member.state.values)
    world.store.fail("gone")
    notes = Notes()
    again = world.node("two", kinds=[notes])
    async with again.running():
        await until_seen(lambda: notes.lines)
        assert notes.lines == {"notes/a": "second"}
    assert b"second" not in b"".join(path.read_bytes() for path in world.directory.rglob("*") if path.is_file())
    assert not [one for one in world.store.history if one.stored and b"second" in one.stored.value]


async def test_no_older_and_no_foreign_value_is_taken_and_the_leader_mends_each(world: World) -> None:
    pair = Pair(world)
    async with pair.running() as (one, two):
        await pair.lead(a="first", b="b")
        older = world.store.entries["notes/a"].value
        await pair.lead(a="second")
        same_serial = sealed(
            one.member, "notes/a", {"serial": one.member.state.values["notes/a"].serial, "content": "third"}
        )
        malformed = sealed(one.member, "notes/a", {"serial": 2**60, "content": "two\nlines"})
        of_another = world.store.entries["notes/b"].value
        for value in (older, same_serial, malformed, of_another, b"", None):
            world.store.write({"notes/a": value})
            await mended(world, one, two)
            assert pair.kept[1].lines == {"notes/a": "second", "notes/b": "b"}
        assert two.told.count("fleet_away") >= 5


async def test_a_value_that_nobody_can_use_is_not_written_over(world: World) -> None:
    pair = Pair(world)
    async with pair.running() as (one, _):
        world.store.write({"notes/a": b"of a version to come"})
        await until_seen(lambda: one.member.fault)
        pair.kept[0].wanted = {"notes/a": "mine"}
        one.member.wake()
        world.store.write({"other": b""})
        await until_seen(lambda: one.member.revision == world.store.revision)
        assert world.store.entries["notes/a"].value == b"of a version to come"


async def test_what_passes_is_on_no_disk_and_goes_with_the_store(world: World) -> None:
    pair = Pair(world)
    async with pair.running() as (one, two):
        await two.member.write({"now/two": "here"}, lasts_seconds=5)
        await until_seen(lambda: pair.passing[0].lines == {"now/two": "here"})
        assert world.store.lasting["now/two"] == 5
        assert "now/two" not in one.member.state.values
        before = world.store.entries["now/two"].value
        await two.member.write({"now/two": "still"})
        await until_seen(lambda: pair.passing[0].lines == pair.passing[1].lines == {"now/two": "still"})
        world.store.write({"now/two": before})
        await until_seen(lambda: one.member.fault and two.member.fault)
        assert pair.passing[0].lines == {"now/two": "still"}
        await two.member.write({"now/two": None})
        await until_seen(lambda: pair.passing[0].lines == pair.passing[1].lines == {})
        assert one.member.fault is None


async def test_writes_of_two_nodes_exclude_each_other_and_only_the_leader_writes_as_one(world: World) -> None:
    pair = Pair(world)
    stranger = world.node("stranger")
    async with pair.running() as (one, two), stranger.running():
        await one.member.write({"notes/a": "of one"})
        with pytest.raises(Conflict):  # it has not heard yet
            await two.member.write({"notes/a": "of two"})
        with pytest.raises(Conflict):
            await two.member.write({"notes/b": "of two"}, as_leader=True)
        await until_seen(lambda: pair.kept[1].lines == {"notes/a": "of one"})
        await one.member.write({"notes/a": "as leader"}, as_leader=True)
        await until_seen(lambda: pair.kept[1].lines == {"notes/a": "as leader"})
        world.store.write({LEADER: b"two"})
        world.store.token = 0
        with pytest.raises(Conflict):
            await one.member.write({"notes/a": "too late"}, as_leader=True)
        await until_seen(lambda: stranger.member.revision)
        with pytest.raises(NotAMember):
            await stranger.member.write({"notes/a": "of a stranger"})
    assert pair.kept[1].lines == {"notes/a": "as leader"}


async def test_changes_that_come_while_the_disk_is_busy_are_written_as_one(world: World) -> None:
    pair = Pair(world)
    async with pair.running() as (one, two):
        two.sealer.gate.clear()
        before = pair.kept[1].takings
        for number in range(20):
            await pair_written(one, pair.kept[0], str(number))
        two.sealer.gate.set()
        await until_seen(lambda: pair.kept[1].lines == {"notes/a": "19"})
        assert pair.kept[1].takings - before <= 3


async def mended(world: World, *nodes: Node) -> None:
    """Wait until something else is in the store, and no node has a fault."""
    spoilt = world.store.revision
    await until_seen(lambda: world.store.revision > spoilt)
    await until_seen(lambda: not any(node.member.fault for node in nodes))


async def pair_written(node: Node, notes: Notes, line: str) -> None:
    """Write a note, and wait until the node itself has heard of it."""
    await node.member.write({"notes/a": line})
    await until_seen(lambda: notes.lines == {"notes/a": line})


async def test_what_goes_while_a_slow_disk_keeps_what_was_heard_before_is_gone(world: World) -> None:
    pair = Pair(world)
    async with pair.running() as (one, two):
        two.sealer.gate.clear()
        await one.member.write({"now/one": "here", "notes/a": "kept"})
        await until_seen(lambda: two.member.revision == world.store.revision and two.member._settling.locked())
        await until_seen(lambda: pair.passing[0].lines == {"now/one": "here"})
        await one.member.write({"now/one": None})
        await until_seen(lambda: two.member.revision == world.store.revision)
        two.sealer.gate.set()
        await until_seen(lambda: pair.kept[1].lines == {"notes/a": "kept"})
        await until_seen(lambda: not two.member._heard.is_set() and not two.member._settling.locked())
        assert pair.passing[1].lines == {}
