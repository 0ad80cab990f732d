"""Connections to one server that speaks HTTP/2: many streams on few connections.

Theory of operation. As `http1.pool`, but what is lent is a stream. The first connection with room
gets the next request. Another one is dialled when all have as many streams as their server takes,
up to `connections`. Requests that come while one is dialled wait for it, as many as it may take.
A WebSocket keeps its stream, but counts for no client and, once others like it have taken up the
connection, for no connection: they last, and requests continue.
"""

from typing import Final

from proxy.http.responses import ResponseReader
from proxy.http2.fields.forwarded_fields import ForwardedFields
from proxy.net.byte_stream import ByteStream
from proxy.upstream.http2.connection import StreamConnection, StreamResources
from proxy.upstream.http2.limits import STREAMS, session_limits
from proxy.upstream.http2.stream import UpstreamStream
from proxy.upstream.pooling.dial import dial_for
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.pooling.pools import PoolFigures, PoolOwner, PoolResources, PoolSettings, dial_failure
from proxy.upstream.pooling.shares import Shares
from proxy.upstream.pooling.statistics import StreamCounts
from proxy.upstream.pooling.waiting import Borrower, WaitingLine


class _Expected:
    """A connection that is dialled, until the server's SETTINGS came, and who waits for it."""

    def __init__(self, pool: "StreamPool", connection: StreamConnection) -> None:
        self.pool = pool
        self.connection = connection
        self.joined: list[tuple[Borrower, bytes]] = []

    def dial_succeeded(self, stream: ByteStream) -> None:
        self.connection.stream = stream
        self.connection.begin()

    def dial_failed(self, error: BaseException) -> None:
        self.pool.not_dialled(self, error)


