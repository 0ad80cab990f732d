"""Connections to one server that is spoken to by TCP: made for one client each, and never kept.

A connection that is being made has a place among `connections`, and waits for one as a request
does. An established one is counted as load of the server, as a WebSocket is, and takes no place.
"""

from typing import Final

from proxy.net.byte_stream import NO_OWNER, TwoWayStream
from proxy.upstream.pooling.carrier import Carrier
from proxy.upstream.pooling.dial import dial_for
from proxy.upstream.pooling.pools import PoolFigures, PoolOwner, PoolResources, PoolSettings, dial_failure
from proxy.upstream.pooling.shares import Shares
from proxy.upstream.pooling.statistics import StreamCounts
from proxy.upstream.pooling.waiting import Borrower, WaitingLine


class TcpCarrier(Carrier):
    """Lent to one borrower, which takes the stream over at once. It owns the stream until then."""

    def __init__(self, stream: TwoWayStream) -> None:
        """`stream` is connected, and does not read yet."""
        super().__init__(has_frames=False)
        self.stream: Final = stream


class _TcpDial:
    """A dial in progress, for a borrower."""

    def __init__(self, dials: "TcpDials", borrower: Borrower, holder: bytes) -> None:
        self.dials = dials
        self.borrower = borrower
        self.holder = holder

    def dial_succeeded(self, stream: TwoWayStream) -> None:
        self.dials.dialled(self, stream)

    def dial_failed(self, error: BaseException) -> None:
        self.dials.not_dialled(self, error)


class TcpDials:
    """What makes the connections of one server. Its `owner` is set before the first one."""

    owner: PoolOwner
    has_websockets: Final = False

    def __init__(self, settings: PoolSettings, resources: PoolResources) -> None:
        """The first client dials the first connection."""
        self.name: Final = str(settings.dialling.address)
        self.settings: Final = settings
        self._resources: Final = resources
        self._dials = 0
        self._shares = Shares(settings.limits.connections)
        clock = resources.io.loop.time
        self.line: Final = WaitingLine(self.name, settings.limits, self._shares, resources.deadlines, clock)
        self.requests = 0
        self.http2: Final = StreamCounts()

    @property
    def exchanges(self) -> int:
        """Connections that are being made or waited for."""
        return self._dials + self.line.waiting

    def figures(self) -> PoolFigures:
        """How many are being made, and how many wait. Its server counts the established ones."""
        return PoolFigures(0, 0, self._dials, self.line.waiting, 0)

    def acquire(self, borrower: Borrower) -> None:
        """Make a connection, now or later; refuse if the queue is full."""
        self.requests += 1
        holder = borrower.holder
        if self._shares.take(holder):
            self._start_dial(borrower, holder)
        else:
            self.line.enqueue(borrower)

    def _start_dial(self, borrower: Borrower, holder: bytes) -> None:
        self._dials += 1
        made = _TcpDial(self, borrower, holder)
        resources = self._resources
        dialling = self.settings.dialling
        header = b"" if dialling.proxy_header is None else borrower.link.header(dialling.proxy_header)
        resources.tasks.start(dial_for(resources.io, dialling, NO_OWNER, made, header))

    def dialled(self, made: "_TcpDial", stream: TwoWayStream) -> None:
        """Lend the connection; close it if its client has left."""
        self._over(made)
        self.owner.dialled(None)
        if made.borrower.is_waiting:
            made.borrower.upstream_acquired(TcpCarrier(stream))
        else:
            stream.end()
        self._serve_queue()

    def not_dialled(self, made: "_TcpDial", error: BaseException) -> None:
        self._over(made)
        failure = dial_failure(self.owner, self.name, error)
        if made.borrower.is_waiting:
            made.borrower.upstream_unavailable(failure)
        if isinstance(error, Exception):  # at the end of the process, when all dials are cancelled, none is begun
            self._serve_queue()

    def _over(self, made: "_TcpDial") -> None:
        self._dials -= 1
        self._shares.give_back(made.holder)

    def _serve_queue(self) -> None:
        while (waiting := self.line.next()) is not None:
            self._start_dial(waiting.borrower, waiting.holder)

    def close_idle(self) -> None:
        """Ignored: no connection is kept."""
