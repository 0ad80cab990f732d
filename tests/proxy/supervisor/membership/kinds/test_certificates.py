"""Certificates in a fleet: one node issues, all serve by it, and what the last leader had begun the next one ends."""

import asyncio
import threading
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509

from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.issuer import FailureKind, IssueFailed, OrderMemory
from certs.rotation.due import RenewalReason
from certs.rotation.facts import leaf_of
from proxy.supervisor.membership.epochs import place_of
from tests.certs.fake_token import FakeToken
from tests.proxy.supervisor.membership.kinds.certified import CHAT, Certified, both
from tests.proxy.supervisor.membership.nodes import World, joined
from tests.rotations import Moody, Rotations, configuration
from tests.waiting import until_seen


@pytest.fixture
def of_ca(tmp_path: Path) -> Rotations:
    return Rotations(tmp_path / "ca")


@pytest.fixture
def ca(of_ca: Rotations) -> Moody:
    """A CA that all nodes ask."""
    return of_ca.moody


async def test_the_leader_issues_once_and_the_others_serve_by_the_same_key(
    world: World, ca: Moody, of_ca: Rotations
) -> None:
    one, two = Certified(world, "one", ca), Certified(world, "two", ca, configuration("ec-p256@sealed"))
    async with both(one, two):
        key, chain = await one.serves()
        await two.agrees(one)
        assert len(ca.asked) == 1
        assert two.current is not None
        assert two.current.intent.edition == 1
        stored = b"".join(stored.value for stored in world.store.entries.values())
        assert key not in stored
        assert chain not in stored
        await until_seen(lambda: two.scene.owner.told("rotated"))
        # the others only take
        await until_seen(lambda: two.rotating.listing()[0]["serial"])
        await two.rotating.turn()
        two.scene.time.passes(timedelta(days=6))
        await two.rotating.turn()
        assert two.rotating.facts()[0].error is None, "the leader has a moment"
        two.scene.time.passes(timedelta(minutes=1))
        await two.rotating.turn()
        assert two.rotating.facts()[0].error == "only the node that leads the fleet does this: one"
        assert len(ca.asked) == 1
        for time in (one.scene.time, of_ca.time):
            time.passes(timedelta(days=6))
        one.rotating.fleet.heard()
        await until_seen(lambda: one.served[1] != chain)
        await two.agrees(one)
        assert len(ca.asked) == 2


async def test_a_node_that_joins_serves_by_what_the_fleet_has_and_keeps_its_own(world: World, ca: Moody) -> None:
    one, two = Certified(world, "one", ca), Certified(world, "two", ca)
    for scene in (one.scene, two.scene):
        scene.moody = ca
        scene.serve()
    async with both(one, two):
        await two.agrees(one)
        assert len(ca.asked) == 2, "none of them was asked again"
        assert [version.number for version in two.scene.shelf().versions()] == [2, 1]
        assert one.current is not None
        assert (one.current.number, one.current.intent.edition) == (1, 1), "the founder offers what it has"


async def test_a_node_that_has_not_joined_serves_and_issues_nothing(world: World, ca: Moody) -> None:
    one, two = Certified(world, "one", ca), Certified(world, "two", ca)
    async with one.running():
        await one.serves()
        async with two.running():
            await until_seen(lambda: two.node.member.revision)
            await two.rotating.turn()
            two.scene.time.passes(timedelta(minutes=1))
            assert await two.rotating.turn() == 5
            assert two.current is None
            assert [row["last_error"] for row in two.rotating.listing()] == [None]
            assert two.rotating.facts()[0].error == "this node has not joined its fleet, and only members of it issue"
            (last,) = await two.rotate()
            assert last["ok"] is False
            assert "has not joined its fleet" in last["detail"]
    assert len(ca.asked) == 1


async def test_a_start_waits_for_no_certificate_that_its_fleet_will_not_issue(world: World, ca: Moody) -> None:
    one, two = Certified(world, "one", ca), Certified(world, "two", ca)
    async with one.running():
        await one.node.founds()
        await one.rotating.first_round(1_000)
        assert one.current is not None
        async with two.running():
            await two.rotating.first_round(1_000)
            assert two.current is None


