"""What all sockets of one loop share: readiness, the read buffer and the sends of this turn.

Theory of operation. A send to a peer that sleeps wakes it. That costs more than the send: 5 µs and
more if the peer runs on this machine, as chat servers behind a proxy often do. So streams do not
send small pieces one by one. They enlist here, and at the end of the loop's turn all of them send,
one right after the other. The first send wakes the peer, which then finds the bytes of the others
before it sleeps again. With 64 busy connections that saves a quarter of the cost of a request.

Reading goes into one fixed buffer: a fresh 64 KiB buffer per read costs more than the rest of a
request together (glibc maps and unmaps it each time). A stream whose reads fill what it may read
gets more room, since each read also wakes the peer for more: in reads of 384 KiB a byte of a large
answer costs three quarters of what it costs in reads of 64 KiB. Streams that are busy in one turn
share that room.
"""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Final

from mypy_extensions import mypyc_attr

from proxy.net.readiness import Ready, SocketReadiness
from proxy.net.time_limit import TimeLimit

# An answer of 64 KiB with its head comes in one read. More would be much where hundreds of clients
# do not take it.
READ_BUFFER_BYTES: Final = 69_632
# Four sends of six TLS records. More would not leave the cache to others, and one turn would take
# longer than the third of a millisecond that this takes.
_MOST_READ_BYTES: Final = 393_216
RELAYED_BYTES: Final = 65_536
# More streams save no more, and the first would wait for the others: 2 ms, at 30 µs each.
_MOST_STREAMS: Final = 64
# To slice a view takes 0.06 µs; chat messages are smaller than this.
_KEPT_VIEWS: Final = 1_024


@mypyc_attr(allow_interpreted_subclasses=True)
class Sender(Ready):
    """A stream that may have bytes to send. A class, as `byte_stream.StreamOwner` is."""

    def flush(self) -> None: ...


def _make_no_room(code: int) -> None: ...


class SharedIo:
    """One per loop."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop: Final = loop
        self.readiness: Final = SocketReadiness(loop, self._reported)
        self._buffer: Final = memoryview(bytearray(_MOST_READ_BYTES))
        self._rooms: Final[dict[int, memoryview]] = {}
        self._views: Final[list[memoryview | None]] = [None] * _KEPT_VIEWS
        self._senders: list[Sender] = []
        self._limits: dict[float, TimeLimit] = {}
        self._then: list[Callable[[], None]] | None = []
        """What comes when the reports are handled; None while that is done."""
        self.socket_refused: Callable[[int], None] = _make_no_room
        """Makes room if the kernel gives no socket, by this `errno`."""

    def time_limit(self, seconds: float) -> TimeLimit:
        """The limit of `seconds`; one object for each number."""
        limit = self._limits.get(seconds)
        if limit is None:
            limit = self._limits[seconds] = TimeLimit(self.loop, seconds)
        return limit

    def room(self, size: int) -> memoryview:
        """The first `size` bytes of the buffer, to read into: one view for all streams."""
        room = self._rooms.get(size)
        if room is None:
            room = self._rooms[size] = self._buffer[:size]
        return room

    def larger_room(self, room: memoryview) -> memoryview:
        """What to read into next, when a read has filled `room`; less where others are as busy."""
        share = _MOST_READ_BYTES // self.readiness.reports
        return self.room(max(READ_BUFFER_BYTES, min(2 * len(room), share)))

    def received(self, count: int) -> memoryview:
        """The first `count` bytes of the buffer, which were just read."""
        if count >= _KEPT_VIEWS:
            return self._buffer[:count]
        view = self._views[count]
        if view is None:
            view = self._views[count] = self._buffer[:count]
        return view

    def after_reports(self, callback: Callable[[], None]) -> None:
        """Call it when the reports of this turn are handled, and send what it writes with the rest.

        Where none are handled now, it is called in the next turn: also what it asks for itself.
        """
        if self.readiness.is_reporting and self._then is not None:
            self._then.append(callback)
        else:
            self.loop.call_soon(callback)

    def _reported(self) -> None:
        try:
            if self._then:
                self._call_all(self._then)
        finally:
            self.readiness.is_reporting = False
            self.flush()

    def _call_all(self, callbacks: list[Callable[[], None]]) -> None:
        self._then = None
        waiting = iter(callbacks)
        try:
            for callback in waiting:
                callback()
        finally:
            self._then = []
            for stranded in waiting:  # by one that failed
                self.loop.call_soon(stranded)

    def enlist(self, sender: Sender) -> None:
        """Flush `sender` when this turn of the loop ends, or at once if many wait already."""
        senders = self._senders
        # after reports `flush` comes by itself: a callback of the loop costs a microsecond
        if not senders and not self.readiness.is_reporting:
            self.loop.call_soon(self.flush)
        senders.append(sender)
        if len(senders) >= _MOST_STREAMS:
            self.flush()

    def flush(self) -> None:
        if not self._senders:
            return
        senders, self._senders = self._senders, []
        waiting = iter(senders)
        try:
            for sender in waiting:
                sender.flush()
        except BaseException:
            # an owner that fails must not stop the sends of the others
            for sender in waiting:
                self.enlist(sender)
            raise
