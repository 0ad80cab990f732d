"""Connections to one server: reuse, bounded dialling, bounded waiting.

`acquire` never waits: the borrower is called back, at once where an idle connection is at hand.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.deadlines import NEVER, Deadlines
from proxy.http.responses import ResponseReader
from proxy.shared_io import SharedIo
from proxy.tasks import Tasks
from proxy.upstream.connection import ResponseLimits, UpstreamConnection
from proxy.upstream.dial import DialSettings, dial
from proxy.upstream.failures import UpstreamFailure, UpstreamFault


class Borrower(Protocol):
    """Whoever asked for a connection; exactly one of the two is called, once, while it is waiting."""

    @property
    def is_waiting(self) -> bool:
        """Whether it still wants one: its client may have left meanwhile."""

    def upstream_acquired(self, connection: UpstreamConnection) -> None:
        """The connection is the borrower's until the response has ended."""

    def upstream_unavailable(self, failure: UpstreamFailure) -> None:
        """There is none to be had."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """How many connections one server may have, how many requests may wait for one, and how long."""

    connections: int
    waiting: int
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class PoolResources:
    """What the pools of a loop share."""

    io: SharedIo
    tasks: Tasks
    deadlines: Deadlines


class _Waiting:
    """A borrower in the queue. Watched by the deadlines."""

    __slots__ = ("borrower", "deadline", "server", "since")

    def __init__(self, server: "Pool", borrower: Borrower, since: float, seconds: float) -> None:
        self.server = server
        self.borrower = borrower
        self.since = since
        self.deadline = since + seconds

    def deadline_passed(self, now: float) -> None:
        del now
        self.deadline = NEVER
        self.server.give_up(self)


class Pool:
    """The connections to one server. What it is told about them goes to `dialled`; it keeps none unless `keeps_idle`."""

    def __init__(
        self, dialling: DialSettings, responses: ResponseLimits, limits: ServerLimits, resources: PoolResources
    ) -> None:
        """Nothing is dialled before the first request."""
        self.name = str(dialling.address)
        self.dialling: Final = dialling
        self.responses: Final = responses
        self.limits: Final = limits
        self._reader = ResponseReader()
        self._resources = resources
        self._clock = resources.io.loop.time
        self._idle: list[UpstreamConnection] = []
        self._open: set[UpstreamConnection] = set()
        self._dials = 0
        self._queue: deque[_Waiting] = deque()
        self.requests = 0
        self.wait_seconds = 0.0

    def __repr__(self) -> str:
        """Show the state in numbers."""
        return f"<{type(self).__name__} {self.name} open={len(self._open)} idle={len(self._idle)} dialling={self._dials} waiting={len(self._queue)}>"

    @property
    def exchanges(self) -> int:
        """Exchanges under way or waiting."""
        return len(self._open) - len(self._idle) + self._dials + len(self._queue)

    @property
    def keeps_idle(self) -> bool:
        """Whether a connection that is not needed now may be needed again."""
        return True

    def dialled(self, fault: UpstreamFault | None) -> None:
        """A connection was made, or there was a fault."""

    def acquire(self, borrower: Borrower) -> None:
        """Lend an idle connection, or dial one, or queue the borrower; refuse when the queue is full."""
        self.requests += 1
        while self._idle:
            connection = self._idle.pop()  # the one used last: the server is least likely to have closed it
            if connection.is_idle:
                borrower.upstream_acquired(connection)
                return
        if self._has_room:
            self._start_dial(borrower)
        elif self._has_room_to_wait():
            waiting = _Waiting(self, borrower, self._clock(), self.limits.wait_seconds)
            self._queue.append(waiting)
            self._resources.deadlines.watch(waiting)
        else:
            borrower.upstream_unavailable(UpstreamFailure(UpstreamFault.BUSY, self.name))

    @property
    def _has_room(self) -> bool:
        return len(self._open) + self._dials < self.limits.connections

    def _start_dial(self, borrower: Borrower) -> None:
        self._dials += 1
        self._resources.tasks.start(self._dial(borrower))

    def _has_room_to_wait(self) -> bool:
        """Whether one more may wait. Those whose clients left meanwhile keep nobody out."""
        if len(self._queue) >= self.limits.waiting:
            for waiting in [one for one in self._queue if not one.borrower.is_waiting]:
                self._queue.remove(waiting)
                self._waited(waiting)
        return len(self._queue) < self.limits.waiting

    async def _dial(self, borrower: Borrower) -> None:
        resources = self._resources
        connection = UpstreamConnection(self, self.responses, self._reader, self._clock)
        try:
            connection.stream = await dial(resources.io, self.dialling, connection)
        except UpstreamFailure as failure:
            self._dials -= 1
            self.dialled(failure.fault)
            if borrower.is_waiting:
                borrower.upstream_unavailable(failure)
            self._serve_queue()
            return
        except BaseException as error:
            # nothing that is expected: it is reported by the task's owner, and must cost neither a place nor the client's time
            self._dials -= 1
            if borrower.is_waiting:
                borrower.upstream_unavailable(UpstreamFailure(UpstreamFault.UNREACHABLE, self.name))
            if isinstance(error, Exception):  # at the end of the process, when all dials are cancelled, none is begun
                self._serve_queue()
            raise
        self._dials -= 1
        self.dialled(None)
        self._open.add(connection)
        resources.deadlines.watch(connection)
        connection.stream.resume_reading()
        if borrower.is_waiting:
            borrower.upstream_acquired(connection)
        else:
            connection.keep_unused()

    def give_up(self, waiting: _Waiting) -> None:
        """Answer a borrower that waited too long."""
        self._queue.remove(waiting)
        self._waited(waiting)
        if waiting.borrower.is_waiting:
            waiting.borrower.upstream_unavailable(UpstreamFailure(UpstreamFault.BUSY, self.name))

    def returned(self, connection: UpstreamConnection) -> None:
        """Keep the connection for the next exchange, or give it to the one that waits longest."""
        borrower = self._next_waiting() if self._queue else None
        if borrower is not None:
            borrower.upstream_acquired(connection)
        elif self.keeps_idle:
            self._idle.append(connection)
        else:
            connection.close_idle()

    def closed(self, connection: UpstreamConnection) -> None:
        """Forget the connection; whoever waits may dial in its place."""
        self._resources.deadlines.forget(connection)
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._serve_queue()

    def _serve_queue(self) -> None:
        borrower = self._next_waiting() if self._has_room else None
        if borrower is not None:
            self._start_dial(borrower)

    def _next_waiting(self) -> Borrower | None:
        while self._queue:
            waiting = self._queue.popleft()
            self._waited(waiting)
            if waiting.borrower.is_waiting:
                return waiting.borrower
        return None

    def _waited(self, waiting: _Waiting) -> None:
        self._resources.deadlines.forget(waiting)
        self.wait_seconds += self._clock() - waiting.since

    def close_idle(self) -> None:
        """Close what nobody uses."""
        for connection in list(self._idle):
            connection.close_idle()
        self._idle.clear()
