"""Connections to a server that wants a PROXY header: each belongs to one connection of a client.

Theory of operation. What a request leaves idle is kept for later requests of the same link, and
given to no other one. So `connections` may all be idle while another client waits. Then the one
that was idle for the longest closes, and a new one is dialled in its place. The rest is as in
`pool`: bounded dials, shares by client, and clients that take turns in the queue.
"""

from typing import Final

from config.upstream import ProxyHeaderVersion
from proxy.http.responses import ResponseReader
from proxy.net.byte_stream import ByteStream
from proxy.upstream.client_link import ClientLink
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.dial import dial_for
from proxy.upstream.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.pool import PoolFigures, PoolOwner, PoolResources, PoolSettings
from proxy.upstream.shares import Shares
from proxy.upstream.statistics import StreamCounts
from proxy.upstream.waiting import Borrower, WaitingLine


class _LinkedDial:
    """A dial under way, for a borrower."""

    __slots__ = ("borrower", "connection", "holder", "link", "pool")

    def __init__(
        self, pool: "LinkedPool", connection: UpstreamConnection, borrower: Borrower, link: ClientLink, holder: bytes
    ) -> None:
        self.pool = pool
        self.connection = connection
        self.borrower = borrower
        self.link = link
        self.holder = holder

    def dial_succeeded(self, stream: ByteStream) -> None:
        self.pool.dialled(self, stream)

    def dial_failed(self, error: BaseException) -> None:
        self.pool.not_dialled(self, error)


class LinkedPool:
    """The connections to one server. Its `owner` is set before the first request."""

    owner: PoolOwner
    has_websockets: Final = True

    def __init__(self, settings: PoolSettings, resources: PoolResources, version: ProxyHeaderVersion) -> None:
        """The first request dials the first connection. `version` is that of the headers."""
        self.name: Final = str(settings.dialling.address)
        self.settings: Final = settings
        limits = settings.limits
        self._version: Final = version
        self._reader = ResponseReader()
        self._resources = resources
        self._clock = resources.io.loop.time
        self._links: dict[UpstreamConnection, ClientLink] = {}
        """All open connections."""
        self._idle: dict[UpstreamConnection, None] = {}
        """Those without a request; the one that was idle for the longest comes first."""
        self._kept: dict[ClientLink, list[UpstreamConnection]] = {}
        """The same by their links."""
        self._dials = 0
        self._shares = Shares(limits.connections)
        self.line: Final = WaitingLine(self.name, limits, self._shares, resources.deadlines, self._clock)
        self.requests = 0
        self.http2: Final = StreamCounts()

    def __repr__(self) -> str:
        """Show the state in numbers."""
        return f"<LinkedPool {self.name} {self.figures()}>"

    @property
    def exchanges(self) -> int:
        """Exchanges under way or waiting."""
        return len(self._links) - len(self._idle) + self._dials + self.line.waiting

    def figures(self) -> PoolFigures:
        """How many connections and requests there are now."""
        return PoolFigures(len(self._links), len(self._idle), self._dials, self.line.waiting, 0)

    def acquire(self, borrower: Borrower) -> None:
        """Lend a connection of this link, dial one, or queue the borrower; refuse if the queue is
        full.
        """
        self.requests += 1
        holder = borrower.holder
        if self._shares.take(holder):
            if self._give(borrower, holder):
                return
            self._shares.give_back(holder)
        self.line.enqueue(borrower)

    def _give(self, borrower: Borrower, holder: bytes) -> bool:
        """Lend or dial, if there is a place for it."""
        link = borrower.link
        while (kept := self._kept.get(link)) is not None:
            connection = kept[-1]  # the server is least likely to have closed the one that was used last
            self._take_out(connection, link)
            if connection.is_idle:
                connection.holder = holder
                borrower.upstream_acquired(connection)
                return True
        if not self._has_room:
            if not self._idle:
                return False
            self._end_idle(next(iter(self._idle)))
        self._start_dial(borrower, link, holder)
        return True

    def _take_out(self, connection: UpstreamConnection, link: ClientLink) -> None:
        del self._idle[connection]
        kept = self._kept[link]
        kept.remove(connection)
        if not kept:
            del self._kept[link]

    def _end_idle(self, connection: UpstreamConnection) -> None:
        """Close it. Its place is free at once."""
        self._take_out(connection, self._links.pop(connection))
        connection.close_idle()

    @property
    def _has_room(self) -> bool:
        return len(self._links) + self._dials < self.settings.limits.connections

    def _serve_queue(self) -> None:
        """Give the places that are free to waiting requests whose clients may have more."""
        while self.line.waiting and (self._has_room or self._idle):
            waiting = self.line.next()
            if waiting is None:
                return
            self._give(waiting.borrower, waiting.holder)

    # -- dialling

    def _start_dial(self, borrower: Borrower, link: ClientLink, holder: bytes) -> None:
        self._dials += 1
        connection = UpstreamConnection(self, self.settings.responses, self._reader, self._clock)
        connection.holder = holder
        made = _LinkedDial(self, connection, borrower, link, holder)
        header, dialling = link.header(self._version), self.settings.dialling
        self._resources.tasks.start(dial_for(self._resources.io, dialling, connection, made, header))

    def dialled(self, made: _LinkedDial, stream: ByteStream) -> None:
        """Lend the new connection, or keep it for a later request of its link."""
        connection = made.connection
        connection.stream = stream
        self._dials -= 1
        self.owner.dialled(None)
        self._links[connection] = made.link
        self._resources.deadlines.watch(connection)
        stream.resume_reading()
        if made.borrower.is_waiting:
            made.borrower.upstream_acquired(connection)
        else:
            connection.keep_unused()

    def not_dialled(self, made: _LinkedDial, error: BaseException) -> None:
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
        """Keep the connection for its link, if that may send another request."""
        if connection.holder is not None:
            self._shares.give_back(connection.holder)
            connection.holder = None
        link = self._links[connection]
        if link.keeps_servers and self.owner.keeps_idle:
            self._idle[connection] = None
            self._kept.setdefault(link, []).append(connection)
            link.kept_by(self)
        else:
            del self._links[connection]
            connection.close_idle()
        self._serve_queue()

    def closed(self, connection: UpstreamConnection) -> None:
        """Forget the connection; waiting requests may dial another one."""
        self._resources.deadlines.forget(connection)
        if connection.holder is not None:
            self._shares.give_back(connection.holder)
            connection.holder = None
        link = self._links.pop(connection, None)
        if link is not None and connection in self._idle:
            self._take_out(connection, link)
        self._serve_queue()

    def link_closed(self, link: ClientLink) -> None:
        """Close what is kept for a client that has left."""
        for connection in self._kept.get(link, [])[:]:
            self._end_idle(connection)
        self._serve_queue()

    def close_idle(self) -> None:
        """Close idle connections."""
        for connection in list(self._idle):
            self._end_idle(connection)
