"""The bytes of a WebSocket over one HTTP/2 stream (RFC 8441): what a tunnel has on its client side.

DATA frames carry the WebSocket. END_STREAM is to the tunnel what the end of a TCP stream is.
RST_STREAM is a lost connection (RFC 8441 section 5).
"""

from asyncio import AbstractEventLoop
from typing import Final, Protocol

from proxy.http2.session.served_session import ServedSession
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ErrorCode
from proxy.net.credited_bytes import CreditedBytes


class TunnelledStream(Protocol):
    def written(self) -> None:
        """Something waits to be sent on it."""

    def answered(self) -> None:
        """The last byte was given; the stream ends when it was sent."""

    def ended(self) -> None: ...


class Http2ByteStream(CreditedBytes):
    """A `ByteStream` over a stream whose request was answered with 200."""

    def __init__(
        self, loop: AbstractEventLoop, session: ServedSession, stream: SessionStream, side: TunnelledStream
    ) -> None:
        super().__init__(loop)
        self._session: Final = session
        self._stream: Final = stream
        self._side: Final = side
        self._is_over = False

    def credit(self, count: int) -> None:
        self._session.consumed(self._stream, count)

    def written(self) -> None:
        self._side.written()

    def write(self, data: bytes) -> None:
        if not self._is_over:
            self._session.send_data(self._stream, data)
            self._side.written()

    def end(self) -> None:
        """End our direction. What the client still sends means nothing."""
        if not self._is_over:
            self._is_over = True
            self.forget_kept()
            self._session.send_end(self._stream)
            self._session.stop_request(self._stream)
            self._side.answered()

    def end_at_once(self) -> None:
        """As `end`: the stream waits for nothing."""
        self.end()

    def abort(self) -> None:
        """Reset the stream; the owner is told in the next turn of the loop."""
        if not self._is_over:
            self._is_over = True
            self.forget_kept()
            self._session.reset(self._stream, ErrorCode.CANCEL)
            self._session.work_ended(self._stream)
            self._side.written()
            self._side.ended()
            self._loop.call_soon(self.lost, None)

    def lost(self, error: OSError | None) -> None:
        self._is_over = True
        super().lost(error)