async def test_who_asks_hears_at_once_that_no_node_can_issue(world: World, ca: Moody) -> None:
    one, two = Certified(world, "one", ca), Certified(world, "two", ca)
    async with both(one, two):
        await one.serves()
        await two.agrees(one)
        world.store.write({place_of(2): b"{}"})
        for node in (one, two):
            await until_seen(lambda node=node: node.node.member.fault)  # type: ignore[misc]
            why = "epochs/2 in the store of the fleet is no value of a fleet"
            detail = f"no node of the fleet issues while its store cannot be used: {why}"
            assert (await node.rotate())[-1] == {"ok": False, "detail": detail}
        assert not two.certificates.wishes


async def test_an_operator_rotates_on_any_node_and_hears_how_it_went(world: World, ca: Moody) -> None:
    one, two = Certified(world, "one", ca), Certified(world, "two", ca)
    async with both(one, two):
        await one.serves()
        await two.agrees(one)
        for node in (two, one):
            await until_seen(lambda: not one.rotating.is_busy and not two.rotating.is_busy)
            before = node.served
            steps = await node.rotate()
            assert steps[-1]["ok"]
            assert steps[-1]["serial"] == f"{leaf_of(node.current).serial_number:x}"  # type: ignore[arg-type]
            assert node.served != before
        assert len(ca.asked) == 3
        await two.agrees(one)
        await until_seen(lambda: not one.rotating.is_busy and not two.rotating.is_busy)
        ca.failures.append(IssueFailed(FailureKind.PERMANENT, "the CA has another opinion"))
        assert (await two.rotate())[-1] == {"ok": False, "detail": "the CA has another opinion"}
        await until_seen(lambda: not one.certificates.wishes)
        assert not two.certificates.wishes
        # a key that was stolen: nobody keeps it, and one node revokes it
        stolen = two.current
        assert stolen is not None
        serial = leaf_of(stolen).serial_number
        assert (await two.rotate(RenewalReason.COMPROMISED))[-1]["ok"]
        await two.agrees(one)
        for node in (one, two):
            await until_seen(partial(has_lost_a_key, node))
            assert all(
                version.has_key == (version.number != stolen.number) for version in node.scene.shelf().versions()
            )
        await until_seen(lambda: ca.revoked == [serial])


class Slow:
    """A CA that answers when the test says so, and places an order before that."""

    def __init__(self, ca: Moody) -> None:
        self.ca = ca
        self.gate = threading.Event()
        self.orders: list[str] = []
        self.may_be_lost: list[bool] = []
        ca.before = self.order

    def order(self) -> None:
        """One order for each key."""
        memory: OrderMemory | None = self.ca.asked[-1].order
        assert memory is not None
        self.may_be_lost.append(memory.may_be_lost)
        if memory.known("https://ca.test") is None:
            self.orders.append(f"https://ca.test/{len(self.orders)}")
            memory.keep("https://ca.test", self.orders[-1])
        assert self.gate.wait(10)
        if self.ca.asked[-1].order is not memory:
            raise IssueFailed(FailureKind.TEMPORARY, "the process that has asked is gone")


async def test_the_next_leader_ends_what_the_last_one_had_begun(world: World, ca: Moody) -> None:
    slow = Slow(ca)
    one, two = Certified(world, "one", ca), Certified(world, "two", ca)
    async with AsyncExitStack() as stack:
        async with one.running():
            await one.node.founds()
            await stack.enter_async_context(two.running())
            await joined(two.node, one.node)
            await until_seen(lambda: slow.orders)
        # the first node has ended, and its lease with it
        await until_seen(lambda: len(ca.asked) == 2)
        assert two.node.member.is_leading
        # it may look for an order whose address the first node could not keep, but not take that of another key
        assert slow.may_be_lost == [False, True]
        assert not two.certificates.sharing(CHAT, two.parts).is_of_another_key(slow.orders[0])
        assert two.certificates.sharing(("chat", "rsa"), two.parts).is_of_another_key(slow.orders[0])
        slow.gate.set()
        await two.serves()
        assert two.current is not None
        keys = [x509.load_der_x509_csr(request.csr_der).public_key() for request in ca.asked]
        assert keys == [leaf_of(two.current).public_key()] * 2
        assert len(slow.orders) == 1
        await until_seen(lambda: not [name for name in world.store.entries if name.startswith("rotations/")])
        # the first one comes back, and undoes what it had begun by itself
        again = Certified(world, "one", ca)
        async with again.running():
            await again.agrees(two)
    assert len(ca.asked) == 2


