"""What happens when descriptors or memory run short."""

import errno
from collections import Counter
from dataclasses import dataclass, field

import pytest

from proxy.limits.idleness import Idle, Shown
from proxy.limits.reasons import ConnectionReason
from proxy.limits.scarcity import ResourceLimits, Scarcity
from tests.fakes import FakeFigures, FakeLoop

LIMITS = ResourceLimits(descriptor_reserve=100, memory_bytes=1_000_000)


@dataclass(eq=False)
class FakeListener:
    """A listener that is told to pause."""

    name: str
    is_paused: bool = False

    def pause(self) -> None:
        """Note it."""
        self.is_paused = True

    def resume(self) -> None:
        """Note it."""
        assert self.is_paused
        self.is_paused = False


@dataclass
class FakeConnections:
    """Idle connections, each of which is worth a descriptor and 10,000 bytes."""

    figures: FakeFigures
    idle: int = 0
    in_use: int = 0
    sheds: list[int] = field(default_factory=list)
    tunnels: int = 0

    @property
    def count(self) -> int:
        """All."""
        return self.idle + self.in_use

    def bound_tunnels(self, most: int) -> None:
        """Note it."""
        self.tunnels = most

    def shed(self, most: int) -> list[Idle]:
        """End idle ones."""
        ended = min(most, self.idle)
        self.idle -= ended
        self.figures.lowest_free_descriptor -= ended
        self.figures.garbage += 10_000 * ended
        self.sheds.append(ended)
        return [Idle(Shown.HANDSHAKE, 0.0, "public", b"some")] * ended


