"""The bytes of a WebSocket over a stream to a server (RFC 8441): a tunnel has them as its upstream.

Theory of operation. The stream stays on its shared connection. `end` is END_STREAM; then the server
ends its side as well. If it does not, or if its window does not let our end through, the stream is
reset after a while, because it takes a place on the connection.
"""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Final, Protocol

from proxy.http2.session.client_session import ClientSession
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ErrorCode
from proxy.net.credited_bytes import CreditedBytes
from proxy.net.deadlines import NEVER

# A close of WebSocket has gone before. So the server has nothing more to say but END_STREAM.
_END_SECONDS: Final = 5.0


class TunnelHost(Protocol):
    """The connection to the server."""

    session: ClientSession

    @property
    def loop(self) -> AbstractEventLoop: ...

    @property
    def clock(self) -> Callable[[], float]: ...

    def flush_soon(self) -> None:
        """Something waits to be sent."""

    def tunnel_over(self, stream: SessionStream) -> None: ...


class ServerBytes(CreditedBytes):
    """A `ByteStream` over a stream whose extended CONNECT was answered with 2xx.

    Its `deadline` bounds the end of the stream.
    """

    def __init__(self, host: TunnelHost, stream: SessionStream) -> None:
        super().__init__(host.loop)
        self._host: Final = host
        self._stream: Final = stream
        self._is_ending = False
        """Our end was given: what still comes means nothing."""
        self._is_over = False
        self.deadline = NEVER

    def credit(self, count: int) -> None:
        self._host.session.consumed(self._stream, count)

    def written(self) -> None:
        self._host.flush_soon()

    def write(self, data: bytes) -> None:
        if self._is_ending:
            return
        was_blocked = self._stream.is_blocked
        self._host.session.send_data(self._stream, data)
        self._host.flush_soon()
        if self._stream.is_blocked and not was_blocked:
            self.pause_writing()

    def end(self) -> None:
        """End our direction behind what was written."""
        if self._is_ending:
            return
        self._is_ending = True
        self.forget_kept()
        self.credit(self._stream.unconsumed_bytes)
        self._host.session.send_end(self._stream)
        self._host.flush_soon()
        self.deadline = self._host.clock() + _END_SECONDS
        self._loop.call_soon(self._look)  # behind the flush

    def end_at_once(self) -> None:
        """As `end`: a stream holds no descriptor."""
        self.end()

    def abort(self) -> None:
        self._is_ending = True
        self._loop.call_soon(self._give_up)

    def _look(self) -> None:
        if self._stream.is_closed:
            self.lost(None)

    def _give_up(self) -> None:
        if not self._stream.is_closed:
            self._host.session.reset(self._stream, ErrorCode.CANCEL)
            self._host.flush_soon()
        self.lost(None)

    def deadline_passed(self, now: float) -> None:
        """The end of the stream did not come in time."""
        del now
        self._give_up()

    # -- the connection's side

    def received(self, data: bytes, *, is_ended: bool) -> None:
        if not self._is_ending:
            super().received(data, is_ended=is_ended)
            return
        self.credit(len(data))
        self._look()

    def failed(self, reason: str) -> None:
        """The stream was reset, or its connection is gone."""
        self.lost(None if self._is_ending else ConnectionResetError(reason))

    def lost(self, error: OSError | None) -> None:
        if not self._is_over:
            self._is_ending = True
            self._is_over = True
            self.deadline = NEVER
            self._host.tunnel_over(self._stream)
            super().lost(error)
