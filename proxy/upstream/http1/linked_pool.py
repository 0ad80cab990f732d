"""Connections to a server that wants a PROXY header: each belongs to one connection of a client.

Theory of operation. What a request leaves idle is kept for later requests of the same link, and
given to no other one. So `connections` may all be idle while another client waits. Then the one
that was idle for the longest closes, and a new one is dialled in its place.
"""

from typing import Final

from config.tables.upstream import ProxyHeaderVersion
from proxy.upstream.http1.connection import UpstreamConnection
from proxy.upstream.http1.http_pool import Dial, HttpPool
from proxy.upstream.pooling.client_link import ClientLink
from proxy.upstream.pooling.pools import PoolResources, PoolSettings
from proxy.upstream.pooling.waiting import Borrower


class LinkedPool(HttpPool):
    """An idle connection serves its own client alone."""

    def __init__(self, settings: PoolSettings, resources: PoolResources, version: ProxyHeaderVersion) -> None:
        """The first request dials the first connection. `version` is that of the headers."""
        super().__init__(settings, resources)
        self._version: Final = version
        self._links: dict[UpstreamConnection, ClientLink] = {}
        self._idle: dict[UpstreamConnection, None] = {}
        """Those without a request; the one that was idle for the longest comes first."""
        self._kept: dict[ClientLink, list[UpstreamConnection]] = {}

    @property
    def _unused(self) -> int:
        return len(self._idle)

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
        self._start_dial(borrower, holder)
        return True

    def _take_out(self, connection: UpstreamConnection, link: ClientLink) -> None:
        del self._idle[connection]
        kept = self._kept[link]
        kept.remove(connection)
        if not kept:
            del self._kept[link]

    def _end_idle(self, connection: UpstreamConnection) -> None:
        self._take_out(connection, self._links[connection])
        self._end(connection)

    def _end(self, connection: UpstreamConnection) -> None:
        """Close it. Its place is free at once."""
        self._open.discard(connection)
        del self._links[connection]
        connection.close_idle()

    def _serve_queue(self) -> None:
        """Give the places that are free to waiting requests whose clients may have more."""
        while self.line.waiting and (self._has_room or self._idle):
            waiting = self.line.next()
            if waiting is None:
                return
            self._give(waiting.borrower, waiting.holder)

    # -- dialling

    def _greeting(self, connection: UpstreamConnection, borrower: Borrower) -> bytes:
        link = self._links[connection] = borrower.link
        return link.header(self._version)

    def not_dialled(self, made: Dial, error: BaseException) -> None:
        del self._links[made.connection]
        super().not_dialled(made, error)

    # -- the connections' side

    def returned(self, connection: UpstreamConnection) -> None:
        """Keep the connection for its link, if that may send another request."""
        self._give_back(connection)
        link = self._links[connection]
        if link.keeps_servers and self.owner.keeps_idle:
            self._idle[connection] = None
            self._kept.setdefault(link, []).append(connection)
            link.kept_by(self)
        else:
            self._end(connection)
        self._serve_queue()

    def closed(self, connection: UpstreamConnection) -> None:
        self._forget(connection)
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
        for connection in list(self._idle):
            self._end_idle(connection)
