"""What all HTTP connections of a loop share, and what one configuration makes of it."""

import asyncio
import itertools
import secrets
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from time import perf_counter
from typing import Protocol

from proxy.deadlines import Deadlines
from proxy.downstream.admission import RouteTarget
from proxy.http.chunked import ChunkLimits
from proxy.http.head import HeadLimits
from proxy.http.routing import RouteTable
from proxy.http.websocket import WebSocketLimits
from proxy.observe.access_log import RequestRecord


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits on what clients may send and how long they may take; seconds and bytes."""

    head_bytes: int
    head: HeadLimits
    chunks: ChunkLimits
    pipelined_bytes: int
    head_seconds: float
    keep_alive_seconds: float
    body_idle_seconds: float
    write_idle_seconds: float
    websocket: WebSocketLimits
    websocket_idle_seconds: float
    websocket_close_seconds: float


@dataclass(frozen=True, slots=True)
class HttpRuntime:
    """Everything that one configuration says about requests. A connection asks for the current one at each request."""

    routes: RouteTable[RouteTarget]
    limits: HttpLimits
    logs_query: bool


class Drainable(Protocol):
    """A connection that can be asked to come to an end."""

    def drain(self, seconds: float) -> None:
        """Finish what is under way, start nothing new, close; long-lived ones at some moment within `seconds`."""

    def give_up(self, reason: str) -> None:
        """End at once; `reason` is for the log."""


class HttpService:
    """Shared by all connections of one loop."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        deadlines: Deadlines,
        runtime: HttpRuntime,
        log: Callable[[RequestRecord], None],
        wall_clock: Callable[[], float],
    ) -> None:
        """`wall_clock` gives UNIX seconds, for logs and `Date` only."""
        self.loop = loop
        self.clock = loop.time
        # the loop's clock stands still during a turn and counts whole milliseconds: too coarse for the log
        self.stopwatch = perf_counter
        self.deadlines = deadlines
        self.runtime = runtime
        self.log = log
        self.wall_clock = wall_clock
        self._connections: set[Drainable] = set()
        self._quiet = asyncio.Event()
        self.is_draining = False
        self._drain_ends_at = 0.0
        # unique over processes and restarts by the prefix, within one by the number
        self._id_prefix = secrets.token_hex(8)
        self._ids = itertools.count(1)
        self._date = b""
        self._date_second = 0

    def opened(self, connection: Drainable) -> None:
        """Count a connection in."""
        self._connections.add(connection)
        if self.is_draining:
            connection.drain(max(0.0, self._drain_ends_at - self.clock()))

    def closed(self, connection: Drainable) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        if self.is_draining and not self._connections:
            self._quiet.set()

    def drain(self, seconds: float) -> asyncio.Event:
        """Ask every connection to come to an end; the event is set when the last one has."""
        self.is_draining = True
        self._drain_ends_at = self.clock() + seconds
        for connection in list(self._connections):
            connection.drain(seconds)
        if not self._connections:
            self._quiet.set()
        return self._quiet

    def give_up(self, reason: str) -> None:
        """End every connection at once."""
        for connection in list(self._connections):
            connection.give_up(reason)

    def new_request_id(self) -> bytes:
        """Make an `X-Request-Id`."""
        return b"%s-%x" % (self._id_prefix.encode(), next(self._ids))

    def date(self) -> bytes:
        """The value of a `Date` field now (RFC 9110 section 5.6.7)."""
        second = int(self.wall_clock())
        if second != self._date_second:
            self._date_second = second
            self._date = formatdate(second, usegmt=True).encode()
        return self._date
