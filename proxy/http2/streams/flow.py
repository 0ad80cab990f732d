"""Flow control of what we receive (RFC 9113 5.2, 6.9). Pure.

Theory of operation. A client may send as much as its two windows allow: that of the stream and that
of the connection. Credit follows consumption: bytes that the application has not handed on get
none. So the window of the connection bounds the memory that bodies take.

A WINDOW_UPDATE goes out when half of a window was consumed. The connection gets its credit at once
if less is left of its window than a new stream may send: then bodies that stall fill it, and the
credit is what lets the others continue. The window of a stream grows if it
delays its client: if half of it was sent and consumed within two round trips, the client could
send faster. Then it is doubled (QUIC implementations do the same). A slow application makes that
time longer, so it never makes a window grow.
"""

from collections.abc import Callable
from typing import Final

from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ConnectionFault, ErrorCode, StreamFault
from proxy.http2.wire.limits import SessionLimits
from proxy.http2.wire.settings import DEFAULT_WINDOW

_ROUND_TRIPS: Final = 2.0
# Seconds. The clock of the loop counts milliseconds: a client nearby acknowledges within none. Its
# windows would never grow, and each credit would wake it for 32 KiB, at twice the CPU time. When it
# is busy it answers later than that.
_LEAST_ROUND_TRIP: Final = 0.005


class ReceiveWindow:
    """What a client may send on all streams together. `due` is the credit to send now."""

    def __init__(self, size: int, stream_size: int) -> None:
        """The client learns of `size` by a WINDOW_UPDATE for what it exceeds the default.

        `stream_size` is the first window of a stream: with less the connection holds streams up.
        """
        self._size: Final = size
        self._scarce: Final = stream_size
        self._left = size
        self._consumed = 0
        self.due = 0

    @property
    def first_credit(self) -> int:
        """What the first WINDOW_UPDATE has to add to the default."""
        return self._size - DEFAULT_WINDOW

    def receive(self, size: int) -> None:
        """DATA of `size` bytes, with padding; raises ConnectionFault if that is too much."""
        self._left -= size
        if self._left < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more data than the connection's window")

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left of it, and no credit is due."""
        return self._left + self.due <= 0

    def consume(self, size: int) -> None:
        """Note that `size` bytes were consumed."""
        self._consumed += size
        if self._left < self._scarce or 2 * self._consumed >= self._size:
            self.due = self._consumed

    def credit(self) -> int:
        """What is due; the client may send as much more from now on."""
        credit = self.due
        self._consumed -= credit
        self.due = 0
        self._left += credit
        return credit


class StreamWindows:
    """How the receive windows of streams are used and grow."""

    def __init__(self, limits: SessionLimits, clock: Callable[[], float]) -> None:
        self._clock: Final = clock
        self._most: Final = max(limits.stream_window_bytes, limits.stream_window_most_bytes)
        self.round_trip = 0.0
        """Seconds from our SETTINGS to their acknowledgement; windows grow once it is known."""

    def acknowledged(self, seconds: float) -> None:
        """Our SETTINGS were, after so long."""
        self.round_trip = max(seconds, _LEAST_ROUND_TRIP)

    def receive(self, stream: SessionStream, size: int) -> None:
        """DATA of `size` bytes, with padding; raises StreamFault if that is too much."""
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "more data than the stream's window")

    def is_due(self, stream: SessionStream, size: int) -> bool:
        """Note that `size` bytes were consumed. Returns whether that is worth a credit."""
        stream.uncredited_bytes += size
        return 2 * stream.uncredited_bytes >= stream.window_size

    def credit(self, stream: SessionStream) -> int:
        """The credit for what was consumed, and for what the window grows by."""
        now = self._clock()
        increment = stream.uncredited_bytes
        stream.uncredited_bytes = 0
        if now - stream.credited_at < _ROUND_TRIPS * self.round_trip and stream.window_size < self._most:
            growth = min(stream.window_size, self._most - stream.window_size)
            stream.window_size += growth
            increment += growth
        stream.credited_at = now
        stream.receive_window += increment
        return increment
