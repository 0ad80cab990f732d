"""Shares of limits: they follow demand, come back from a node that is gone, and stay without the store."""

from collections.abc import Mapping

import pytest

from proxy.limits.rates import UNKNOWN_SHARE, FleetLimit
from proxy.supervisor.membership.kinds.shares import LASTS_SECONDS, LimitShares
from tests.proxy.supervisor.membership.nodes import Node, World, joined
from tests.waiting import until_seen

RATE = FleetLimit("rate of chat.test/", 100.0)
OPEN = FleetLimit("connections of public", 1_000.0, "public")


class User:
    """The clients of one node, and what its workers keep to."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self.open = 0
        self.per_second = 0
        self.kept: Mapping[str, float] = {}
        self.shares = LimitShares(lambda: [RATE, OPEN], self.used, self.keep_to, lambda: world.now)
        self.node: Node = world.node(name, kinds=[self.shares])

    def used(self, limit: FleetLimit) -> int:
        """As many requests as the time says."""
        return self.open if limit is OPEN else int(self._world.now - 1_700_000_000) * self.per_second

    async def keep_to(self, shares: Mapping[str, float]) -> None:
        """Note it."""
        self.kept = shares

    def has(self, limit: FleetLimit, share: float) -> bool:
        """Whether the workers keep to about this share."""
        return abs(self.kept.get(limit.name, -1.0) - share) < 0.03


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("proxy.supervisor.membership.kinds.shares._SECOND", 0.001)
    monkeypatch.setattr("proxy.supervisor.membership.member.LEASE_SECONDS", 0.05)
    return world


async def test_shares_follow_demand_and_stay_without_the_store(world: World) -> None:
    one, two = User(world, "one"), User(world, "two")
    async with one.node.running():
        await until_seen(lambda: one.has(OPEN, UNKNOWN_SHARE) or one.has(OPEN, 1.0))
        await one.node.founds()
        await until_seen(lambda: one.has(OPEN, 1.0) and one.has(RATE, 1.0))
        async with two.node.running():
            await until_seen(lambda: two.has(OPEN, UNKNOWN_SHARE))
            await joined(two.node, one.node)
            await until_seen(lambda: all(user.has(OPEN, 0.5) for user in (one, two)))
            two.open = 700
            await until_seen(lambda: one.has(OPEN, 0.085) and two.has(OPEN, 0.915))
            one.open = 500  # both want more than there is
            await until_seen(lambda: one.has(OPEN, 0.5) and two.has(OPEN, 0.5))
            one.open = 0
            await until_seen(lambda: two.has(OPEN, 0.915))

            world.store.fail("away")
            await until_seen(lambda: one.node.member.fault and two.node.member.fault)
            world.now += LASTS_SECONDS - 1
            two.open = 0
            assert two.has(OPEN, 0.915), "the last share"
            world.now += 1
            await until_seen(lambda: one.has(OPEN, 0.5) and two.has(OPEN, 0.5))
            world.store.fail(None)
            two.open = 700
            await until_seen(lambda: two.has(OPEN, 0.915))


async def test_a_node_that_is_gone_keeps_an_even_part_and_gives_the_rest_back(world: World) -> None:
    one, two = User(world, "one"), User(world, "two")
    async with one.node.running():
        await one.node.founds()
        async with two.node.running():
            await joined(two.node, one.node)
            two.open = 700
            await until_seen(lambda: two.has(OPEN, 0.915))
        assert one.has(OPEN, 0.085), "its time is not over"
        world.store.write({"shares/of/two": None})  # as etcd does after a time
        await until_seen(lambda: one.has(OPEN, 0.5))


async def test_a_rate_is_wanted_by_requests_and_a_worker_that_ended_is_no_demand(world: World) -> None:
    one = User(world, "one")
    assert one.shares._want(RATE, world.now) == 0.0
    one.per_second = 40
    one.used(RATE)
    before = one.used(RATE)
    world.now += 1
    assert one.used(RATE) == before + 40
    one.shares._before[RATE.name] = before, world.now - 1
    assert one.shares._want(RATE, world.now) == 0.5
    one.per_second = 0
    world.now += 1
    assert one.shares._want(RATE, world.now) == 0.0


@pytest.mark.parametrize("content", [{"one": "x"}, {"one": -1.0}, {"one": float("inf")}, [], 7, {"one": {"two": 1}}])
def test_what_no_node_says_is_refused(world: World, content: object) -> None:
    shares = User(world, "one").shares
    with pytest.raises((ValueError, TypeError, AttributeError)):
        shares.parse("shares/of/one", content)
    with pytest.raises((ValueError, TypeError, AttributeError)):
        shares.parse("shares/cut", {"rate": content})


@pytest.mark.parametrize("content", [{"one": 0.6, "two": 0.6}, {"one": 1.0, "two": 0.0}])
def test_a_cut_of_more_than_the_limit_or_of_nothing_is_refused(world: World, content: object) -> None:
    shares = User(world, "one").shares
    assert shares.parse("shares/cut", {"rate": {"one": 0.4, "two": 0.6}}) == {"rate": {"one": 0.4, "two": 0.6}}
    with pytest.raises(ValueError):  # noqa: PT011 - the member says which value it is
        shares.parse("shares/cut", {"rate": content})
