"""Rings as a kind of a fleet: any node orders a rotation, the leader plans, and all serve by the same."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from proxy.payload.key_document import Identity
from proxy.payload.keys.keyring import Keyring, NoSuchKey, RingNotChanged, RingPolicy
from proxy.payload.messages.codec import ANY_AGE, RingCodec
from proxy.supervisor.membership.kinds.keys.ring_plan import NOTICE_SECONDS
from proxy.supervisor.membership.kinds.keys.rings import Rings
from tests.proxy.supervisor.membership.nodes import NOW, Node, World, joined
from tests.waiting import until_seen

POLICY = RingPolicy(86_400.0, 1_000, 2)


@dataclass
class FakeRings:
    """The rings of a process."""

    rings: Mapping[str, Keyring]
    own: Identity | None
    policies: Mapping[str, RingPolicy] = field(default_factory=lambda: {"chat": POLICY})
    refusals: int = 0

    async def identity(self) -> Identity | None:
        """That which signs."""
        return self.own

    async def follow(self, rings: Mapping[str, Keyring], identity: Identity | None) -> bool:
        """Serve by them, unless the workers refuse."""
        if self.refusals:
            self.refusals -= 1
            return False
        self.rings = {**self.rings, **rings}
        self.own = identity or self.own
        return True


class Party:
    """A node with a ring of its own, that counts up from a number."""

    def __init__(self, world: World, name: str, first: int) -> None:
        ring = Keyring.fresh("chat", bytes([first]) * 32, NOW - 50)
        self.served = FakeRings({"chat": ring}, Identity.generate())
        self.rings = Rings(self.served, lambda: world.now)
        self.node: Node = world.node(name, kinds=[self.rings])

    @property
    def ring(self) -> Keyring:
        return self.served.rings["chat"]

    def opens(self, other: "Party") -> bool:
        """Whether it decrypts what the other one encrypts now."""
        sealed = RingCodec(other.ring).seal(b"x", NOW)
        return RingCodec(self.ring).open(sealed, ANY_AGE, NOW).plain == b"x"


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("proxy.supervisor.membership.kinds.keys.rings._REFUSED_SECONDS", 0.001)
    return world


@asynccontextmanager
async def both(world: World) -> AsyncIterator[tuple[Party, Party]]:
    """The founder, and a node that has joined it; both serve by the same."""
    one, two = Party(world, "one", 1), Party(world, "two", 2)
    async with one.node.running():
        await one.node.founds()
        async with two.node.running():
            await joined(two.node, one.node)
            await until_seen(lambda: all(len(party.ring.readable) >= 2 for party in (one, two)))
            await until_seen(lambda: two.ring.active == one.ring.active)
            yield one, two


async def test_a_node_that_joins_serves_by_the_rings_of_the_fleet_and_still_opens_its_own(world: World) -> None:
    two_before = Party(world, "x", 2).ring
    async with both(world) as (one, two):
        assert one.ring.active.secret == bytes([1]) * 32
        assert [key.state.value for key in one.ring.keys] == ["pending", "active"]
        assert one.opens(two)
        assert two.opens(one)
        old = RingCodec(two_before).seal(b"old", NOW)
        assert RingCodec(two.ring).open(old, ANY_AGE, NOW).plain == b"old"
        await until_seen(lambda: two.served.own == one.served.own)
        assert one.ring.keys[0].secret.hex().encode() not in world.store.entries["payload/rings/chat"].value


async def test_all_change_over_by_their_clocks_also_without_the_store_and_a_node_starts(world: World) -> None:
    async with both(world) as (one, two):
        world.store.fail("gone")
        await until_seen(lambda: one.node.member.fault and two.node.member.fault)
        first = one.ring.active
        world.now += POLICY.rotate_seconds
        again = Party(world, "two", 3)
        async with again.node.running():
            for party in (one, two):
                party.rings.tick()
            await until_seen(lambda: one.ring.active == two.ring.active == again.ring.active != first)
            assert again.opens(one)


async def test_the_last_key_may_serve_for_a_day_at_least(world: World) -> None:
    async with both(world) as (one, _):
        begins = one.rings.plans["chat"].keys[-1].begins
        for rotate_seconds, longest in ((3 * 86_400.0, 3 * 86_400.0), (3_600.0, 86_400.0)):
            one.served.policies = {"chat": replace(POLICY, rotate_seconds=rotate_seconds)}
            assert one.rings.planned == {"payload ring chat": begins + longest}
        one.served.policies = {}
        assert one.rings.planned == {}


async def test_a_command_on_any_node_brings_the_next_key_forward(world: World) -> None:
    async with both(world) as (one, two):
        await until_seen(lambda: "chat" in two.rings._secrets)
        version = await two.rings.rotate("chat")
        soon = [NOTICE_SECONDS] * 2
        await until_seen(lambda: [party.rings.plans["chat"].until_change(world.now) for party in (one, two)] == soon)
        world.now += NOTICE_SECONDS
        for party in (one, two):
            party.rings.tick()
        await until_seen(lambda: one.ring.active.version == two.ring.active.version == version)
        await until_seen(lambda: not one.rings.plans["chat"].needs_key(world.now))
        with pytest.raises(NoSuchKey, match="rotate first"):
            await one.rings.end("chat", version, is_revoked=False)
        with pytest.raises(NoSuchKey, match="no key of the fleet"):
            await one.rings.end("chat", 99, is_revoked=True)
        await one.rings.end("chat", version, is_revoked=True)
        await until_seen(lambda: all(party.ring.find(version).state.value == "revoked" for party in (one, two)))
        await until_seen(lambda: one.ring.active == two.ring.active)
        assert one.ring.active.version > version
        identity = Identity.generate()
        await two.rings.replace_identity(identity)
        await until_seen(lambda: one.served.own == two.served.own == identity)


async def test_what_is_ordered_where_it_cannot_be_done_is_refused(world: World) -> None:
    async with both(world) as (one, two):
        await one.rings.rotate("chat")
        with pytest.raises(RingNotChanged, match="another node has changed the ring chat"):
            await two.rings.rotate("chat")
        world.store.fail("gone")
        with pytest.raises(RingNotChanged, match="gone"):
            await two.rings.rotate("chat")
        assert not one.rings.shares("other")
    alone = Party(world, "three", 3)
    alone.rings.plans = dict(one.rings.plans)
    with pytest.raises(RingNotChanged, match="starting"):
        await alone.rings.rotate("chat")
    world.now += 10 * POLICY.rotate_seconds
    with pytest.raises(RingNotChanged, match="is being made"):
        await alone.rings.rotate("chat")


async def test_the_quota_of_the_leader_rotates_and_an_epoch_does(world: World) -> None:
    async with both(world) as (one, two):
        world.now += POLICY.rotate_seconds / 12
        one.served.rings = {"chat": one.ring.counted({1: POLICY.quota})}
        await until_seen(lambda: "chat" in one.rings._secrets)
        one.node.member.wake()
        await until_seen(lambda: two.rings.plans["chat"].until_change(world.now) == NOTICE_SECONDS)
        planned = two.ring.keys[0].secret
        await one.node.admissions.expel("two")
        await until_seen(lambda: one.rings.plans["chat"].epoch == 2)
        assert planned not in {key.secret for key in one.rings.plans["chat"].keys}
        await until_seen(lambda: one.ring.keys[0].secret == one.rings.plans["chat"].keys[-1].secret)
        assert one.opens(two), "clients have its keys for a while"


async def test_workers_that_refuse_are_asked_again(world: World) -> None:
    party = Party(world, "one", 1)
    party.served.refusals = 2
    async with party.node.running():
        await until_seen(lambda: len(party.ring.keys) == 2)
    assert party.served.refusals == 0
