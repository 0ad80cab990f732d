"""The bytes of a WebSocket over one HTTP/2 stream (RFC 8441): what a tunnel has on its client side.

Theory of operation. DATA frames carry the WebSocket. The client gets credit for what the tunnel
took. While the tunnel takes nothing, the rest of the window is kept here, and no more can come.
END_STREAM is to the tunnel what the end of a TCP stream is: it comes behind all bytes. RST_STREAM
is a lost connection (RFC 8441 section 5).
"""

from asyncio import AbstractEventLoop
from typing import Final, Protocol

from proxy.http2.errors import ErrorCode
from proxy.http2.session import ServerSession
from proxy.http2.streams import SessionStream
from proxy.net.byte_stream import NO_OWNER, ByteOwner


class TunnelledStream(Protocol):
    """The stream to the client."""

    def written(self) -> None:
        """Something waits to be sent on it."""

    def answered(self) -> None:
        """The last byte was given; the stream ends when it was sent."""

    def ended(self) -> None:
        """It was reset, and all is over."""


class Http2ByteStream:
    """A `ByteStream` over a stream whose request was answered with 200."""

    __slots__ = ("_is_end_kept", "_is_over", "_is_paused", "_kept", "_loop", "_owner", "_session", "_side", "_stream")

    was_truncated: Final = False
    """END_STREAM says that the bytes are complete."""

    def __init__(
        self, loop: AbstractEventLoop, session: ServerSession, stream: SessionStream, side: TunnelledStream
    ) -> None:
        """`hand_over` comes next."""
        self._loop: Final = loop
        self._session: Final = session
        self._stream: Final = stream
        self._side: Final = side
        self._owner: ByteOwner = NO_OWNER
        self._kept = bytearray()  # a client may send a byte in each frame
        self._is_end_kept = False  # END_STREAM came behind what is kept
        self._is_paused = False
        self._is_over = False

    def hand_over(self, owner: ByteOwner) -> None:
        """Tell this owner everything from now on."""
        self._owner = owner

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self._is_over:
            self._session.send_data(self._stream, data)
            self._side.written()

    def pause_reading(self) -> None:
        """Give the client no credit for what comes from now on."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Deliver again, from the next turn of the loop on."""
        self._is_paused = False
        if self._kept or self._is_end_kept:
            self._loop.call_soon(self._deliver_kept)

    def _deliver_kept(self) -> None:
        if self._kept and not self._is_paused:
            data, self._kept = bytes(self._kept), bytearray()
            self._deliver(data)
            self._side.written()  # the credit
        if self._is_end_kept and not self._is_paused:
            self._is_end_kept = False
            self._owner.eof_received()

    def _forget_kept(self) -> None:
        self._kept = bytearray()
        self._is_end_kept = False

    def _deliver(self, data: bytes) -> None:
        # Credit first: the owner may end the stream, and a closed stream gets none.
        self._session.consumed(self._stream, len(data))
        self._owner.data_received(data)

    def end(self) -> None:
        """End our direction. What the client still sends means nothing."""
        if not self._is_over:
            self._is_over = True
            self._forget_kept()
            self._session.send_end(self._stream)
            self._session.stop_request(self._stream)
            self._side.answered()

    def abort(self) -> None:
        """Reset the stream; the owner is told in the next turn of the loop."""
        if not self._is_over:
            self._is_over = True
            self._forget_kept()
            self._session.reset(self._stream, ErrorCode.CANCEL)
            self._session.work_ended(self._stream)
            self._side.written()
            self._side.ended()
            self._loop.call_soon(self.lost, None)

    # -- the stream's side

    def received(self, data: bytes, *, is_ended: bool) -> None:
        """Take bytes of the client; after `is_ended` none follow."""
        if self._is_paused or self._kept:
            self._kept += data
            self._is_end_kept = is_ended
            return
        if data:
            self._deliver(data)
        if is_ended:
            self._is_end_kept = True
            self._deliver_kept()  # now, unless these bytes made the tunnel pause

    def pause_writing(self) -> None:
        """The client takes no more."""
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        """The client takes more again."""
        self._owner.resume_writing()

    def lost(self, error: OSError | None) -> None:
        """The stream is gone."""
        self._is_over = True
        self._forget_kept()
        owner, self._owner = self._owner, NO_OWNER
        owner.connection_lost(error)
