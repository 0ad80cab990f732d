"""Three nodes through days of mishaps in any order: whoever leads, and whatever is away, each node opens the tickets and
the payload of each other one, no two nodes have different secrets for one time, and none serves by what an expelled one knows."""

import json
import random
from contextlib import AsyncExitStack, suppress
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from proxy.payload.keys.keyring import Keyring, RingNotChanged
from proxy.payload.messages.codec import ANY_AGE, RingCodec
from proxy.supervisor.membership.epochs import Expelled
from proxy.supervisor.membership.kinds.keys.rings import PREFIX, Rings
from proxy.supervisor.membership.kinds.keys.tickets import TICKETS
from proxy.supervisor.membership.shared import LEADER
from proxy.supervisor.membership.state import FILE_NAME
from proxy.supervisor.membership.values import ValueUnusable
from tests.proxy.supervisor.membership.kinds.keys.test_rings import FakeRings
from tests.proxy.supervisor.membership.nodes import PERIOD, Node, World, joined
from tests.waiting import until_seen

if TYPE_CHECKING:
    from proxy.supervisor.membership.values import FleetKey

STEPS = 25


class Schedule:
    """What happens to the nodes, by random numbers that are the same each time."""

    def __init__(self, world: World, stack: AsyncExitStack, seed: int) -> None:
        self.world = world
        self.nodes: dict[str, Node] = {}
        self._stack = stack
        self._running: dict[str, AsyncExitStack] = {}
        self._random = random.Random(seed)  # noqa: S311 - a schedule
        self._planned: dict[tuple[int, float], bytes] = {}
        self._written: dict[tuple[str, int, int], Any] = {}
        """What was written under a name, in an epoch, with a serial number."""
        self._keys: dict[int, FleetKey] = {}
        self._served: dict[str, FakeRings] = {}
        """The rings of each node, which it has on its disk."""
        self._rings: dict[str, Rings] = {}
        self.leaders: set[str] = set()
        self.epoch = 1

    async def start(self, name: str) -> Node:
        """Run a node, with the disk that it had."""
        if name not in self._served:
            ring = Keyring.fresh("chat", self._random.randbytes(32), self.world.now - 50)
            self._served[name] = FakeRings({"chat": ring}, None)
        rings = self._rings[name] = Rings(self._served[name], lambda: self.world.now)
        node = self.nodes[name] = self.world.node(name, kinds=[rings])
        running = self._running[name] = await self._stack.enter_async_context(AsyncExitStack())
        return await running.enter_async_context(node.running())

    async def step(self) -> None:
        """Let something happen; what needs the store only while it answers."""
        always = (self._hours, self._hours, self._hours, self._lease, self._away, self._back, self._restart)
        happening = self._random.choice((*always, self._spoil, self._expel, self._rotate))
        if self.world.store.away is None or happening in always:
            await happening()
        for rings in self._rings.values():  # what their timers do
            rings.tick()
        for node in self.nodes.values():
            node.tickets.tick()
            node.member.wake()

    async def _hours(self) -> None:
        self.world.now += self._random.uniform(0, PERIOD)

    async def _lease(self) -> None:
        if LEADER in self.world.store.entries:
            self.world.store.expire()

    async def _away(self) -> None:
        self.world.store.fail("away")

    async def _back(self) -> None:
        self.world.store.fail(None)

    async def _restart(self) -> None:
        leading = [name for name, node in self.nodes.items() if node.member.is_leading]
        name = self._random.choice([*self.nodes, *leading * 2])
        await self._running[name].aclose()
        await self.start(name)

    async def _spoil(self) -> None:
        older = [one for one in self.world.store.history if one.name == TICKETS and one.stored is not None]
        stored = self._random.choice(older).stored
        assert stored is not None
        self.world.store.write({TICKETS: stored.value})

    async def _rotate(self) -> None:
        with suppress(RingNotChanged):
            await self._rings[self._random.choice([*self.nodes])].rotate("chat")

    async def _expel(self) -> None:
        await self._expel_of(*self._random.sample([*self.nodes], 2))

    async def _expel_of(self, by: str, name: str) -> None:
        """Expel a node by another one, and let it join again with an empty disk."""
        gone = self.nodes[name]
        assert gone.tickets.plan is not None
        known = {key.secret for key in gone.tickets.plan.keys}
        known |= {key.secret for key in self._served[name].rings["chat"].keys}
        self.epoch = await self.nodes[by].admissions.expel(name)
        await until_seen(lambda: isinstance(gone.member.trouble, Expelled))
        await self._running[name].aclose()
        (gone.file.directory / FILE_NAME).unlink()
        del self._served[name]
        await until_seen(lambda: all(node is gone or self._is_settled(node) for node in self.nodes.values()))
        plan = self.nodes[by].tickets.plan
        assert plan is not None
        assert not known & {self._rings[by].plans["chat"].keys[-1].secret, *(key.secret for key in plan.keys)}
        await joined(await self.start(name), self.nodes[by])

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
        await until_seen(lambda: all(self._serves_its_rings(name) for name in self.nodes))
        for one_ring, other_ring in permutations(self._served.values(), 2):
            sealed = RingCodec(one_ring.rings["chat"]).seal(b"x", self.world.now)
            assert RingCodec(other_ring.rings["chat"]).open(sealed, ANY_AGE, self.world.now).plain == b"x"
        for node in nodes:
            plan = node.tickets.plan
            assert plan is not None
            for key in plan.keys:
                assert self._planned.setdefault((plan.epoch, key.begins), key.secret) == key.secret
            assert self._keys.setdefault(node.member.key.epoch, node.member.key) == node.member.key
        self._look_at_what_was_written()

    def _look_at_what_was_written(self) -> None:
        """In one epoch, nobody writes over what another one has written without knowing it: each number stands for one content."""
        for change in self.world.store.history:
            if change.stored is None or not change.name.startswith((TICKETS, PREFIX)):
                continue
            epoch = json.loads(change.stored.value)["epoch"]
            if epoch in self._keys:
                content = self._keys[epoch].open(change.name, change.stored.value)
                place = (change.name, epoch, content["serial"])
                assert self._written.setdefault(place, content) == content

    def _serves_its_rings(self, name: str) -> bool:
        served = self._served[name]
        self._rings[name].tick()
        plan = self._rings[name].plans.get("chat")
        ring = served.rings["chat"]
        return plan is not None and plan.ring(ring, served.policies["chat"], self.world.now) == ring

    def _is_settled(self, node: Node) -> bool:
        stored = self.world.store.entries.get(TICKETS)
        plan = None if node.member._state is None else node.tickets.plan
        led = [one.member._leadership for one in self.nodes.values()]
        is_led = any(one is not None and one.token == self.world.store.token for one in led)
        if stored is None or plan is None or not is_led or node.member.fault is not None:
            return False
        if node.member.key.epoch != self.epoch or plan.epoch != self.epoch:
            return False
        shared = self._rings[node.member.name].plans.get("chat")
        if shared is None or shared.epoch != self.epoch or shared.needs_key(self.world.now):
            return False
        longer = plan.extended(self.world.now, PERIOD, lambda: bytes(32))
        with suppress(ValueUnusable):
            return node.stored_plan(self.world.store) == plan and longer is plan
        return False

    def _serves_its_plan(self, node: Node) -> bool:
        node.tickets.tick()
        plan = None if node.member._state is None else node.tickets.plan
        return plan is not None and bool(node.served.followed) and node.served.followed[-1] == plan.at(self.world.now)


@pytest.mark.parametrize("seed", range(6))
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
        schedule.world.store.fail(None)
        await schedule.settle()
        leader, other = sorted(schedule.nodes, key=lambda name: not schedule.nodes[name].member.is_leading)[:2]
        await schedule._expel_of(other, leader)
        await schedule.settle()
        assert len(schedule.leaders) > 1
