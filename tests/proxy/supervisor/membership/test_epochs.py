"""An epoch leaves one node behind, and no other one, whoever was away meanwhile and whoever leads."""

import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from certs.recovery.shares import ShareCollector, SharingScheme, split
from certs.sealing.held_key import HeldKey
from certs.sealing.recipients import PrivateRecipient, PublicRecipient, RecipientKem
from certs.sealing.sealer import AeadSealer
from proxy.supervisor.membership.admissions import NotAdmitted
from proxy.supervisor.membership.epochs import Expelled, begun, followed, place_of
from proxy.supervisor.membership.kinds.keys.tickets import TICKETS
from proxy.supervisor.membership.member import sealed
from proxy.supervisor.membership.places import MEMBERS
from proxy.supervisor.membership.shared import LEADER, Conflict, SharedAway
from proxy.supervisor.membership.state import FILE_NAME, NodeFile
from proxy.supervisor.membership.values import FleetKey, ValueUnusable
from tests.proxy.supervisor.membership.nodes import NOW, Node, Notes, World, joined, pair
from tests.waiting import until_seen

PRIVATE = PrivateRecipient.generate(RecipientKem.MLKEM768_X25519)
OTHER = PrivateRecipient.generate(RecipientKem.MLKEM768_X25519)
KEY = FleetKey.fresh(1)


def recorded(key: FleetKey, stay: Mapping[str, PublicRecipient]) -> tuple[FleetKey, bytes]:
    """The next epoch, without the node three, and its record as the store has it."""
    fresh, row = begun(key, stay, "three", "one", NOW)
    return fresh, key.seal(place_of(fresh.epoch), "one", row, 1)


def test_each_node_that_stays_finds_the_key_and_the_expelled_one_is_told() -> None:
    fresh, record = recorded(KEY, {"one": PRIVATE.public, "two": OTHER.public})
    for node, private in (("one", PRIVATE), ("two", OTHER)):
        key, row = followed(KEY, record, node, private)
        assert (key, row["expelled"], row["by"], row["since"]) == (fresh, "three", "one", NOW)
    assert fresh.epoch == 2
    assert fresh.secret != KEY.secret
    assert fresh.secret.hex().encode() not in record
    with pytest.raises(Expelled, match="this node was expelled from its fleet by one"):
        followed(KEY, record, "three", PRIVATE)


def test_a_record_of_others_or_for_others_is_refused() -> None:
    _, record = recorded(KEY, {"one": PRIVATE.public})
    with pytest.raises(ValueUnusable, match="holds no key that this node can open"):
        followed(KEY, record, "one", OTHER)
    for spoilt in (recorded(FleetKey.fresh(1), {"one": PRIVATE.public})[1], b"{}"):
        with pytest.raises(ValueUnusable):
            followed(KEY, spoilt, "one", PRIVATE)
    for content in (None, {}, {"keys": {"one": "zz"}}, {"keys": {"one": 1}}):
        with pytest.raises(ValueUnusable, match="holds no key"):
            followed(KEY, KEY.seal(place_of(2), "one", content, 1), "one", PRIVATE)


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("proxy.supervisor.membership.member.LEASE_SECONDS", 0.01)
    return world


@pytest.mark.parametrize("first", ["approve", "expel"])
async def test_of_an_approval_and_an_expulsion_at_once_one_is_refused(world: World, first: str) -> None:
    """Else a member could have no key of the epoch, or a node that joins the key of one that is over."""
    gone, new = world.node("three"), world.node("four")
    async with pair(world) as (one, two), gone.running(), new.running():
        await joined(gone, one)
        await until_seen(lambda: new.member.revision)
        await new.admissions.join(await one.admissions.invite())
        await until_seen(lambda: [node.node for node in two.admissions.requests()] == ["four"])
        await until_seen(lambda: one.member.entries == two.member.entries)
        before = two.member.entries
        if first == "approve":
            await one.admissions.approve("four")
        else:
            await one.admissions.expel("three")
        two.member.entries = before  # as if it had not heard yet
        with pytest.raises(Conflict):
            await (two.admissions.expel("three") if first == "approve" else two.admissions.approve("four"))


@asynccontextmanager
async def three(world: World) -> AsyncIterator[list[Node]]:
    """Three running members; the first one leads."""
    nodes = [world.node(name) for name in ("one", "two", "three")]
    async with nodes[0].running():
        await nodes[0].founds()
        async with nodes[1].running(), nodes[2].running():
            for node in nodes[1:]:
                await joined(node, nodes[0])
            yield nodes