class World:
    """Two listeners in one process."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.figures = FakeFigures(resident_bytes=500_000)
        self.connections = FakeConnections(self.figures)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.scarcity = Scarcity(self.loop, self.figures, self.connections, self.count)
        self.scarcity.start(LIMITS)
        self.listeners = [FakeListener("public"), FakeListener("internal")]
        for listener in self.listeners:
            self.scarcity.watch(listener)

    def count(self, listener: str, reason: ConnectionReason, client: bytes) -> None:
        """Count a reason."""
        assert client == (b"some" if reason is ConnectionReason.SHED_IDLE else b"")
        self.counts[listener, reason.value] += 1

    @property
    def paused(self) -> list[bool]:
        """Who is paused."""
        return [listener.is_paused for listener in self.listeners]


@pytest.fixture
def world() -> World:
    return World()


class TestDescriptors:
    @pytest.mark.parametrize(
        ("limit", "reserve", "begins"),
        [(1_000, 100, 900), (1_000, 900, 750), (64, 256, 48), (1_000, 0, 1_000)],
    )
    def test_the_reserve_is_a_quarter_of_all_at_most(self, world: World, limit: int, reserve: int, begins: int) -> None:
        world.figures.descriptor_limit = limit
        world.scarcity.start(ResourceLimits(reserve, 1_000_000))
        assert world.scarcity.reserve_begins == begins

    @pytest.mark.parametrize(("limit", "most"), [(20_000, 7_395), (1_024, 279), (256, 63), (16, 1)])
    def test_tunnels_get_three_quarters_of_what_is_not_reserved(self, world: World, limit: int, most: int) -> None:
        """Each takes two; the limit may change while the process serves."""
        world.figures.descriptor_limit = limit
        world.scarcity.start(ResourceLimits(256, 1_000_000))
        assert world.connections.tunnels == most
        world.figures.descriptor_limit = 1_024
        world.scarcity.short_of(ConnectionReason.OUT_OF_DESCRIPTORS)
        world.loop.advance(0.15)
        assert world.connections.tunnels == 279

    def test_all_listeners_pause_until_there_are_enough_again(self, world: World) -> None:
        world.connections.idle = 100
        world.figures.lowest_free_descriptor = 970
        world.scarcity.short_of(ConnectionReason.OUT_OF_DESCRIPTORS)
        assert world.paused == [True, True]
        world.loop.advance(0.15)
        assert world.paused == [True, True]
        world.loop.advance(0.2)
        assert world.paused == [False, False]
        assert world.connections.sheds == [32, 32, 32]
        assert world.counts == {
            ("public", "out_of_descriptors"): 1,
            ("internal", "out_of_descriptors"): 1,
            ("public", "shed_idle"): 96,
        }

    @pytest.mark.parametrize(
        ("code", "reason"), [(errno.EMFILE, "descriptors"), (errno.ENFILE, "descriptors"), (errno.ENOBUFS, "memory")]
    )
    def test_a_socket_that_the_kernel_refuses_is_a_shortage(self, world: World, code: int, reason: str) -> None:
        world.connections.idle = 1
        world.scarcity.socket_refused(code)
        assert (world.paused, world.connections.sheds) == ([True, True], [1])
        assert world.counts["public", f"out_of_{reason}"] == 1

    def test_another_error_ends_nobody(self, world: World) -> None:
        world.scarcity.socket_refused(errno.EADDRNOTAVAIL)
        assert (world.paused, world.connections.sheds) == ([False, False], [])

    def test_a_pause_is_counted_once(self, world: World) -> None:
        for _ in range(3):
            world.scarcity.short_of(ConnectionReason.OUT_OF_DESCRIPTORS)
        assert world.connections.sheds == [0]
        assert world.counts["public", "out_of_descriptors"] == 1

    def test_with_nothing_to_end_it_waits(self, world: World) -> None:
        world.figures.lowest_free_descriptor = 970
        world.scarcity.short_of(ConnectionReason.OUT_OF_DESCRIPTORS)
        world.loop.advance(60)
        assert world.paused == [True, True]
        world.figures.lowest_free_descriptor = 899
        world.loop.advance(0.11)
        assert world.paused == [False, False]

    def test_a_limit_that_was_changed_meanwhile_holds(self, world: World) -> None:
        world.figures.lowest_free_descriptor = world.figures.descriptor_limit = 64
        world.scarcity.short_of(ConnectionReason.OUT_OF_DESCRIPTORS)
        world.loop.advance(1)
        assert (world.paused, world.scarcity.reserve_begins) == ([True, True], 48)
        world.figures.descriptor_limit = 4_000
        world.loop.advance(0.11)
        assert (world.paused, world.scarcity.reserve_begins) == ([False, False], 3_900)

    def test_when_it_is_the_system_that_has_none_it_tries_again(self, world: World) -> None:
        world.scarcity.short_of(ConnectionReason.OUT_OF_DESCRIPTORS)
        world.loop.advance(0.11)
        assert world.paused == [False, False]


class TestMemory:
    def test_enough_is_no_reason_to_do_anything(self, world: World) -> None:
        world.connections.in_use = 5
        world.figures.resident_bytes = 549_000
        world.loop.advance(10)
        assert (world.paused, world.counts, world.figures.given_back) == ([False, False], {}, 0)

    def test_what_a_flood_has_left_is_returned(self, world: World) -> None:
        world.figures.resident_bytes, world.figures.garbage = 900_000, 400_000
        world.loop.advance(1.05)
        assert world.figures.resident_bytes == 500_000
        assert (world.paused, world.figures.given_back) == ([False, False], 1)
        world.loop.advance(60.0)
        assert world.figures.given_back == 1

    def test_idle_connections_are_ended_until_there_is_enough(self, world: World) -> None:
        world.connections.idle, world.connections.in_use = 200, 5
        world.figures.resident_bytes = 1_500_000
        world.loop.advance(1.05)
        assert world.paused == [True, True]
        world.loop.advance(1.1)
        assert world.paused == [False, False]
        assert world.figures.resident_bytes <= 1_000_000
        assert world.counts["public", "out_of_memory"] == world.counts["internal", "out_of_memory"] == 1
        assert world.counts["public", "shed_idle"] == 200

    def test_what_was_freed_already_ends_nobody(self, world: World) -> None:
        world.connections.idle = 200
        world.figures.resident_bytes, world.figures.garbage = 1_500_000, 600_000
        world.loop.advance(1.05)
        assert (world.paused, world.connections.idle) == ([False, False], 200)

    def test_without_clients_there_is_nothing_to_be_gained(self, world: World) -> None:
        world.figures.resident_bytes = 1_500_000
        world.loop.advance(5)
        assert world.paused == [False, False]
        world.connections.in_use = 1
        world.loop.advance(1.05)
        assert world.paused == [True, True]
        world.connections.in_use = 0
        world.loop.advance(0.11)
        assert world.paused == [False, False]


class TestListeners:
    def test_one_that_comes_during_a_pause_is_paused_too(self, world: World) -> None:
        world.scarcity.short_of(ConnectionReason.OUT_OF_DESCRIPTORS)
        late = FakeListener("late")
        world.scarcity.watch(late)
        assert late.is_paused
        world.loop.advance(0.11)
        assert not late.is_paused

    def test_one_that_has_ended_is_not_resumed(self, world: World) -> None:
        world.scarcity.short_of(ConnectionReason.OUT_OF_DESCRIPTORS)
        world.scarcity.forget(world.listeners[0])
        world.scarcity.forget(world.listeners[0])
        world.loop.advance(0.11)
        assert world.paused == [True, False]

    def test_after_the_stop_nothing_happens_any_more(self, world: World) -> None:
        world.scarcity.short_of(ConnectionReason.OUT_OF_DESCRIPTORS)
        world.scarcity.stop()
        world.scarcity.stop()
        world.loop.advance(10)
        assert world.paused == [True, True]
        assert world.loop.timers == []