async def test_a_key_that_has_served_is_not_gone_on_with_although_others_bring_it_back(world: World, ca: Moody) -> None:
    one = Certified(world, "one", ca)
    place = "rotations/chat/ec"
    async with one.running():
        first, _ = await one.serves()
        await until_seen(lambda: place not in world.store.entries)
        begun = next(one.stored for one in world.store.history if one.name == place and one.stored is not None)
        world.store.write({place: begun.value})
        await until_seen(lambda: one.node.member.revision == world.store.revision)
        assert (await one.rotate())[-1]["ok"]
        assert one.served[0] != first


async def test_a_wish_that_was_fulfilled_is_not_fulfilled_again_although_others_bring_it_back(
    world: World, ca: Moody
) -> None:
    one, two = Certified(world, "one", ca), Certified(world, "two", ca)
    async with both(one, two):
        await one.serves()
        await two.agrees(one)
        one.scene.owner.gate = asyncio.Event()
        assert (await two.rotate())[-1]["ok"]
        wished = [change for change in world.store.history if change.name.startswith("wishes/")]
        assert wished[0].stored is not None
        for _ in range(3):
            world.store.write({wished[0].name: wished[0].stored.value})
            await until_seen(lambda: one.node.member.revision == world.store.revision)
            await one.rotating.turn()
            one.scene.owner.gate.set()  # the one that has granted it serves by it now
            await two.agrees(one)
        assert [wish.id for wish in one.certificates.wishes]
        await until_seen(lambda: len(one.tasks._running) == 1)  # its loop
        assert len(ca.asked) == 2
        assert (await two.rotate())[-1]["ok"]
    assert len(ca.asked) == 3


async def test_a_wish_that_comes_while_a_rotation_ends_is_fulfilled_by_the_next_one(world: World, ca: Moody) -> None:
    one, two = Certified(world, "one", ca), Certified(world, "two", ca)
    one.scene.owner.gate = asyncio.Event()
    async with both(one, two):
        first = await two.serves()  # its leader has not come so far itself
        assert one.current is None
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(two.rotate())
            await until_seen(lambda: one.rotating.fleet._granted)
            one.scene.owner.gate.set()
        assert asking.result()[-1]["ok"]
        assert two.served != first
        assert len(ca.asked) == 2


async def test_what_a_former_leader_still_gets_serves_nobody(world: World, ca: Moody) -> None:
    slow = Slow(ca)
    one = Certified(world, "one", ca)
    async with one.running():
        await until_seen(lambda: slow.orders)
        world.store.token = 0  # another node leads, and this one has not heard of it
        slow.gate.set()
        await until_seen(lambda: one.scene.owner.told("rotation_failed"))
        (event,) = one.scene.owner.told("rotation_failed")
        assert event["detail"] == "this node does not lead the fleet any more"
        assert one.current is None
        assert "certificates/chat/ec" not in world.store.entries
        assert "rotations/chat/ec" in world.store.entries, "the next leader goes on with it"


async def test_without_the_store_nobody_issues_and_a_node_starts_with_what_it_has(world: World, ca: Moody) -> None:
    one, two = Certified(world, "one", ca), Certified(world, "two", ca)
    async with both(one, two):
        await one.serves()
        await two.agrees(one)
        served = one.served
        world.store.fail("etcd is gone")
        await until_seen(lambda: one.node.member.fault and two.node.member.fault)
        for node in (one, two):
            for span in (timedelta(days=6), timedelta(minutes=1)):
                node.scene.time.passes(span)
                await node.rotating.turn()
            (facts,) = node.rotating.facts()
            assert facts.error == "no node of the fleet issues while its store cannot be used: etcd is gone"
            assert facts.urgency >= 2
            assert "etcd is gone" in (await node.rotate())[-1]["detail"]
    assert len(ca.asked) == 1
    again = Certified(world, "two", ca)
    async with again.running():
        await until_seen(lambda: again.node.member.fault)
        assert again.served == served
    assert len(ca.asked) == 1