class StreamPool:
    """The connections to one server. Its `owner` is set before the first request."""

    owner: PoolOwner
    has_websockets: Final = True

    def __init__(self, settings: PoolSettings, resources: PoolResources) -> None:
        """The first request dials the first connection."""
        self.name: Final = str(settings.dialling.address)
        self.settings: Final = settings
        self._resources: Final = resources
        self.http2: Final = StreamCounts()
        loop = resources.io.loop
        self._shared: Final = StreamResources(
            loop=loop,
            after_reports=resources.io.after_reports,
            deadlines=resources.deadlines,
            session_limits=session_limits(settings.responses.head_bytes, settings.responses.head),
            responses=settings.responses,
            reader=ResponseReader(2),
            fields=ForwardedFields(b"http" if settings.dialling.tls is None else b"https"),
            ready_seconds=settings.dialling.connect_seconds,
            counts=self.http2,
        )
        limits = settings.limits
        self._shares: Final = Shares(limits.connections * STREAMS)
        self.line: Final = WaitingLine(self.name, limits, self._shares, resources.deadlines, loop.time)
        self._open: list[StreamConnection] = []
        self._opening: list[_Expected] = []
        self.requests = 0

    def __repr__(self) -> str:
        return f"<StreamPool {self.name} {self.figures()}>"

    @property
    def exchanges(self) -> int:
        return self._shares.in_use + self.line.waiting

    def figures(self) -> PoolFigures:
        idle = sum(not connection.lent for connection in self._open)
        streams = sum(connection.lent for connection in self._open)
        return PoolFigures(len(self._open), idle, len(self._opening), self.line.waiting, streams)

    def acquire(self, borrower: Borrower) -> None:
        """Lend a stream, dial a connection, or queue the borrower; refuse if the queue is full."""
        self.requests += 1
        self.http2.requests += 1
        self._seek(borrower)

    def lend_again(self, carrier: UpstreamStream) -> None:
        self._seek(carrier)

    def _seek(self, borrower: Borrower) -> None:
        holder = borrower.holder
        if self._shares.take(holder):
            if self._give(borrower, holder):
                return
            self._shares.give_back(holder)
        self.line.enqueue(borrower)

    def _give(self, borrower: Borrower, holder: bytes) -> bool:
        """Lend a stream, or let the borrower wait for a connection. Its share is taken."""
        for connection in self._open:
            if connection.has_room:
                borrower.upstream_acquired(connection.lend(holder))
                return True
        for opening in self._opening:
            if len(opening.joined) < STREAMS:
                opening.joined.append((borrower, holder))
                return True
        if self._may_dial:
            self._start_dial(borrower, holder)
            return True
        return False

    def _serve_queue(self) -> None:
        """Give what is free to waiting requests whose clients may have more."""
        while self.line.waiting and self._has_place:
            waiting = self.line.next()
            if waiting is None:
                return
            self._give(waiting.borrower, waiting.holder)

    @property
    def _has_place(self) -> bool:
        return (
            any(connection.has_room for connection in self._open)
            or any(len(opening.joined) < STREAMS for opening in self._opening)
            or self._may_dial
        )

    @property
    def _may_dial(self) -> bool:
        """Whether there may be one connection more.

        Those that WebSockets have taken up do not count, so WebSockets take no connection from
        requests, as with HTTP/1.1.
        """
        counted = len(self._opening) + sum(not connection.is_taken_up for connection in self._open)
        return counted < self.settings.limits.connections

    # -- dialling

    def _start_dial(self, borrower: Borrower, holder: bytes) -> None:
        opening = _Expected(self, StreamConnection(self, self._shared))
        opening.joined.append((borrower, holder))
        self._opening.append(opening)
        dialling = dial_for(self._resources.io, self.settings.dialling, opening.connection, opening)
        self._resources.tasks.start(dialling)

    def ready(self, connection: StreamConnection) -> None:
        """As `ConnectionKeeper` says: lend it to those that wait for it."""
        opening = self._opening_of(connection)
        assert opening is not None  # it becomes ready once
        self._opening.remove(opening)
        self._open.append(connection)
        self._shares.resize(self.settings.limits.connections * max(1, connection.session.most_streams))
        self.owner.dialled(None)
        # until now it was not known how many streams there are to share
        for _, holder in opening.joined:
            self._shares.give_back(holder)
        for borrower, _ in opening.joined:
            if borrower.is_waiting:
                self._seek(borrower)
        self._serve_queue()

    def _opening_of(self, connection: StreamConnection) -> _Expected | None:
        return next((one for one in self._opening if one.connection is connection), None)

    def not_dialled(self, opening: _Expected, error: BaseException) -> None:
        """Tell the borrowers. An unexpected error costs no place, and clients no time."""
        self._opening.remove(opening)
        failure = dial_failure(self.owner, self.name, error)
        for _, holder in opening.joined:
            self._shares.give_back(holder)
        for borrower, _ in opening.joined:
            if borrower.is_waiting:
                borrower.upstream_unavailable(failure)
        if isinstance(error, Exception):  # at the end of the process, when all dials are cancelled, none is begun
            self._serve_queue()

    # -- the connections' side

    def switched(self, holder: bytes) -> None:
        self._shares.give_back(holder)
        if self.line.waiting:
            self._serve_queue()

    def released(self, connection: StreamConnection, holder: bytes | None) -> None:
        """As `ConnectionKeeper` says: serve those that wait, or keep it for later requests."""
        if holder is not None:
            self._shares.give_back(holder)
        if self.line.waiting:
            self._serve_queue()
        if not connection.lent:
            if self.owner.keeps_idle and not connection.session.is_going_away:
                connection.keep_unused()
            else:
                connection.leave()

    def lost(self, connection: StreamConnection, reason: str) -> None:
        """As `ConnectionKeeper` says. A connection that was not ready is a dial that failed."""
        opening = self._opening_of(connection)
        if opening is not None:
            self.not_dialled(opening, UpstreamFailure(UpstreamFault.NOT_HTTP2, f"{self.name}: {reason}"))
        elif connection in self._open:
            self._open.remove(connection)
            self._serve_queue()

    def close_idle(self) -> None:
        """Close connections without streams."""
        for connection in list(self._open):
            if not connection.lent:
                connection.leave()
