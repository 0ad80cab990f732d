"""Orders for a whole fleet: each node follows them, also one that comes later or has no store."""

from pathlib import Path

import pytest

from proxy.processes.messages.codec import encode
from proxy.processes.messages.questions import MaintainedRoute
from proxy.supervisor.membership.kinds.orders import Ordered, Orders
from proxy.supervisor.membership.places import drain_order, maintenance_order
from tests.proxy.supervisor.membership.nodes import Node, World, joined
from tests.waiting import until_seen

ROUTE = MaintainedRoute("chat.test/api", 5.0, 300, "", page_is_html=True, allowed=())
SERVER = "http://10.0.0.7:8000"
NAME = maintenance_order(ROUTE.route)


class Follower:
    """A process that obeys, as soon as its disk takes something."""

    def __init__(self) -> None:
        self.ordered: list[Ordered] = []
        self.failures = 0
        self.orders = Orders(self._follow)

    async def _follow(self, ordered: Ordered) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(28, "No space left on device")
        self.ordered.append(ordered)

    def node(self, world: World, name: str) -> Node:
        """The node of this process."""
        return world.node(name, kinds=[self.orders])


async def test_all_nodes_follow_an_order_until_it_is_taken_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.supervisor.membership.kinds.orders._RETRY_SECONDS", 0.001)
    followers = [Follower() for _ in range(3)]
    one, two = followers[0].node(world, "one"), followers[1].node(world, "two")
    async with one.running():
        await one.founds()
        await followers[0].orders.give(NAME, encode(ROUTE))
        assert followers[0].ordered[-1] == Ordered({ROUTE.route: ROUTE}), "before it returns"
        followers[1].failures = 2
        async with two.running():
            await joined(two, one)
            await until_seen(lambda: followers[1].ordered and followers[1].ordered[-1].routes)
            await followers[1].orders.give(drain_order("chat", SERVER), {"seconds": 7})
            wanted = Ordered({ROUTE.route: ROUTE}, {("chat", SERVER): 7.0})
            await until_seen(lambda: followers[0].ordered[-1] == wanted)
        world.store.fail("away")
        again = followers[2].node(world, "two")
        async with again.running():
            await until_seen(lambda: followers[2].ordered == [wanted])
            world.store.fail(None)
            await until_seen(lambda: not again.member.fault and not one.member.fault)
            await followers[2].orders.give(NAME, None)
            await followers[2].orders.give(drain_order("chat", SERVER), None)
            assert followers[2].ordered[-1] == Ordered()
            await until_seen(lambda: followers[0].ordered[-1] == Ordered())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (NAME, {}),
        (NAME, {**encode(ROUTE), "retry_after": 0}),
        (NAME, {**encode(ROUTE), "page": "{", "page_is_html": False}),
        ("orders/drain/chat", {"seconds": 7}),
        ("orders/drain/chat/x", {}),
        ("orders/drain/chat/x", None),
    ],
)
def test_what_no_node_orders_is_refused(name: str, content: object) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Follower().orders.parse(name, content)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("proxy.supervisor.membership.member._RETRY_SECONDS", 0.001)
    return World(tmp_path)
