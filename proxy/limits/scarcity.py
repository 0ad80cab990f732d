"""When descriptors or memory run short: accept nobody for a moment, end what nobody uses, and go on.

Theory of operation. The kernel gives a new descriptor the lowest number that is free, so the number of an accepted connection
tells how many are in use, for nothing. From some number on only the reserve is left, which is for connections to upstreams and
for the log: accepting more clients than can be served helps none of them. Memory is looked at once a second. In either case all
listeners of the process pause, and their connections wait in the kernel or with the listeners of other workers. Ten times a
second a bounded number of connections that wait for their clients is ended, see `idleness.first_to_go`, as are
all unused connections to upstreams, until there is enough again.

Without any client, accepting goes on even if memory seems short: there is nothing to be gained by waiting.
"""

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.limits.idleness import Idle
from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import ConnectionReason

# Soon enough that nobody notices, and no spinning on a readable socket.
_PAUSE_SECONDS: Final = 0.1
_MEMORY_SECONDS: Final = 1.0
# To end one takes some 50 µs: the loop is held for less than two milliseconds, and 300 a second make room.
_SHED_AT_ONCE: Final = 32
# The reserve is this part of all descriptors at most: with few of them, clients need some too.
_LARGEST_RESERVE: Final = 4


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """What this process may use."""

    descriptor_reserve: int
    memory_bytes: int


class ResourceFigures(Protocol):
    """What it has taken, see `machine`."""

    @property
    def descriptor_limit(self) -> int:
        """How many descriptors it may have."""

    @property
    def lowest_free_descriptor(self) -> int:
        """The number of the next one."""

    @property
    def resident_bytes(self) -> int:
        """The memory that it holds."""

    def give_memory_back(self) -> None:
        """Return what was freed."""


class SheddableConnections(Protocol):
    """All connections of the process."""

    @property
    def count(self) -> int:
        """How many clients there are."""

    def shed(self, most: int) -> Sequence[Idle]:
        """End what nobody uses, `most` clients at most; answers what was ended."""


class Pausable(Protocol):
    """A listener."""

    @property
    def name(self) -> str:
        """As counters call it."""

    def pause(self) -> None:
        """Accept nobody until `resume`."""

    def resume(self) -> None:
        """Accept again."""


class Scarcity:
    """One per loop."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        figures: ResourceFigures,
        connections: SheddableConnections,
        count: Callable[[str, ConnectionReason, bytes], None],
    ) -> None:
        """`count` gets a listener, a reason, and whose connection it was, if anybody's. Nothing is short before `start`."""
        self._loop = loop
        self._figures = figures
        self._connections = connections
        self._count = count
        self._limits: ResourceLimits
        self._listeners: dict[Pausable, None] = {}
        self._memory_timer: TimerHandle | None = None
        self._pause_timer: TimerHandle | None = None
        self.reserve_begins = 0
        """A descriptor with this number is of the reserve."""

    def start(self, limits: ResourceLimits) -> None:
        """Hold the process to these limits from now on, until `stop`; also to change them."""
        self._limits = limits
        self._settle_reserve()
        if self._memory_timer is None:
            self._memory_timer = self._loop.call_later(_MEMORY_SECONDS, self._look_at_memory)

    def _settle_reserve(self) -> None:
        most = self._figures.descriptor_limit
        self.reserve_begins = most - min(self._limits.descriptor_reserve, most // _LARGEST_RESERVE)

    def stop(self) -> None:
        """Look no more."""
        for timer in (self._memory_timer, self._pause_timer):
            if timer is not None:
                timer.cancel()
        self._memory_timer = self._pause_timer = None

    def watch(self, listener: Pausable) -> None:
        """Pause this listener too when something is short, now if it is."""
        self._listeners[listener] = None
        if self._pause_timer is not None:
            listener.pause()

    def forget(self, listener: Pausable) -> None:
        """It accepts nobody any more."""
        self._listeners.pop(listener, None)

    def short_of(self, reason: ConnectionReason) -> None:
        """A listener could not accept, or took a descriptor of the reserve."""
        if self._pause_timer is not None:
            return
        for listener in self._listeners:
            self._count(listener.name, reason, EXEMPT)
            listener.pause()
        self._relieve()

    def _relieve(self) -> None:
        for idle in self._connections.shed(_SHED_AT_ONCE):
            self._count(idle.listener, idle.reason, idle.client)
        self._pause_timer = self._loop.call_later(_PAUSE_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._settle_reserve()  # whoever sees that it is short may have changed the limit (prlimit), for the better or the worse
        if self._figures.lowest_free_descriptor >= self.reserve_begins or self._is_memory_short():
            self._relieve()
            return
        self._pause_timer = None
        for listener in self._listeners:
            listener.resume()

    def _look_at_memory(self) -> None:
        self._memory_timer = self._loop.call_later(_MEMORY_SECONDS, self._look_at_memory)
        if self._is_memory_short():
            self._figures.give_memory_back()  # of those that were ended a second ago, too
            if self._is_memory_short():
                self.short_of(ConnectionReason.OUT_OF_MEMORY)

    def _is_memory_short(self) -> bool:
        return self._figures.resident_bytes > self._limits.memory_bytes and self._connections.count > 0
