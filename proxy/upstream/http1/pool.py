"""Connections to one server: reuse, bounded dialling, bounded waiting, shares by client.

`acquire` never waits; the pool calls the borrower back. It does so at once if there is an idle
connection and the client holds no more than its share. Clients take turns in the queue.
"""

from proxy.upstream.http1.connection import UpstreamConnection
from proxy.upstream.http1.http_pool import HttpPool
from proxy.upstream.pooling.pools import PoolResources, PoolSettings
from proxy.upstream.pooling.waiting import Borrower, Waiting


class Pool(HttpPool):
    """Any idle connection serves any request."""

    def __init__(self, settings: PoolSettings, resources: PoolResources) -> None:
        super().__init__(settings, resources)
        self._idle: list[UpstreamConnection] = []

    @property
    def _unused(self) -> int:
        return len(self._idle)

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
            # the one that was used last: the server is least likely to have closed it
            connection = self._idle.pop()
            if connection.is_idle:
                return connection
        return None

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

    # -- the connections' side

    def returned(self, connection: UpstreamConnection) -> None:
        """Give the connection to the next waiting request, or keep it for a later exchange."""
        self._give_back(connection)
        waiting = self.line.next() if self.line.waiting else None
        if waiting is not None:
            self._lend(connection, waiting)
            self._serve_queue()  # the client that returned it may have another one now
        elif self.owner.keeps_idle:
            self._idle.append(connection)
        else:
            connection.close_idle()

    def closed(self, connection: UpstreamConnection) -> None:
        self._forget(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._serve_queue()

    def close_idle(self) -> None:
        for connection in list(self._idle):
            connection.close_idle()
        self._idle.clear()