async def test_nothing_older_is_taken_and_what_the_store_lost_is_written_again(world: World, ca: Moody) -> None:
    one, two = Certified(world, "one", ca), Certified(world, "two", ca)
    async with both(one, two):
        first = await one.serves()
        await two.agrees(one)
        old = world.store.entries["certificates/chat/ec"].value
        assert (await one.rotate())[-1]["ok"]
        await two.agrees(one)
    assert one.served != first
    # etcd is restored from a backup, and both nodes start anew
    world.store.write({"certificates/chat/ec": old})
    one, two = Certified(world, "one", ca), Certified(world, "two", ca)
    served = one.served
    async with one.running(), two.running():
        await until_seen(lambda: world.store.entries["certificates/chat/ec"].value != old)
        await until_seen(lambda: {n.current.intent.edition for n in (one, two) if n.current} == {2, 3})
        assert one.served == two.served == served
    assert len(ca.asked) == 2


async def test_after_an_expulsion_every_key_is_replaced_at_once_and_revoked(world: World, ca: Moody) -> None:
    one, two = Certified(world, "one", ca), Certified(world, "two", ca)
    async with both(one, two):
        await one.serves()
        await two.agrees(one)
        ca.failures.append(IssueFailed(FailureKind.TEMPORARY, "the CA is down"))
        await one.node.admissions.expel("two")
        await until_seen(lambda: one.scene.owner.told("rotation_failed"))
    # the node that leads ends before it could do it, and starts again
    known = one.served
    one = Certified(world, "one", ca)
    async with one.running():
        before = one.current
        assert before is not None
        one.scene.time.passes(timedelta(minutes=5))
        one.rotating.fleet.heard()
        await until_seen(lambda: one.served != known)
        await until_seen(lambda: ca.revoked == [leaf_of(before).serial_number])
        assert one.current is not None
        assert one.current.intent.reason == RenewalReason.EXPELLED.value
        await until_seen(lambda: not one.scene.shelf().versions()[-1].has_key)
        edition = one.certificates.edition(CHAT)
        assert edition is not None
        assert edition.sound_from == edition.number
        (outcome,) = await one.rotating.roll_back([CHAT])
        assert "compromised" in str(outcome)
        await one.rotating.turn()
        assert len(ca.asked) == 3, "once"
    assert two.served == known


async def test_the_leader_rolls_all_nodes_back(world: World, ca: Moody) -> None:
    one, two = Certified(world, "one", ca), Certified(world, "two", ca)
    async with both(one, two):
        first = await one.serves()
        await two.agrees(one)
        assert (await one.rotate())[-1]["ok"]
        await two.agrees(one)
        (outcome,) = await one.rotating.roll_back([CHAT])
        assert one.served == first, outcome
        await two.agrees(one)
        assert two.current is not None
        assert (two.current.number, two.current.intent.edition) == (1, 3)
        (outcome,) = await two.rotating.roll_back([CHAT])
        assert "only the node that leads the fleet does this: one" in str(outcome)
        assert two.served == first
        assert len(ca.asked) == 2


