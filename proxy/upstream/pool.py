"""Connections to one server: reuse, bounded dialling, bounded waiting, shares by client.

`acquire` never waits; the pool calls the borrower back. It does so at once if there is an idle
connection and the client holds no more than its share. Clients take turns in the queue.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from proxy.http.responses import ResponseReader
from proxy.net.byte_stream import ByteStream
from proxy.net.deadlines import Deadlines
from proxy.net.shared_io import SharedIo
from proxy.net.tasks import Tasks
from proxy.upstream.connection import ResponseLimits, UpstreamConnection
from proxy.upstream.dial import DialSettings, dial_for
from proxy.upstream.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.shares import Shares
from proxy.upstream.statistics import StreamCounts
from proxy.upstream.waiting import Borrower, ServerLimits, Waiting, WaitingLine


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How a server is reached, and what it and its connections are held to."""

    dialling: DialSettings
    responses: ResponseLimits
    limits: ServerLimits


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """Open connections, the idle ones among them, dials under way, requests that wait, streams."""

    open: int
    idle: int
    dialling: int
    waiting: int
    streams: int
    """Streams of HTTP/2 that are lent."""

    def __str__(self) -> str:
        """The numbers with their names."""
        streams = f" streams={self.streams}" if self.streams else ""
        return f"open={self.open} idle={self.idle} dialling={self.dialling} waiting={self.waiting}{streams}"


@dataclass(frozen=True, slots=True)
class PoolResources:
    """What the pools of a loop share."""

    io: SharedIo
    tasks: Tasks
    deadlines: Deadlines


class _Dial:
    """A dial under way, for a borrower."""

    __slots__ = ("borrower", "connection", "holder", "pool")

    def __init__(self, pool: "Pool", connection: UpstreamConnection, borrower: Borrower, holder: bytes) -> None:
        self.pool = pool
        self.connection = connection
        self.borrower = borrower
        self.holder = holder

    def dial_succeeded(self, stream: ByteStream) -> None:
        self.pool.dialled(self, stream)

    def dial_failed(self, error: BaseException) -> None:
        self.pool.not_dialled(self, error)


class PoolOwner(Protocol):
    """The server that a pool belongs to."""

    @property
    def keeps_idle(self) -> bool:
        """Whether a connection that is not needed now may be needed again."""

    def dialled(self, fault: UpstreamFault | None) -> None:
        """A connection was made, or there was a fault."""


class Pool:
    """The connections to one server. Its `owner` is set before the first request."""

    owner: PoolOwner
    has_websockets: Final = True

    def __init__(self, settings: PoolSettings, resources: PoolResources) -> None:
        """The first request dials the first connection."""
        self.name: Final = str(settings.dialling.address)
        self.settings: Final = settings
        limits = settings.limits
        self._reader = ResponseReader()
        self._resources = resources
        self._clock = resources.io.loop.time
        self._idle: list[UpstreamConnection] = []
        self._open: set[UpstreamConnection] = set()
        self._dials = 0
        self._shares = Shares(limits.connections)
        self.line: Final = WaitingLine(self.name, limits, self._shares, resources.deadlines, self._clock)
        self.requests = 0
        self.http2: Final = StreamCounts()

    def __repr__(self) -> str:
        """Show the state in numbers."""
        return f"<Pool {self.name} {self.figures()}>"

    @property
    def exchanges(self) -> int:
        """Exchanges under way or waiting."""
        return len(self._open) - len(self._idle) + self._dials + self.line.waiting

    def figures(self) -> PoolFigures:
        """How many connections and requests there are now."""
        return PoolFigures(len(self._open), len(self._idle), self._dials, self.line.waiting, 0)

    def acquire(self, borrower: Borrower) -> None:
        """Lend an idle connection, dial one, or queue the borrower; refuse if the queue is full."""
        self.requests += 1
        holder = borrower.holder
        if self._shares.take(holder):
            idle = self._idle
            while idle:  # as in `_take_idle`: each request comes this way
                connection = idle.pop()
                if connection.is_idle:
                    connection.holder = holder
                    borrower.upstream_acquired(connection)
                    return
            if self._has_room:
                self._start_dial(borrower, holder)
                return
            self._shares.give_back(holder)
        self.line.enqueue(borrower)

    def _take_idle(self) -> UpstreamConnection | None:
        while self._idle:
            connection = (
                self._idle.pop()
            )  # the connection that was used last: the server is least likely to have closed it
            if connection.is_idle:
                return connection
        return None

    @property
    def _has_room(self) -> bool:
        return len(self._open) + self._dials < self.settings.limits.connections

    # -- waiting requests

    def _lend(self, connection: UpstreamConnection, waiting: Waiting) -> None:
        connection.holder = waiting.holder
        waiting.borrower.upstream_acquired(connection)

    def _serve_queue(self) -> None:
        """Give free connections to waiting requests whose clients may have more."""
        while self.line.waiting:
            connection = self._take_idle()
            if connection is None and not self._has_room:
                return
            waiting = self.line.next()
            if waiting is None:
                if connection is not None:
                    self._idle.append(connection)
                return
            if connection is not None:
                self._lend(connection, waiting)
            else:
                self._start_dial(waiting.borrower, waiting.holder)

    # -- dialling

    def _start_dial(self, borrower: Borrower, holder: bytes) -> None:
        self._dials += 1
        connection = UpstreamConnection(self, self.settings.responses, self._reader, self._clock)
        connection.holder = holder
        made = _Dial(self, connection, borrower, holder)
        self._resources.tasks.start(dial_for(self._resources.io, self.settings.dialling, connection, made))

    def dialled(self, made: "_Dial", stream: ByteStream) -> None:
        """Lend the new connection, or keep it for a later request."""
        connection = made.connection
        connection.stream = stream
        self._dials -= 1
        self.owner.dialled(None)
        self._open.add(connection)
        self._resources.deadlines.watch(connection)
        stream.resume_reading()
        if made.borrower.is_waiting:
            made.borrower.upstream_acquired(connection)
        else:
            connection.keep_unused()

    def not_dialled(self, made: "_Dial", error: BaseException) -> None:
        """Tell the borrower. An unexpected error costs no place, and the client no time."""
        self._dials -= 1
        self._shares.give_back(made.holder)
        if isinstance(error, UpstreamFailure):
            self.owner.dialled(error.fault)
            failure = error
        else:
            failure = UpstreamFailure(UpstreamFault.UNREACHABLE, self.name)
        if made.borrower.is_waiting:
            made.borrower.upstream_unavailable(failure)
        if isinstance(error, Exception):  # at the end of the process, when all dials are cancelled, none is begun
            self._serve_queue()

    # -- the connections' side

    def returned(self, connection: UpstreamConnection) -> None:
        """Give the connection to the next waiting request, or keep it for a later exchange."""
        if connection.holder is not None:
            self._shares.give_back(connection.holder)
            connection.holder = None
        waiting = self.line.next() if self.line.waiting else None
        if waiting is not None:
            self._lend(connection, waiting)
            self._serve_queue()  # the client that returned it may have another one now
        elif self.owner.keeps_idle:
            self._idle.append(connection)
        else:
            connection.close_idle()

    def closed(self, connection: UpstreamConnection) -> None:
        """Forget the connection; waiting requests may dial another one."""
        self._resources.deadlines.forget(connection)
        if connection.holder is not None:
            self._shares.give_back(connection.holder)
            connection.holder = None
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._serve_queue()

    def close_idle(self) -> None:
        """Close idle connections."""
        for connection in list(self._idle):
            connection.close_idle()
        self._idle.clear()
