"""What the pools of HTTP/1.1 connections have in common: bounded dials, and shares by client."""

from typing import Final

from proxy.http.responses import ResponseReader
from proxy.net.byte_stream import ByteStream
from proxy.upstream.http1.connection import UpstreamConnection
from proxy.upstream.pooling.dial import dial_for
from proxy.upstream.pooling.pools import PoolFigures, PoolOwner, PoolResources, PoolSettings, dial_failure
from proxy.upstream.pooling.shares import Shares
from proxy.upstream.pooling.statistics import StreamCounts
from proxy.upstream.pooling.waiting import Borrower, WaitingLine


class Dial:
    """A dial in progress, for a borrower."""

    def __init__(self, pool: "HttpPool", connection: UpstreamConnection, borrower: Borrower, holder: bytes) -> None:
        self.pool = pool
        self.connection = connection
        self.borrower = borrower
        self.holder = holder

    def dial_succeeded(self, stream: ByteStream) -> None:
        self.pool.dialled(self, stream)

    def dial_failed(self, error: BaseException) -> None:
        self.pool.not_dialled(self, error)


class HttpPool:
    """The connections to one server. Its `owner` is set before the first request.

    A base class: its heirs decide who gets an idle connection.
    """

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
        self._open: set[UpstreamConnection] = set()
        self._dials = 0
        self._shares = Shares(limits.connections)
        self.line: Final = WaitingLine(self.name, limits, self._shares, resources.deadlines, self._clock)
        self.requests = 0
        self.http2: Final = StreamCounts()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.figures()}>"

    @property
    def _unused(self) -> int:
        """How many connections are idle."""
        raise NotImplementedError

    @property
    def exchanges(self) -> int:
        return len(self._open) - self._unused + self._dials + self.line.waiting

    def figures(self) -> PoolFigures:
        """How many connections and requests there are now."""
        return PoolFigures(len(self._open), self._unused, self._dials, self.line.waiting, 0)

    @property
    def _has_room(self) -> bool:
        return len(self._open) + self._dials < self.settings.limits.connections

    def _serve_queue(self) -> None:
        """Give what is free to waiting requests whose clients may have more."""
        raise NotImplementedError

    # -- dialling

    def _greeting(self, connection: UpstreamConnection, borrower: Borrower) -> bytes:
        """The bytes that go before all else on a connection that is made for this borrower."""
        del connection, borrower
        return b""

    def _start_dial(self, borrower: Borrower, holder: bytes) -> None:
        self._dials += 1
        connection = UpstreamConnection(self, self.settings.responses, self._reader, self._clock)
        connection.holder = holder
        made = Dial(self, connection, borrower, holder)
        resources = self._resources
        greeting = self._greeting(connection, borrower)
        resources.tasks.start(dial_for(resources.io, self.settings.dialling, connection, made, greeting))

    def dialled(self, made: Dial, stream: ByteStream) -> None:
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

    def not_dialled(self, made: Dial, error: BaseException) -> None:
        """Tell the borrower. An unexpected error costs no place, and the client no time."""
        self._dials -= 1
        self._shares.give_back(made.holder)
        failure = dial_failure(self.owner, self.name, error)
        if made.borrower.is_waiting:
            made.borrower.upstream_unavailable(failure)
        if isinstance(error, Exception):  # at the end of the process, when all dials are cancelled, none is begun
            self._serve_queue()

    # -- the connections' side

    def _give_back(self, connection: UpstreamConnection) -> None:
        """Its client holds it no more."""
        if connection.holder is not None:
            self._shares.give_back(connection.holder)
            connection.holder = None

    def _forget(self, connection: UpstreamConnection) -> None:
        self._resources.deadlines.forget(connection)
        self._give_back(connection)
        self._open.discard(connection)

    def returned(self, connection: UpstreamConnection) -> None:
        raise NotImplementedError

    def closed(self, connection: UpstreamConnection) -> None:
        """It is gone; waiting requests may dial another one."""
        raise NotImplementedError