def epochs(*nodes: Node) -> list[int]:
    return [node.member.key.epoch for node in nodes]


async def renewed(world: World, *nodes: Node) -> None:
    """Wait until they serve by tickets that were made in epoch 2, and have no fault."""
    await until_seen(lambda: all(node.tickets.plan and node.tickets.plan.epoch == 2 for node in nodes))
    await until_seen(lambda: all(node.served.followed[-1] == node.tickets.plan.at(world.now) for node in nodes))  # type: ignore[union-attr]
    await until_seen(lambda: not any(node.member.fault for node in nodes))


@pytest.mark.parametrize("by", [0, 1])
async def test_all_others_go_on_and_nothing_new_is_for_the_expelled_one(world: World, by: int) -> None:
    async with three(world) as nodes:
        gone = nodes[2]
        known = gone.member.key
        old = gone.tickets.plan
        assert old is not None
        assert await nodes[by].admissions.expel("three") == 2
        await renewed(world, *nodes[:2])
        assert epochs(*nodes) == [2, 2, 1]
        assert nodes[0].member.key == nodes[1].member.key
        assert [one.node for one in nodes[1].admissions.members()] == ["one", "two"]
        assert all(one.key for one in nodes[1].admissions.members())
        new = nodes[0].tickets.plan
        assert new is not None
        assert not {key.secret for key in old.keys} & {key.secret for key in new.keys}
        served = nodes[1].served.followed[-1][0]
        assert not {key.secret for key in old.keys} & {served.current, served.previous, served.following}
        await until_seen(lambda: gone.member.fault)
        assert "was expelled from its fleet by" in str(gone.member.fault)
        assert gone.tickets.plan == old, "it serves by what it had"
        for name, stored in world.store.entries.items():
            if name.startswith((TICKETS, MEMBERS)):
                with pytest.raises(ValueUnusable, match="by the key of epoch 2"):
                    known.open(name, stored.value)
        with pytest.raises(SharedAway, match="expelled"):
            await gone.member.write({TICKETS: None})
    assert "fleet_rekeyed" in nodes[0].told
    assert "fleet_rekeyed" not in gone.told


async def test_a_leader_that_is_expelled_leads_no_more_and_what_it_writes_is_refused(world: World) -> None:
    async with three(world) as nodes:
        leadership = nodes[0].member._leadership
        assert leadership is not None
        await nodes[1].admissions.expel("one")
        with pytest.raises(Conflict):
            await nodes[0].member.shared.commit({}, {TICKETS: b""}, leadership.token)
        await renewed(world, nodes[1], nodes[2])
        await until_seen(lambda: nodes[0].member._leadership is None)
        before = world.store.entries[TICKETS].value
        # what it can still do with its key and etcd's certificate
        forged = sealed(nodes[0].member, TICKETS, {"serial": 2**60, "content": nodes[0].tickets.plan.as_json()})  # type: ignore[union-attr]
        world.store.write({TICKETS: forged})
        await until_seen(lambda: world.store.entries[TICKETS].value not in (forged, before))
        await renewed(world, nodes[1], nodes[2])


async def test_a_node_that_was_away_takes_every_epoch_that_it_missed(world: World) -> None:
    async with three(world) as nodes:
        four = world.node("four")
        async with four.running():
            await joined(four, nodes[0])
        await nodes[0].admissions.expel("two")
        await until_seen(lambda: epochs(nodes[0], nodes[2]) == [2, 2])
        await nodes[0].admissions.expel("three")
        await until_seen(lambda: epochs(nodes[0]) == [3])
        await until_seen(lambda: nodes[0].tickets.plan and nodes[0].tickets.plan.epoch == 3)
        again = world.node("four")
        async with again.running():
            await again.serves(nodes[0])
            assert again.member.key == nodes[0].member.key
        assert again.told.count("fleet_rekeyed") == 2
        five = world.node("five")
        async with five.running():
            await joined(five, nodes[0])
            await five.serves(nodes[0])