async def test_keys_in_tokens_are_issued_on_each_node_one_node_at_a_time(world: World, ca: Moody) -> None:
    text = configuration("ec-p256@plexi")
    one = Certified(world, "one", ca, text, {"plexi": FakeToken()})
    two = Certified(world, "two", ca, text, {"plexi": FakeToken()})
    gate = threading.Event()
    ca.before = lambda: gate.wait(10)
    async with both(one, two):
        await until_seen(lambda: len(ca.asked) == 1)
        while not (one.scene.owner.told("rotation_failed") or two.scene.owner.told("rotation_failed")):
            two.rotating.fleet.heard()  # as after some seconds
            await asyncio.sleep(0.005)
        (event,) = one.scene.owner.told("rotation_failed") + two.scene.owner.told("rotation_failed")
        assert event["detail"] == "another node of the fleet asks issuer internal now"
        gate.set()
        await one.serves()
        await until_seen(lambda: not two.certificates._turns.values)
        two.scene.time.passes(timedelta(minutes=2))
        two.rotating.fleet.heard()
        await two.serves()
        assert one.current is not None
        assert two.current is not None
        assert leaf_of(one.current) != leaf_of(two.current)
        assert not [name for name in world.store.entries if name.startswith(("certificates/", "rotations/"))]


async def test_a_turn_that_ends_at_once_is_over(world: World, ca: Moody) -> None:
    one = Certified(world, "one", ca)
    async with one.running():
        await one.serves()
        async with one.certificates.turn("internal", 60) as has_turn:
            assert has_turn
        assert "turns/internal" not in world.store.entries, "or others wait until it ends by itself"


async def test_an_internal_ca_is_one_for_all_nodes_and_the_leader_signs(world: World) -> None:
    text = configuration(issuer='crl_url = "http://ca.test/crl"')
    one, two = Certified(world, "one", text=text), Certified(world, "two", text=text)
    own = authority_of(two).roots
    async with both(one, two):
        await one.serves()
        await two.agrees(one)
        assert authority_of(one).roots == authority_of(two).roots != own
        await until_seen(lambda: authority_of(two).published_lists())
        assert authority_of(one).published_lists() == authority_of(two).published_lists()
        # a key is stolen; the lists that both publish have it
        stolen = two.current
        assert stolen is not None
        assert (await two.rotate(RenewalReason.COMPROMISED))[-1]["ok"]
        await two.agrees(one)
        serial = leaf_of(stolen).serial_number
        await until_seen(lambda: revoked_by(one) == revoked_by(two) == {serial})
        # the other one leads
        world.store.write({"leader": b"two"})
        world.store.token = 0
        await until_seen(lambda: not one.node.member.is_leading)
        one.node.member._tell = lambda _: None
    again = Certified(world, "two", text=text)
    async with again.running():
        await until_seen(lambda: again.node.member.fault is None and again.node.member.entries)
        world.store.expire()
        await until_seen(lambda: again.node.member.is_leading)
        before = again.served
        assert (await again.rotate())[-1]["ok"]
        assert again.served != before
        assert authority_of(again).roots == authority_of(one).roots
        leaves = [leaf_of(node.current).issuer for node in (one, again) if node.current]
        assert leaves[0] == leaves[1]


async def test_a_node_that_does_not_lead_has_the_leader_revoke(world: World) -> None:
    text = configuration("ec-p256@plexi")
    one = Certified(world, "one", text=text, homes={"plexi": FakeToken()})
    two = Certified(world, "two", text=text, homes={"plexi": FakeToken()})
    async with both(one, two):
        await one.serves()
        while two.current is None:
            two.scene.time.passes(timedelta(minutes=1))  # it tries again: the CA of the fleet was not there yet
            two.rotating.fleet.heard()
            await asyncio.sleep(0.01)
        assert authority_of(one).roots == authority_of(two).roots
        stolen = two.current
        steps = await two.rotate(RenewalReason.COMPROMISED)
        assert steps[-1]["ok"]
        serial = leaf_of(stolen).serial_number
        await until_seen(lambda: revoked_by(one) == revoked_by(two) == {serial})
        assert one.current is not None
        assert leaf_of(one.current).serial_number != serial


def has_lost_a_key(node: Certified) -> bool:
    return not all(version.has_key for version in node.scene.shelf().versions())


def authority_of(node: Certified) -> InternalAuthority:
    found = node.parts.issuers["internal"]
    assert isinstance(found, InternalAuthority)
    return found


def revoked_by(node: Certified) -> set[int]:
    lists = authority_of(node).published_lists().values()
    return {entry.serial_number for one in lists for entry in one}
