"""The open connections of a loop: counted, drained, and ended to make room for others."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, Protocol

from proxy.limits.idleness import (
    ALL_TURNS,
    BEFORE_THE_LAST,
    LEAST_IDLE_SECONDS,
    MAKES_ROOM_SECONDS,
    Idle,
    Shown,
    first_to_go,
)

# They are counted four times a second while a limit on connections is near: for a millisecond or
# two.
_MOST_COUNTED: Final = 2_000


class Drainable(Protocol):
    """A connection that the process can ask to end."""

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        """Finish what is in progress, start nothing new, then close.

        A WebSocket is closed at some moment within `seconds`. If gently, an idle connection may
        still have one request answered, so that no request is lost on its way.
        """

    def give_up(self, reason: str) -> None:
        """End at once; `reason` is for the log."""

    def configuration_changed(self, seconds: float) -> None:
        """Go on under the new configuration, or drain within `seconds` if it does not allow it."""


class Sheddable(Drainable, Protocol):
    """A connection that can end at once while it waits for its client, to make room for others.

    Or a WebSocket, which can do so at any time.
    """

    @property
    def idle(self) -> Idle | None:
        """How idle it is while it waits for its client; None while it has work to do."""

    def shed(self) -> None:
        """End one that is not None there at once."""


class OpenConnections:
    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        # sets that keep their order
        self.connected: Final[dict[Sheddable, None]] = {}
        self.tunnels: Final[dict[Sheddable, None]] = {}
        self._quiet: Final = asyncio.Event()
        self.is_draining = False
        self._drain_ends_at = 0.0
        self._drains_gently = False
        self._room_near_until = 0.0

    @property
    def count(self) -> int:
        """How many connections and WebSockets there are."""
        return len(self.connected) + len(self.tunnels)

    def all(self) -> list[Sheddable]:
        return [*self.connected, *self.tunnels]

    def opened(self, connection: Sheddable) -> None:
        """Count a connection in, until it is `closed`."""
        self.connected[connection] = None
        self._drain_late(connection)

    def tunnel_opened(self, tunnel: Sheddable) -> None:
        """Count a WebSocket in, until it is `closed`."""
        self.tunnels[tunnel] = None
        self._drain_late(tunnel)

    def _drain_late(self, connection: Drainable) -> None:
        if self.is_draining:
            connection.drain(max(0.0, self._drain_ends_at - self.clock()), gently=self._drains_gently)

    def closed(self, connection: Sheddable) -> None:
        """A connection or a WebSocket has ended, if it was `opened`."""
        for kind in (self.connected, self.tunnels):
            kind.pop(connection, None)
        if self.is_draining and not self.count:
            self._quiet.set()

    def drain(self, seconds: float, *, gently: bool = False) -> asyncio.Event:
        """Ask every connection to end. The event is set when the last one has ended.

        Gently: see `Drainable.drain`.
        """
        self.is_draining = True
        self._drains_gently = gently
        self._drain_ends_at = self.clock() + seconds
        for connection in self.all():
            connection.drain(seconds, gently=gently)
        if not self.count:
            self._quiet.set()
        return self._quiet

    def give_up(self, reason: str) -> None:
        for connection in self.all():
            connection.give_up(reason)

    def shed(self, most: int) -> list[Idle]:
        """End at most `most` that are idle (`first_to_go`), and return them.

        The last turn waits for tunnels that close, and for silent ones that just opened.
        """
        now = self.clock()
        is_room_near = now < self._room_near_until or any(_is_young(one.idle, now) for one in self.tunnels)
        idle = self._idle(self.connected, self.tunnels)
        ended = self._end(idle, most, turns=BEFORE_THE_LAST if is_room_near else ALL_TURNS)
        if any(one.shown >= Shown.SILENCE for one in ended):
            self._room_near_until = now + MAKES_ROOM_SECONDS
        return ended

    def shed_idle(self, most: int, listener: str, client: bytes | None = None) -> list[Idle]:
        """End connections of a listener that have no request, of one client or of all.

        Also silent tunnels. Those in use end for other clients alone: else a client at its limit
        would end one for the other without end. Returns those that it ended.
        """
        idle = self._idle(self.connected, self.tunnels)
        return self._end(self._idle_on(idle, listener, client, are_in_use=client is None), most)

    def count_idle(self, listener: str) -> int:
        """How many `shed_idle` could end, at least; of tunnels only the oldest are looked at."""
        idle = self._idle(self.connected, islice(self.tunnels, _MOST_COUNTED))
        return sum(1 for _ in self._idle_on(idle, listener, None, are_in_use=False))

    def _idle_on(
        self, several: Iterator[tuple[Idle, Sheddable]], listener: str, client: bytes | None, *, are_in_use: bool
    ) -> Iterator[tuple[Idle, Sheddable]]:
        for idle, one in several:
            is_meant = idle.listener == listener and (client is None or idle.client == client)
            if is_meant and idle.shown >= Shown.HANDSHAKE and (are_in_use or idle.shown is not Shown.MESSAGES):
                yield idle, one

    def _idle(self, *kinds: Iterable[Sheddable]) -> Iterator[tuple[Idle, Sheddable]]:
        latest = self.clock() - LEAST_IDLE_SECONDS
        for kind in kinds:
            for one in kind:
                idle = one.idle
                if idle is not None and idle.since <= latest:
                    yield idle, one

    def _end(self, candidates: Iterable[tuple[Idle, Sheddable]], most: int, *, turns: int = ALL_TURNS) -> list[Idle]:
        chosen = first_to_go(candidates, most, turns=turns)
        for _, one in chosen:
            one.shed()
        return [idle for idle, _ in chosen]


def _is_young(idle: Idle | None, now: float) -> bool:
    """Whether a tunnel is silent, and not for long enough to be ended."""
    return idle is not None and idle.shown is Shown.SILENCE and idle.since > now - LEAST_IDLE_SECONDS
