"""Connections to the servers of one upstream: reuse, bounded dialling, bounded waiting, one server after the other.

`acquire` never waits: the borrower is called back, at once where an idle connection is at hand.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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

    __slots__ = ("borrower", "deadline", "server")

    def __init__(self, server: "Server", borrower: Borrower, deadline: float) -> None:
        self.server = server
        self.borrower = borrower
        self.deadline = deadline

    def deadline_passed(self, now: float) -> None:
        del now
        self.deadline = NEVER
        self.server.give_up(self)


class Server:
    """The connections to one server."""

    def __init__(
        self, dialling: DialSettings, responses: ResponseLimits, limits: ServerLimits, resources: PoolResources
    ) -> None:
        """Nothing is dialled before the first request."""
        self.name = str(dialling.address)
        self._dialling = dialling
        self._responses = responses
        self._reader = ResponseReader()
        self._limits = limits
        self._resources = resources
        self._idle: list[UpstreamConnection] = []
        self._open: set[UpstreamConnection] = set()
        self._dials = 0
        self._queue: deque[_Waiting] = deque()

    def __repr__(self) -> str:
        """Show the state in numbers."""
        return f"<Server {self.name} open={len(self._open)} idle={len(self._idle)} dialling={self._dials} waiting={len(self._queue)}>"

    @property
    def load(self) -> int:
        """Exchanges under way or waiting."""
        return len(self._open) - len(self._idle) + self._dials + len(self._queue)

    def acquire(self, borrower: Borrower) -> None:
        """Lend an idle connection, or dial one, or queue the borrower; refuse when the queue is full."""
        while self._idle:
            connection = self._idle.pop()  # the one used last: the server is least likely to have closed it
            if connection.is_idle:
                borrower.upstream_acquired(connection)
                return
        if len(self._open) + self._dials < self._limits.connections:
            self._dials += 1
            self._resources.tasks.start(self._dial(borrower))
        elif self._has_room_to_wait():
            waiting = _Waiting(self, borrower, self._resources.io.loop.time() + self._limits.wait_seconds)
            self._queue.append(waiting)
            self._resources.deadlines.watch(waiting)
        else:
            borrower.upstream_unavailable(UpstreamFailure(UpstreamFault.BUSY, self.name))

    def _has_room_to_wait(self) -> bool:
        """Whether one more may wait. Those whose clients left meanwhile keep nobody out."""
        if len(self._queue) >= self._limits.waiting:
            for waiting in [one for one in self._queue if not one.borrower.is_waiting]:
                self._queue.remove(waiting)
                self._resources.deadlines.forget(waiting)
        return len(self._queue) < self._limits.waiting

    async def _dial(self, borrower: Borrower) -> None:
        resources = self._resources
        connection = UpstreamConnection(self, self._responses, self._reader, resources.io.loop.time)
        try:
            connection.stream = await dial(resources.io, self._dialling, connection)
        except UpstreamFailure as failure:
            self._dials -= 1
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
        self._resources.deadlines.forget(waiting)
        if waiting.borrower.is_waiting:
            waiting.borrower.upstream_unavailable(UpstreamFailure(UpstreamFault.BUSY, self.name))

    def returned(self, connection: UpstreamConnection) -> None:
        """Keep the connection for the next exchange, or give it to the one that waits longest."""
        borrower = self._next_waiting() if self._queue else None
        if borrower is not None:
            borrower.upstream_acquired(connection)
        else:
            self._idle.append(connection)

    def closed(self, connection: UpstreamConnection) -> None:
        """Forget the connection; whoever waits may dial in its place."""
        self._resources.deadlines.forget(connection)
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._serve_queue()

    def _serve_queue(self) -> None:
        borrower = self._next_waiting()
        if borrower is not None:
            self.acquire(borrower)

    def _next_waiting(self) -> Borrower | None:
        while self._queue:
            waiting = self._queue.popleft()
            self._resources.deadlines.forget(waiting)
            if waiting.borrower.is_waiting:
                return waiting.borrower
        return None

    def close_idle(self) -> None:
        """Close what nobody uses."""
        for connection in list(self._idle):
            connection.close_idle()
        self._idle.clear()


class Upstream:
    """The servers of one `[upstream.NAME]`; a request goes to the one with the fewest exchanges under way."""

    def __init__(self, name: str, servers: Sequence[Server]) -> None:
        """`servers` are tried in order of their load, each once at most for a request."""
        self.name = name
        self.servers = tuple(servers)
        self._turn = 0

    def choose(self, tried: Sequence[Server] = ()) -> Server | None:
        """Pick the least loaded server that was not tried yet, in turn among equals; None when all were tried."""
        count = len(self.servers)
        if count == 1:
            return None if tried else self.servers[0]
        self._turn += 1
        in_turn = (self.servers[(self._turn + i) % count] for i in range(count))
        return min((one for one in in_turn if one not in tried), key=lambda one: one.load, default=None)
