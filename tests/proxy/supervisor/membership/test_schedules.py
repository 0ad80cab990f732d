"""Three nodes through days of mishaps in any order: whoever leads, and whatever is away, each node opens the tickets of each
other one, and no two nodes have different secrets for one time."""

import random
from contextlib import AsyncExitStack
from itertools import permutations
from pathlib import Path

import pytest

from proxy.supervisor.membership.kinds.keys.tickets import TICKETS
from proxy.supervisor.membership.shared import LEADER
from tests.proxy.supervisor.membership.nodes import PERIOD, Node, World, joined
from tests.waiting import until_seen

STEPS = 25


class Schedule:
    """What happens to the nodes, by random numbers that are the same each time."""

    def __init__(self, world: World, stack: AsyncExitStack, seed: int) -> None:
        self.world = world
        self.nodes: dict[str, Node] = {}
        self._stack = stack
        self._running: dict[str, AsyncExitStack] = {}
        self._random = random.Random(seed)  # noqa: S311 - a schedule
        self._planned: dict[float, bytes] = {}
        self.leaders: set[str] = set()

    async def start(self, name: str) -> Node:
        """Run a node, with the disk that it had."""
        node = self.nodes[name] = self.world.node(name)
        running = self._running[name] = await self._stack.enter_async_context(AsyncExitStack())
        return await running.enter_async_context(node.running())

    async def step(self) -> None:
        """Let something happen."""
        store = self.world.store
        match self._random.choice(("hours", "hours", "hours", "lease", "away", "back", "restart", "spoil")):
            case "hours":
                self.world.now += self._random.uniform(0, PERIOD)
            case "lease" if LEADER in store.entries:
                store.expire()
            case "away":
                store.fail("away")
            case "back":
                store.fail(None)
            case "restart":
                leading = [name for name, node in self.nodes.items() if node.member.is_leading]
                name = self._random.choice([*self.nodes, *leading * 2])
                await self._running[name].aclose()
                await self.start(name)
            case "spoil" if store.away is None:
                older = [one for one in store.history if one.name == TICKETS and one.stored is not None]
                stored = self._random.choice(older).stored
                assert stored is not None
                store.write({TICKETS: stored.value})
        for node in self.nodes.values():  # what their timers do
            node.tickets.tick()
            node.member._news.set()

    async def settle(self) -> None:
        """Wait until all has come of it that will, and look."""
        nodes = self.nodes.values()
        store = self.world.store
        led = [one.member._leadership for one in nodes]
        if LEADER in store.entries and not any(one is not None and one.token == store.token for one in led):
            store.expire()  # of a node that could not give it up when it ended
        if store.away is None:
            await until_seen(lambda: all(self._is_settled(node) for node in nodes))
        else:
            await until_seen(lambda: all(node.member.fault == "away" for node in nodes))
        await until_seen(lambda: all(self._serves_its_plan(node) for node in nodes))
        self.leaders |= {name for name, node in self.nodes.items() if node.member.is_leading}
        for one, other in permutations(nodes, 2):
            mine = one.served.followed[-1][0]
            assert other.served.followed[-1][0].current in (mine.current, mine.previous, mine.following)
        for node in nodes:
            assert node.tickets.plan is not None
            for key in node.tickets.plan.keys:
                assert self._planned.setdefault(key.begins, key.secret) == key.secret

    def _is_settled(self, node: Node) -> bool:
        stored = self.world.store.entries.get(TICKETS)
        plan = None if node.member._state is None else node.tickets.plan
        led = [one.member._leadership for one in self.nodes.values()]
        is_led = any(one is not None and one.token == self.world.store.token for one in led)
        if stored is None or plan is None or not is_led or node.member.fault is not None:
            return False
        longer = plan.extended(self.world.now, PERIOD, lambda: bytes(32))
        return node.stored_plan(self.world.store) == plan and longer is plan

    def _serves_its_plan(self, node: Node) -> bool:
        node.tickets.tick()
        plan = None if node.member._state is None else node.tickets.plan
        return plan is not None and bool(node.served.followed) and node.served.followed[-1] == plan.at(self.world.now)


@pytest.mark.parametrize("seed", range(8))
async def test_mishaps_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr("proxy.supervisor.membership.member._RETRY_SECONDS", 0.001)
    monkeypatch.setattr("proxy.supervisor.membership.member.LEASE_SECONDS", 0.01)
    monkeypatch.setattr("proxy.supervisor.membership.member._KEEP_SECONDS", 0.01)
    async with AsyncExitStack() as stack:
        schedule = Schedule(World(tmp_path), stack, seed)
        founder = await schedule.start("one")
        await founder.founds()
        for name in ("two", "three"):
            await joined(await schedule.start(name), founder)
        for _ in range(STEPS):
            await schedule.step()
            await schedule.settle()
        assert len(schedule.leaders) > 1