async def test_what_the_store_had_before_an_epoch_still_counts_and_what_the_old_key_seals_later_does_not(
    world: World,
) -> None:
    """The node that expels ends before anything is sealed anew, and the next leader was away."""
    notes = [Notes(), Notes(), Notes()]
    one, two, gone = (world.node(name, kinds=[notes[n]]) for n, name in enumerate(("one", "two", "three")))
    async with one.running():
        await one.founds()
        async with two.running(), gone.running():
            for node in (two, gone):
                await joined(node, one)
        await one.member.write({"notes/a": "while two was away"})
        await until_seen(lambda: notes[0].lines)
    # the expelled node writes on, by a clock that is ahead, and before and behind the record of the epoch
    key = one.member.key
    fresh, record = recorded(key, {"two": two.member.state.private.public})
    world.store.write({place_of(2): record, MEMBERS + "three": None})
    world.store.write({"notes/b": key.seal("notes/b", "three", {"serial": 1, "content": "of the expelled"}, 1)})
    notes[1].lines.clear()
    again = world.node("two", kinds=[notes[1]])
    async with again.running():
        await until_seen(lambda: "notes/a" in notes[1].lines)
        await until_seen(lambda: again.member.key == fresh)
        await until_seen(lambda: json.loads(world.store.entries["notes/a"].value)["epoch"] == 2)
        assert notes[1].lines == {"notes/a": "while two was away"}
        assert again.member.fault is not None
        assert "notes/b in the store of the fleet is sealed by the key of epoch 1" in again.member.fault


async def test_an_older_epoch_is_refused_until_an_operator_says_so(world: World) -> None:
    """etcd is restored from a day before; a node that was away since then leads it."""
    async with three(world) as nodes:
        world.store.fail("down for a snapshot")
        await until_seen(lambda: all(node.member.fault for node in nodes))
        snapshot = dict(world.store.entries)
        revision = world.store.revision
        world.store.fail(None)
        await until_seen(lambda: not any(node.member.fault for node in nodes))
        await until_seen(lambda: LEADER in world.store.entries)
        away = world.node("one")
    one, two = (world.node(name) for name in ("one", "two"))
    async with one.running(), two.running():
        await until_seen(lambda: one.member.revision and two.member.revision)
        await two.admissions.expel("three")
        await renewed(world, one, two)
    wanted = two.tickets.plan
    restored = World(world.directory)
    lacking = {LEADER, "members/one"}
    restored.store.entries = {name: stored for name, stored in snapshot.items() if name not in lacking}
    restored.store.revision = revision
    restored.store.token = 0
    assert away.member is not one.member
    two = restored.node("two")
    async with two.running():
        await until_seen(lambda: two.member.fault)
        assert "accept-restore" in str(two.member.fault)
        assert place_of(2) not in restored.store.entries
        three_again = restored.node("three")
        async with three_again.running():
            await until_seen(lambda: three_again.member.is_leading)
            await two.member.accept_restore()
            await until_seen(lambda: place_of(2) in restored.store.entries)
            await until_seen(lambda: three_again.member.fault)
            await until_seen(lambda: two.member.is_leading)
            await until_seen(lambda: json.loads(restored.store.entries[TICKETS].value)["epoch"] == 2)
            await until_seen(lambda: two.member.revision == restored.store.revision)
            assert [row.since for row in two.admissions.members()] == [None, None], "by the key of epoch 1"
            one = restored.node("one")
            async with one.running():
                await until_seen(lambda: one.member.fault)
                await one.member.accept_restore()
                await until_seen(lambda: one.member.fault is None)
                for node in (one, two):
                    await node.admissions.stay_member()
                    await until_seen(lambda: one.member.revision == two.member.revision == restored.store.revision)
                assert {row.node for row in two.admissions.members() if row.since} == {"one", "two"}
                written = restored.store.entries["members/two"]
                await two.admissions.stay_member()
                assert restored.store.entries["members/two"] == written
                assert two.tickets.plan == wanted
                assert two.member.fault is None
                assert await two.admissions.expel("three") == 3


@pytest.mark.parametrize("value", [b"{}", b"\xff", None])
async def test_a_record_that_others_spoil_is_written_again_for_a_node_that_was_away(
    world: World, value: bytes | None
) -> None:
    async with three(world) as nodes:
        four = world.node("four")
        async with four.running():
            await joined(four, nodes[0])
        await nodes[0].admissions.expel("three")
        await renewed(world, *nodes[:2])
        record = world.store.entries[place_of(2)].value
        world.store.write({place_of(2): value})
        await until_seen(
            lambda: place_of(2) in world.store.entries and world.store.entries[place_of(2)].value == record
        )
        again = world.node("four")
        async with again.running():
            await until_seen(lambda: again.member.revision == world.store.revision)
            await again.serves(nodes[0])
            assert epochs(*nodes[:2], again) == [2, 2, 2]


