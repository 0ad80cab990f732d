"""A model that is checked exhaustively: whatever happens to two nodes and the store in a few steps, in every order that there is.

The nodes are the real ones. What is not: threads and the clock, so that a schedule is the same each time. A request waits
until it arrives at the store, where its answer may get lost; a change waits until a node hears of it. `test_schedules.py` has longer
schedules, of more nodes and mishaps, of which it tries a few.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pytest

from proxy.payload.keys.keyring import Keyring, RingNotChanged
from proxy.supervisor.membership.admissions import NotAdmitted
from proxy.supervisor.membership.epochs import Expelled, place_of
from proxy.supervisor.membership.kinds.keys.rings import PREFIX, Rings
from proxy.supervisor.membership.kinds.keys.tickets import TICKETS
from proxy.supervisor.membership.places import EPOCHS, FOUNDED
from proxy.supervisor.membership.shared import LEADER, LEASE_SECONDS, Conflict, Leadership, SharedAway, StoreChange
from proxy.supervisor.membership.state import FILE_NAME
from tests.proxy.supervisor.membership.kinds.keys.test_rings import POLICY, FakeRings
from tests.proxy.supervisor.membership.nodes import NOW, PERIOD, Node, World, joined
from tests.proxy.supervisor.membership.stores import MemoryShared, MemoryStore
from tests.waiting import until_seen

if TYPE_CHECKING:
    from proxy.supervisor.membership.values import FleetKey

Result = TypeVar("Result")
NAMES: Final = ("one", "two")
_EXPELLED: Final = {"one": ("two", "three"), "two": ("one",)}
"""Whom each node may be told to expel: two by each other, and one beside what the other does."""
RINGS: Final = PREFIX + "rings/"
_ROTATING: Final = "two"
"""The node that is told to rotate a ring; the other one plans its keys while it leads."""
_SETTLING_ROUNDS: Final = 40


class StillLoop(asyncio.SelectorEventLoop):
    """A loop whose time is what the test says, and that knows when it has nothing to do but to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        """In seconds."""
        return self.now

    async def still(self) -> None:
        """Return when all others wait for a timer or for the test."""
        while True:
            await asyncio.sleep(0)
            if not self._ready:  # type: ignore[attr-defined]
                return


@dataclass
class Request:
    """A change that a node has asked for, on its way to the store."""

    writer: "SlowShared"
    ask: Callable[[], Coroutine[Any, Any, None]]
    answer: asyncio.Future[None]

    async def arrive(self, *, answer_is_lost: bool = False) -> bool:
        """Let the store decide; whether it took it. Who has asked may have died."""
        refused: Exception | None = None
        try:
            await self.ask()
        except Conflict as error:
            refused = error
        if not self.answer.done():
            if answer_is_lost:
                self.answer.set_exception(SharedAway("the answer got lost"))
            elif refused is not None:
                self.answer.set_exception(refused)
            else:
                self.answer.set_result(None)
        return refused is None


class SlowShared(MemoryShared):
    """A `Shared` whose network is the test: requests arrive, and changes are heard of, when the test says so. One that was started
    again has another one."""

    def __init__(self, store: MemoryStore, name: str) -> None:
        super().__init__(store)
        self.name: Final = name
        self.led: set[int] = set()
        """The tokens of each time that it was let lead."""
        self.requests: list[Request] = []
        self.unheard: asyncio.Future[None] | None = None

    async def commit(
        self,
        compares: Mapping[str, int],
        writes: Mapping[str, bytes | None],
        token: int | None = None,
        lasts_seconds: int | None = None,
    ) -> None:
        """Wait for its arrival."""
        ask = partial(super().commit, compares, writes, token, lasts_seconds)
        request = Request(self, ask, asyncio.get_running_loop().create_future())
        self.requests.append(request)
        await request.answer

    async def lead(self, name: str) -> Leadership | None:
        """Remember it."""
        leadership = await super().lead(name)
        if leadership is not None:
            self.led.add(leadership.token)
        return leadership

    async def watch(self, revision: int) -> AsyncGenerator[Sequence[StoreChange]]:
        """Tell each change when the test says so."""
        async with aclosing(super().watch(revision)) as news:
            async for changes in news:
                self.unheard = asyncio.get_running_loop().create_future()
                try:
                    await self.unheard
                finally:
                    self.unheard = None
                yield changes


