"""When descriptors or memory run short: pause accepting, end idle connections, and continue.

Theory of operation. The kernel gives a new descriptor the lowest number that is free. So the number
of an accepted connection tells how many are in use, at no cost. Above some number only the reserve
is left. It is for connections to upstreams and for the log: to accept more clients than can be
served helps none of them. Tunnels may take only a part of what is not reserved: they last, and so
they could end accepting for good (`downstream.requests.tunnel_places`). Memory is checked once a
second.

If one of the two is short, all listeners of the process pause, and new connections wait in the
kernel or with the listeners of other workers. It is also short where the kernel refuses a socket,
to a client or to a server: the table of the whole machine may be full, or the limit may have
fallen. Ten times a second some connections that wait for their clients are ended
(`idleness.first_to_go`), and all unused connections to upstreams, until there is enough again.

While there is no client, accepting continues even if memory seems short: to wait would gain
nothing.
"""

import errno
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.limits.freed_memory import FreedMemory
from proxy.limits.idleness import Idle
from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import ConnectionReason
from proxy.limits.reserve import DescriptorFigures

# Too short to be noticed, and no busy loop on a readable socket.
_PAUSE_SECONDS: Final = 0.1
_MEMORY_SECONDS: Final = 1.0
# To end one takes some 50 µs: the loop is blocked for less than 2 ms, and 300 a second make room.
_SHED_AT_ONCE: Final = 32
LARGEST_RESERVE: Final = 4
"""The reserve is this part of all descriptors at most: with few of them, clients need some too."""
# What a worker has before the first client: listening sockets, pipes, the log, libraries.
_OWN: Final = 24
# Tunnels (WebSockets, connections of TCP) last, so they get this part of what clients may take. A
# client that only asks something finds the rest, where unused connections make room.
_TUNNELS_PART: Final = 0.75
# One to the client, one to the server.
_OF_A_TUNNEL: Final = 2
_REFUSALS: Final = {
    errno.EMFILE: ConnectionReason.OUT_OF_DESCRIPTORS,
    errno.ENFILE: ConnectionReason.OUT_OF_DESCRIPTORS,
    errno.ENOBUFS: ConnectionReason.OUT_OF_MEMORY,
    errno.ENOMEM: ConnectionReason.OUT_OF_MEMORY,
}


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """What this process may use."""

    descriptor_reserve: int
    memory_bytes: int


class ResourceFigures(DescriptorFigures, Protocol):
    """What this process has taken of both, see `machine`."""

    @property
    def resident_bytes(self) -> int: ...

    def give_memory_back(self) -> float:
        """Return what was freed. Returns how many seconds that took."""


class SheddableConnections(Protocol):
    @property
    def count(self) -> int: ...

    def bound_tunnels(self, most: int) -> None:
        """The descriptors suffice for `most` tunnels."""

    def shed(self, most: int) -> Sequence[Idle]:
        """End idle connections, at most `most` of clients; returns what was ended."""


class Pausable(Protocol):
    @property
    def name(self) -> str: ...

    def pause(self) -> None:
        """Accept no connections until `resume`."""

    def resume(self) -> None: ...


class Scarcity:
    """One per loop."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        figures: ResourceFigures,
        connections: SheddableConnections,
        count: Callable[[str, ConnectionReason, bytes], None],
    ) -> None:
        """Checks begin with `start`.

        `count` gets a listener, a reason, and the client of the connection, if there was one.
        """
        self._loop = loop
        self._figures = figures
        self._connections = connections
        self._count = count
        self._limits: ResourceLimits
        self._listeners: dict[Pausable, None] = {}
        self._freed = FreedMemory(figures.resident_bytes)
        self._memory_timer: TimerHandle | None = None
        self._pause_timer: TimerHandle | None = None
        self.reserve_begins = 0
        """A descriptor with this number, or a higher one, belongs to the reserve."""

    def start(self, limits: ResourceLimits) -> None:
        """Hold the process to these limits from now on, until `stop`; also to change them."""
        self._limits = limits
        self._settle_reserve()
        if self._memory_timer is None:
            self._memory_timer = self._loop.call_later(_MEMORY_SECONDS, self._look_at_memory)

    def _settle_reserve(self) -> None:
        most = self._figures.descriptor_limit
        self.reserve_begins = most - min(self._limits.descriptor_reserve, most // LARGEST_RESERVE)
        for_clients = self.reserve_begins - _OWN
        self._connections.bound_tunnels(max(1, int(for_clients * _TUNNELS_PART) // _OF_A_TUNNEL))

    def stop(self) -> None:
        """Check no more."""
        for timer in (self._memory_timer, self._pause_timer):
            if timer is not None:
                timer.cancel()
        self._memory_timer = self._pause_timer = None

    def watch(self, listener: Pausable) -> None:
        """Pause this listener too while descriptors or memory are short, also now."""
        self._listeners[listener] = None
        if self._pause_timer is not None:
            listener.pause()

    def forget(self, listener: Pausable) -> None:
        """It accepts no connections any more."""
        self._listeners.pop(listener, None)

    def socket_refused(self, code: int) -> None:
        """The kernel gave no socket, by this `errno`. One that is no shortage is ignored."""
        if code in _REFUSALS:
            self.short_of(_REFUSALS[code])

    def short_of(self, reason: ConnectionReason) -> None:
        """Memory is short, or a listener took a descriptor of the reserve."""
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
        self._settle_reserve()  # an operator may have changed the limit meanwhile (prlimit), up or down
        if self._figures.lowest_free_descriptor >= self.reserve_begins or self._is_memory_short():
            self._relieve()
            return
        self._pause_timer = None
        for listener in self._listeners:
            listener.resume()

    def _look_at_memory(self) -> None:
        self._memory_timer = self._loop.call_later(_MEMORY_SECONDS, self._look_at_memory)
        resident = self._figures.resident_bytes
        now = self._loop.time()
        # also that of connections that ended a second ago
        if self._freed.may_be_worth_it(resident, self._connections.count, now) or self._is_memory_short():
            seconds = self._figures.give_memory_back()
            self._freed.returned(resident, self._figures.resident_bytes, seconds, now)
            if self._is_memory_short():
                self.short_of(ConnectionReason.OUT_OF_MEMORY)

    def _is_memory_short(self) -> bool:
        return self._figures.resident_bytes > self._limits.memory_bytes and self._connections.count > 0
