"""All nodes are lost, and etcd is there: enough recovery shares of one node open the fleet."""

import json
import shutil

import pytest

from certs.backup.recoverable import NotRecovered, RecoverySeal
from certs.sealing.errors import KeyAway
from certs.sealing.key_file import create_key, load_key
from proxy.supervisor.membership.admissions import NotAdmitted
from proxy.supervisor.membership.epochs import place_of, recoverable
from proxy.supervisor.membership.places import FOUNDED, MEMBERS, recovery_place
from proxy.supervisor.membership.shared import SharedAway
from proxy.supervisor.membership.values import ValueUnusable
from tests.proxy.supervisor.membership.nodes import Node, Notes, World, joined
from tests.proxy.supervisor.membership.shares import recovered, sealing, with_shares
from tests.waiting import until_seen


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("proxy.supervisor.membership.member.LEASE_SECONDS", 0.01)
    return world


def lose(world: World) -> None:
    """All disks."""
    for path in world.directory.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    world.recovery.clear()


async def test_shares_of_one_node_and_the_store_open_the_fleet_on_another_machine(world: World) -> None:
    shares = with_shares(world, "one")
    notes = [Notes() for _ in range(4)]
    nodes = [world.node(name, kinds=[notes[n]]) for n, name in enumerate(("one", "two", "three"))]
    one = nodes[0]
    async with one.running():
        await one.founds()
        await one.admissions.make_recoverable()
        async with nodes[1].running(), nodes[2].running():
            for node in nodes[1:]:
                await joined(node, one)
            await one.member.write({"notes/a": "of before"})
            assert await one.admissions.expel("three") == 2
            assert recovery_place(2, "one") in world.store.entries, "as one with the epoch"
            await until_seen(lambda: one.member.fault is None and one.tickets.plan and one.tickets.plan.epoch == 2)
            await until_seen(lambda: json.loads(world.store.entries["notes/a"].value)["epoch"] == 2)
            await until_seen(lambda: one.member.revision == world.store.revision)
            assert recoverable(one.member.entries) == ["one"]
            assert recovery_place(1, "one") not in world.store.entries
    plan, key = one.tickets.plan, one.member.key
    assert key.secret.hex().encode() not in b"".join(stored.value for stored in world.store.entries.values())
    lose(world)
    recovered(world, shares[1:], "four")
    four = world.node("four", kinds=[notes[3]])
    async with four.running():
        await until_seen(lambda: four.member.revision)
        assert recoverable(four.member.entries) == ["one"]
        facts = await four.admissions.recover()
        assert (facts.node, facts.by, facts.key) == ("four", "one", four.member.state.private.public.id)
        await until_seen(lambda: four.tickets.plan == plan)
        await until_seen(lambda: notes[3].lines == {"notes/a": "of before"})
        await until_seen(lambda: four.member.is_leading)
        assert four.member.key == key
        assert [(row.node, row.by) for row in four.admissions.members()] == [
            ("one", ""),
            ("two", "one"),
            ("four", "one"),
        ]
        assert four.told[:2] == ["fleet_joined", "fleet_led"]
        with pytest.raises(NotAdmitted, match="four is a member already, in epoch 2"):
            await four.admissions.recover()
        await four.admissions.make_recoverable()
        await until_seen(lambda: recoverable(four.member.entries) == ["one", "four"])
        again = world.node("one")
        async with again.running():
            await joined(again, four)
            await again.serves(four)
    assert four.file.read().key == key, "and is a member after a restart"


async def test_a_node_without_shares_writes_none_and_that_is_said(world: World) -> None:
    create_key(world.directory / "one.key", has_shares=False)
    sealing(world, "one", world.directory / "one.key")
    one, two = world.node("one"), world.node("two")
    async with one.running(), two.running():
        await until_seen(lambda: one.tickets.plan or two.tickets.plan)
        founder, other = (one, two) if one.tickets.plan else (two, one)
        await founder.admissions.make_recoverable()
        assert recoverable(founder.member.entries) == []
        await until_seen(lambda: FOUNDED in other.member.entries)
        with pytest.raises(
            NotAdmitted, match="in epoch 1 no node has recovery shares that open the fleet; allowed: the"
        ):
            await other.admissions.recover()


async def lost(world: World) -> None:
    """A fleet whose only node was lost."""
    one = world.node("one")
    async with one.running():
        await one.founds()
        await one.admissions.make_recoverable()
    shutil.rmtree(one.file.directory)


async def refused(node: Node, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        await node.admissions.recover()
    assert node.member.state.key is None
    assert MEMBERS + node.member.name not in node.member.entries


async def test_what_the_sealing_key_of_the_machine_does_not_open_is_refused(world: World) -> None:
    with_shares(world, "one")
    await lost(world)
    with_shares(world, "two")
    two = world.node("two")
    async with two.running():
        await until_seen(lambda: two.member.revision == world.store.revision)
        theirs, ours = (load_key(world.directory / f"{name}.key").key_id.hex() for name in ("one", "two"))
        text = f"recovery/1/one is sealed with the key {theirs}; the sealing key here is {ours}"
        await refused(two, NotRecovered, text)
        world.store.fail("away")
        await until_seen(lambda: two.member.fault)
        await refused(two, SharedAway, "away")


async def test_the_key_of_another_fleet_or_of_an_epoch_before_opens_nothing(world: World) -> None:
    """As after a store was begun anew below a place that had a fleet, or what an expelled node brings back."""
    with_shares(world, "one")
    await lost(world)
    kept = world.store.entries[recovery_place(1, "one")].value
    sealing(world, "two", world.directory / "one.key")
    shutil.rmtree(world.directory / "one.sealing")
    world.store.write(dict.fromkeys(list(world.store.entries)))
    world.recovery.pop("one")
    one = world.node("one")
    async with one.running():
        await one.founds()
    world.store.write({recovery_place(1, "one"): kept})
    two = world.node("two")
    async with two.running():
        await until_seen(lambda: two.member.revision == world.store.revision)
        await refused(
            two, ValueUnusable, "members/one in the store of the fleet was not sealed by the key of this fleet"
        )
        world.store.write({place_of(2): b"{}", recovery_place(2, "one"): kept})
        await until_seen(lambda: two.member.revision == world.store.revision)
        await refused(two, NotRecovered, "recovery/2/one is not as it was written: its signer has not signed that")


async def test_a_sealing_key_that_is_away_stops_no_expulsion(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with_shares(world, "one")
    one, two = world.node("one"), world.node("two")
    async with one.running(), two.running():
        await until_seen(lambda: one.tickets.plan or two.tickets.plan)
        leads, other = (one, two) if one.tickets.plan else (two, one)
        await joined(other, leads)
        (world.directory / "one.sealing" / "keys.sealed").unlink()

        def away(*_: object) -> bytes:
            raise KeyAway("its token is not there")

        monkeypatch.setattr(RecoverySeal, "renewed", away)
        await until_seen(lambda: len(one.member.members) == 2)
        assert await one.admissions.expel("two") == 2
        await until_seen(lambda: one.member.key.epoch == 2)
        assert recoverable(one.member.entries) == []