@dataclass(frozen=True, slots=True)
class Fleet:
    """A store, and the disks of the members of its fleet."""

    world: World
    files: Mapping[str, bytes]
    rings: Sequence[str]

    @classmethod
    async def made(cls, directory: Path, names: Sequence[str]) -> "Fleet":
        """A fleet of the two nodes, and of a third one that is away. It has rings with these names."""
        world = World(directory)
        async with AsyncExitStack() as stack:
            rings = {name: Rings(served_by(name, names), lambda: world.now) for name in (*NAMES, "three")}
            nodes = [world.node(name, kinds=[one]) for name, one in rings.items()]
            founder = await stack.enter_async_context(nodes[0].running())
            await founder.founds()
            for node in nodes[1:]:
                await stack.enter_async_context(node.running())
                await joined(node, founder)
            plans = [one.plans for one in rings.values()]  # with the key that is next
            await until_seen(lambda: all(name in one and len(one[name].keys) > 1 for one in plans for name in names))
        return cls(world, {node.member.name: (node.file.directory / FILE_NAME).read_bytes() for node in nodes}, names)


@dataclass
class Running:
    """A node that runs."""

    node: Node
    shared: SlowShared
    task: asyncio.Task[None]
    rings: Rings
    command: asyncio.Task[None] | None = None
    """What an operator has asked of it."""

    @property
    def token(self) -> int | None:
        """By which it believes to lead."""
        leadership = self.node.member._leadership
        return None if leadership is None else leadership.token

    async def killed(self) -> None:
        """End it as `kill -9` does: what it leads lasts as long as its lease."""
        self.node.member._leadership = None
        tasks = [self.task] if self.command is None else [self.task, self.command]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that may happen."""

    name: str
    happen: Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Written:
    """What the store took: at which revision, of whom, and whether that process led there at that time."""

    revision: int
    writer: str
    is_of_leader: bool


class Numbered:
    """What was written under one name: a plan of keys, each time with a number that grows."""

    def __init__(self) -> None:
        self._contents: dict[tuple[int, int], Any] = {}
        self._secrets: dict[tuple[int, float], str] = {}

    def add(self, epoch: int, content: Any) -> None:
        """The next one."""
        number = (epoch, content["serial"])
        assert self._contents.setdefault(number, content) == content, "two contents have one number"
        assert number == max(self._contents), "a number was written again"
        plan = content["content"]
        for key in plan["keys"]:
            place = plan["epoch"], key.get("version", key["begins"])
            assert self._secrets.setdefault(place, key["secret"]) == key["secret"], "one key has two secrets"


class Model:
    """Two nodes and a store, and what may happen to them."""

    def __init__(self, fleet: Fleet, loop: StillLoop) -> None:
        self._loop = loop
        before = fleet.world.store
        self._world = World(fleet.world.directory)
        self.store = self._world.store
        self.store.entries |= {name: stored for name, stored in before.entries.items() if name != LEADER}
        self.store.revision = self.store.compacted = before.revision
        self.written: list[Written] = []
        for name in NAMES:
            (self._world.directory / name / FILE_NAME).write_bytes(fleet.files[name])
        self._founded = before.entries[FOUNDED].value
        self._served = {name: served_by(name, fleet.rings) for name in NAMES}
        """The rings on the disk of each node."""
        self._keys: dict[int, FleetKey] = {}
        """All that a node has had, by their epochs."""
        self.nodes: dict[str, Running] = {}
        self._late: list[Request] = []
        """Of a node that has died since."""
        self._rings = fleet.rings
        self._kills = self._losses = 1
        self.course: list[str] = []

    async def start(self, name: str) -> None:
        """Run a node, by what it has on its disk."""
        shared = SlowShared(self.store, name)
        rings = Rings(self._served[name], lambda: self._world.now)
        node = self._world.node(name, shared, [rings])
        self.nodes[name] = Running(node, shared, self._loop.create_task(node.member.run()), rings)
        await self._still()

    async def _still(self) -> None:
        await self._loop.still()
        self._keys |= {one.node.member.key.epoch: one.node.member.key for one in self.nodes.values()}

    @property
    def leader(self) -> str | None:
        """Who leads, by what the store has."""
        stored = self.store.entries.get(LEADER)
        return None if stored is None else stored.value.decode()

    # -- what may happen

    def possible(self) -> Iterator[Step]:
        """Everything that may happen next, in an order that is the same each time."""
        yield Step("time passes", self._time_passes)
        if LEADER in self.store.entries:
            yield Step("the lease ends", self._lease_ends)
        if self._late:
            yield Step("a request of a dead node arrives", self._late_one_arrives)
        for running in self.nodes.values():
            yield from self._possible_at(running)

    def _possible_at(self, running: Running) -> Iterator[Step]:
        name = running.node.member.name
        if running.shared.requests:
            yield Step(f"a request of {name} arrives", partial(self._arrives, running))
            if self._losses:
                yield Step(f"the answer to {name} gets lost", partial(self._is_lost, running))
        if running.shared.unheard is not None:
            yield Step(f"{name} hears", partial(self._hears, running))
        if self._kills:
            yield Step(f"{name} dies and starts again", partial(self._dies, running))
        if running.command is None:
            for ring in self._rings if name == _ROTATING else ():
                yield Step(f"{name} is to rotate {ring}", partial(self._is_to_rotate, running, ring))
            for gone in _EXPELLED[name]:
                yield Step(f"{name} is to expel {gone}", partial(self._is_to_expel, running, gone))

    async def _time_passes(self) -> None:
        self._world.now += PERIOD
        await self._moment()

    async def _moment(self) -> None:
        self._loop.now += LEASE_SECONDS
        for one in self.nodes.values():
            one.node.tickets.tick()
            one.rings.tick()
            one.node.member.wake()

    async def _lease_ends(self) -> None:
        self.store.expire()

    async def _arrives(self, running: Running, *, answer_is_lost: bool = False) -> None:
        request = running.shared.requests.pop(0)
        await self._at_the_store(request, answer_is_lost=answer_is_lost)

    async def _at_the_store(self, request: Request, *, answer_is_lost: bool = False) -> None:
        leads = self.store.token in request.writer.led
        if await request.arrive(answer_is_lost=answer_is_lost):
            self.written.append(Written(self.store.revision, request.writer.name, leads))

    async def _late_one_arrives(self) -> None:
        await self._at_the_store(self._late.pop(0))

    async def _is_lost(self, running: Running) -> None:
        self._losses -= 1
        await self._arrives(running, answer_is_lost=True)

    async def _hears(self, running: Running) -> None:
        assert running.shared.unheard is not None
        running.shared.unheard.set_result(None)

    async def _dies(self, running: Running) -> None:
        self._kills -= 1
        self._late += running.shared.requests
        await running.killed()
        await self.start(running.node.member.name)

    async def _is_to_expel(self, running: Running, gone: str) -> None:
        running.command = self._loop.create_task(self._expel(running, gone))

    async def _expel(self, running: Running, gone: str) -> None:
        with suppress(Conflict, SharedAway, NotAdmitted):
            await running.node.admissions.expel(gone)

    async def _is_to_rotate(self, running: Running, ring: str) -> None:
        running.command = self._loop.create_task(self._rotate(running, ring))

    async def _rotate(self, running: Running, ring: str) -> None:
        with suppress(RingNotChanged):
            await running.rings.rotate(ring)

    # -- a schedule

    async def step(self, step: Step) -> None:
        """Let it happen, and all that comes of it at once."""
        self.course.append(step.name)
        await step.happen()
        await self._still()

    async def run(self, choices: Sequence[int], steps: int) -> list[int]:
        """Let happen what these numbers choose, and then the first thing each; how many things could happen at each step."""
        counts: list[int] = []
        for number in range(steps):
            possible = [*self.possible()]
            counts.append(len(possible))
            await self.step(possible[choices[number] if number < len(choices) else 0])
        return counts

    async def settle(self) -> None:
        """Let everything arrive and be heard, until nothing happens any more."""
        for _ in range(_SETTLING_ROUNDS):
            before = self.store.revision
            for running in self.nodes.values():
                while running.shared.requests or running.shared.unheard is not None:
                    if running.shared.requests:
                        await self._arrives(running)
                    else:
                        await self._hears(running)
                    await self._still()
            while self._late:
                await self._late_one_arrives()
            if self.leader is not None and self.nodes[self.leader].token != self.store.token:
                await self._lease_ends()  # nobody keeps it
            await self._moment()
            await self._still()
            if self.store.revision == before and self.is_settled:
                return
        raise AssertionError("they do not agree")

    @property
    def is_settled(self) -> bool:
        """Whether the members agree, one of them leads, and all that is due was written."""
        stay = [one for one in self.nodes.values() if not isinstance(one.node.member.trouble, Expelled)]
        nodes = [one.node.member for one in stay]
        plans = [one.node.tickets.plan for one in stay]
        rings = [one.rings.plans for one in stay]
        epoch = nodes[0].key.epoch
        return (
            all(one.trouble is None and one.key == nodes[0].key for one in nodes)
            and sum(one.is_leading for one in nodes) == 1
            and place_of(epoch + 1) not in self.store.entries
            and all(plan is not None and plan == plans[0] and plan.epoch == epoch for plan in plans)
            and all(one == rings[0] for one in rings)
            and all(one.epoch == epoch and not one.needs_key(self._world.now) for one in rings[0].values())
        )

    def judge(self) -> None:
        """No two writers of one object: not without the lead, not of one number, and not in an epoch that is over."""
        writers = {one.revision: one for one in self.written}
        numbered = {name: Numbered() for name in (TICKETS, *(RINGS + ring for ring in self._rings))}
        begun: set[str] = set()
        for change in self.store.history:
            if change.stored is None or change.name == LEADER:
                continue
            if change.name == FOUNDED:  # as it was: who expels a node writes it again
                assert change.stored.value == self._founded
                continue
            document = json.loads(change.stored.value)
            epoch = document["epoch"]
            assert place_of(epoch + 1) not in begun, f"{change.name} was written in an epoch that was over"
            if change.name in numbered:
                written = writers[change.revision]
                # any node rotates a ring
                assert written.is_of_leader or change.name != TICKETS, "written without the lead"
                assert written.writer == document["writer"], "written for another one"
                numbered[change.name].add(epoch, self._keys[epoch].open(change.name, change.stored.value))
            elif change.name.startswith(EPOCHS):
                assert change.name not in begun, "an epoch began twice"
                begun.add(change.name)

    async def end(self) -> None:
        for running in self.nodes.values():
            await running.killed()


def served_by(name: str, rings: Sequence[str]) -> FakeRings:
    """The rings of a node before it was a member."""
    made = {ring: Keyring.fresh(ring, name.encode().ljust(32), NOW - 50) for ring in rings}
    return FakeRings(made, None, dict.fromkeys(rings, POLICY))


async def explored(fleet: Fleet, loop: StillLoop, beginning: Sequence[str], steps: int) -> Counter[str]:
    """Try every schedule that begins so; in how many of them each thing happened, and "" for all."""
    happened: Counter[str] = Counter()
    choices: list[int] | None = []
    while choices is not None:
        model = Model(fleet, loop)
        try:
            for name in NAMES:
                await model.start(name)
            for name in beginning:
                await model.step(next(one for one in model.possible() if one.name == name))
            counts = await model.run(choices, steps)
            await model.settle()
            model.judge()
        except AssertionError as error:
            error.add_note("after: " + "; ".join(model.course))
            raise
        finally:
            await model.end()
        happened.update({*model.course, ""})
        choices = following(choices, counts)
    return happened


def following(choices: Sequence[int], counts: Sequence[int]) -> list[int] | None:
    """The choices after these, where a place has so many: as an odometer counts, from the last place on. None after the last ones."""
    places = [*choices, *[0] * (len(counts) - len(choices))]
    while places:
        last = places.pop()
        if last + 1 < counts[len(places)]:
            return [*places, last + 1]
    return None


def all_schedules(directory: Path, beginning: Sequence[str], steps: int, rings: Sequence[str] = ()) -> Counter[str]:
    """As `explored`, with a fleet of its own that has these rings."""
    fleet = asyncio.run(Fleet.made(directory, rings))
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=StillLoop) as runner:
        for module in ("member", "kinds.keys.rings"):
            patch.setattr(f"proxy.supervisor.membership.{module}.in_thread", at_once)
        loop = runner.get_loop()
        assert isinstance(loop, StillLoop)
        return runner.run(explored(fleet, loop, beginning, steps))


async def at_once(_: object, work: Callable[[], Result]) -> Result:
    """Work that needs no thread here."""
    return work()