async def test_an_expelled_node_that_accepts_a_restore_writes_nothing(world: World) -> None:
    async with three(world) as nodes:
        await nodes[0].admissions.expel("three")
        await renewed(world, *nodes[:2])
    before = {name: one for name, one in world.store.entries.items() if name != LEADER}
    gone = world.node("three")
    async with gone.running():
        await until_seen(lambda: gone.member.fault)
        await gone.member.accept_restore()
        world.store.fail("away")
        await until_seen(lambda: gone.member.fault == "away")
        world.store.fail(None)
        await until_seen(lambda: isinstance(gone.member.trouble, Expelled))
        gone.member.wake()
    assert {name: one for name, one in world.store.entries.items() if name != LEADER} == before


async def test_who_has_not_heard_of_an_epoch_writes_nothing_by_the_key_before(world: World) -> None:
    async with three(world) as nodes:
        await nodes[0].admissions.expel("three")
        with pytest.raises(Conflict):  # else it was written, and all others refused it
            await nodes[1].member.write({"notes/a": "of epoch 1"})
        await renewed(world, *nodes[:2])
        await nodes[1].member.write({"notes/a": "of epoch 2"})


async def test_without_the_store_nobody_is_called_a_stranger(world: World) -> None:
    async with three(world):
        pass
    world.store.fail("away")
    one = world.node("one")
    async with one.running():
        await until_seen(lambda: one.member.fault)
        for work in (one.admissions.expel("two"), one.admissions.approve("four"), one.admissions.invite()):
            with pytest.raises(SharedAway, match="away"):
                await work


async def test_who_cannot_be_expelled(world: World) -> None:
    async with three(world) as nodes:
        with pytest.raises(NotAdmitted, match="cannot expel itself"):
            await nodes[0].admissions.expel("one")
        with pytest.raises(NotAdmitted, match="four is no member; the members: one, two, three"):
            await nodes[0].admissions.expel("four")
        await nodes[0].admissions.expel("two")
        with pytest.raises(Conflict):  # it has not heard yet
            await nodes[2].admissions.expel("two")
        token = await nodes[0].admissions.invite()
        assert token


async def test_a_spoilt_record_stops_nothing_else(world: World) -> None:
    async with three(world) as nodes:
        world.store.write({place_of(2): b"{}"})
        plan = nodes[0].tickets.plan
        assert plan is not None
        world.now = plan.until - 80_000
        nodes[0].member.wake()
        await until_seen(lambda: nodes[1].tickets.plan not in (plan, None))
        assert nodes[1].member.fault == "epochs/2 in the store of the fleet is no value of a fleet"
        with pytest.raises(
            NotAdmitted, match=r"^a record of epoch 2 is there that .* cannot follow: epochs/2 in the store"
        ):
            await nodes[1].admissions.expel("three")


async def test_what_passes_counts_no_more_in_the_next_epoch_until_it_is_written_again(world: World) -> None:
    async with three(world) as nodes:
        await nodes[2].member.write({"now/three": "x"})
        await nodes[1].member.write({"now/two": "y"})
        await nodes[0].admissions.expel("three")
        await renewed(world, *nodes[:2])
    notes = Notes("now/", is_kept=False)
    again = world.node("two", kinds=[notes])
    async with again.running():
        await until_seen(lambda: again.member.revision == world.store.revision)
        await again.member.write({"now/two": "z"})
        await until_seen(lambda: notes.lines == {"now/two": "z"})
        assert again.member.fault is None


async def test_recovery_shares_and_an_old_backup_of_one_node_open_the_fleet(world: World) -> None:
    """All machines are lost, but for etcd: a backup has `fleet.sealed`, and the shares bring its sealing key back."""
    key = bytearray(b"two".ljust(32))
    shares = split(key, SharingScheme(2, 3))
    async with three(world) as nodes:
        backup = (nodes[1].file.directory / FILE_NAME).read_bytes()
        await nodes[0].admissions.expel("three")
        await renewed(world, *nodes[:2])
        wanted = nodes[0].tickets.plan
    for node in nodes:
        shutil.rmtree(node.file.directory)
    collector = ShareCollector()
    for share in (shares[2], shares[0]):
        collector.add(" ".join(share.words))
    rebuilt = AeadSealer(HeldKey(bytes(collector.rebuild())))
    restored = world.node("two")
    restored.file.directory.mkdir()
    (restored.file.directory / FILE_NAME).write_bytes(backup)
    file = NodeFile(restored.file.directory, lambda: rebuilt, RecipientKem.MLKEM768_X25519)
    assert file.read().key is not None
    async with restored.running():
        await until_seen(lambda: restored.tickets.plan == wanted)
        assert restored.member.key.epoch == 2
        await until_seen(lambda: restored.member.is_leading)
        one = world.node("one")
        async with one.running():
            await joined(one, restored)
            await one.serves(restored)
