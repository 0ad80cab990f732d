"""One request to a server that speaks HTTP/2, and its response: a stream of a shared connection.

Theory of operation. For the exchange it is what `UpstreamConnection` is. Back-pressure is flow
control: while the client takes nothing, the server gets no credit, and what its window still allows
is kept here. A server that gives no credit blocks the request.

A stream that the server refuses goes out once more by itself (see `replay`). One that becomes a
WebSocket belongs to the tunnel from then on (see `websocket_tunnel`).
"""

from typing import TYPE_CHECKING, Final

from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.head import Header, MalformedMessage, RequestHead
from proxy.http.websocket.upgrade import WebSocketOffer
from proxy.http2.fields.response_heads import opens_tunnel, response_trailers
from proxy.http2.hpack.decoder import DecodedFields
from proxy.http2.hpack.never_indexed import NO_NAMES
from proxy.http2.session.events import ResponseReceived
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ErrorCode
from proxy.net.deadlines import NEVER
from proxy.upstream.http2.held_response import HeldResponse
from proxy.upstream.http2.replay import Replay
from proxy.upstream.pooling.carrier import Carrier
from proxy.upstream.pooling.contracts import ResponseReceiver
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.pooling.interim import InterimResponses

if TYPE_CHECKING:
    from proxy.upstream.http2.shared_connection import SharedConnection

_BAD_GATEWAY: Final = 502
_HEAD_END: Final = b"\r\n\r\n"
_NO_EXTENDED_CONNECT: Final = "its SETTINGS do not allow extended CONNECT (RFC 8441)"


class UpstreamStream(Carrier):
    """Lent to one exchange, for one request. Its `deadline` bounds the response."""

    def __init__(self, host: "SharedConnection[UpstreamStream]", holder: bytes) -> None:
        """`begin` comes next. `holder` is the client network that it is lent to."""
        super().__init__(has_frames=True)
        self.host = host
        self.holder: Final = holder
        self.deadline = NEVER
        self.never_indexed = NO_NAMES
        """Names of fields of the request that no table may hold."""
        self._exchange: ResponseReceiver | None = None
        self._stream: SessionStream | None = None
        self._method = b""
        self._offer: WebSocketOffer | None = None
        self._fields: list[Header] = []
        self._interim: Final = InterimResponses(host.limits.informational, host.clock)
        self._replay: Final = Replay()
        self._is_lent = True
        self._saw_bytes = False
        self._reads_before = 0
        self._is_blocked = False
        self._held: Final = HeldResponse()

    # -- the exchange's side

    def begin(
        self, exchange: ResponseReceiver, head: RequestHead, offer: WebSocketOffer | None, request: bytes
    ) -> None:
        self._exchange = exchange
        self._method = head.method
        self._offer = offer
        self.never_indexed = head.never_indexed
        lines, _, body = request.partition(_HEAD_END)
        self._fields = self.host.fields.read(lines + _HEAD_END, head.never_indexed, is_upgrade=offer is not None)
        self._replay.add(body)
        self._open()

    def _open(self) -> None:
        host = self.host
        pieces = self._replay.pieces
        # the exchange does not expect its failure from inside this call
        if not host.session.takes(self._fields):
            host.loop.call_soon(self._fail, UpstreamFault.MALFORMED, "the server takes no head of this size")
            return
        if self._offer is not None and not host.session.takes_websockets:
            host.loop.call_soon(self._fail, UpstreamFault.NO_WEBSOCKETS, _NO_EXTENDED_CONNECT)
            return
        ends = self.is_request_complete and not pieces and self._offer is None
        stream = self._stream = host.open(self, self._fields, ends=ends)
        self._reads_before = host.reads
        for piece in pieces:
            host.session.send_data(stream, piece)
        self._sent(stream)

    def write_body(self, framing: RequestFraming, data: bytes) -> bool:
        del framing
        if not (data or self.is_request_complete):
            return False
        self._replay.add(data)
        stream = self._stream
        if stream is not None:  # else it waits for another connection, which gets all of it
            self.host.session.send_data(stream, data)
            self._sent(stream)
        return True

    def _sent(self, stream: SessionStream) -> None:
        host = self.host
        self._replay.bound()
        if self.is_request_complete and self._offer is None:
            host.session.send_end(stream)
        self.deadline = host.clock() + host.limits.first_byte_seconds
        host.flush_soon()
        self._block(stream)

    def _block(self, stream: SessionStream) -> None:
        """Hold the client back if too much waits for the server's windows."""
        if stream.is_blocked and not self._is_blocked:
            self._is_blocked = True
            if self._exchange is not None:
                self._exchange.pause_writing()

    def await_request(self) -> None:
        if not self._is_blocked:
            self.deadline = NEVER

    def pause_reading(self) -> None:
        self._held.is_paused = True
        self.deadline = NEVER

    def resume_reading(self) -> None:
        if self._held.is_paused:
            self._held.is_paused = False
            self.deadline = self.host.clock() + self.host.limits.stall_seconds
            if self._held.is_waiting or self._held.is_ended:
                self.host.loop.call_soon(self._deliver_kept)

    def abandon(self) -> None:
        self._exchange = None
        self._leave(ErrorCode.CANCEL)

    # -- the connection's side: the response

    def head_received(self, event: ResponseReceived) -> None:
        """Take the head of an interim or final response."""
        exchange = self._exchange
        if exchange is None:
            return
        self._took_bytes()
        if event.decoded.never_indexed:
            exchange.never_index(event.decoded.never_indexed)
        try:
            self._take_head(exchange, event)
        except MalformedMessage as error:
            self._fail(UpstreamFault.MALFORMED, error.reason)

    def _take_head(self, exchange: ResponseReceiver, event: ResponseReceived) -> None:
        if self._offer is not None and opens_tunnel(event.decoded):
            response = self.host.responses.opened(event.decoded, self._offer, is_ended=event.is_ended)
            self._exchange = None  # the tunnel has the stream now
            self._stream = None
            self._is_lent = False
            self.deadline = NEVER
            exchange.switched(response, self.host.switch(self, event.stream), b"")
            return
        response = self.host.responses.read(event.decoded, self._method, is_ended=event.is_ended)
        if event.is_interim:
            if self._interim.may_come():
                exchange.informational(response)
            else:
                self._fail(UpstreamFault.INFORMATIONAL_FLOOD)
            return
        self._replay.forget()
        framing = response.framing
        stream = event.stream
        length = 0 if framing.body is BodyKind.NONE else framing.length
        if length is not None and not self.host.session.expects(stream, length):
            raise MalformedMessage(_BAD_GATEWAY, "body differs from its content-length")
        exchange.response_started(response)
        if event.is_ended:
            self._end()

    def body_received(self, data: bytes, *, is_ended: bool) -> None:
        if self._exchange is None:
            return
        self._took_bytes()
        held = self._held
        held.is_ended = is_ended
        if held.is_waiting:
            held.keep(data)
        else:
            self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        if data and self._exchange is not None and self._stream is not None:
            self.host.session.consumed(self._stream, len(data))
            self._exchange.response_data(data)
        if self._held.is_ended:
            self._end()

    def trailers_received(self, decoded: DecodedFields) -> None:
        """Take the trailer fields, which end the response."""
        exchange = self._exchange
        if exchange is None:
            return
        self._took_bytes()
        try:
            self._held.trailers = response_trailers(decoded)
        except MalformedMessage as error:
            self._fail(UpstreamFault.MALFORMED, error.reason)
            return
        if decoded.never_indexed:
            exchange.never_index(decoded.never_indexed)
        self._held.is_ended = True
        if not self._held.is_waiting:
            self._end()

    def _deliver_kept(self) -> None:
        if self._held.is_paused or self._exchange is None:
            return
        self._deliver(self._held.take())
        self.flush()
        self.host.flush_soon()  # the credit

    def flush(self) -> None:
        """All events of one read were told."""
        if self._exchange is not None:  # one that has ended has flushed by itself
            self._exchange.response_flushed()

    def _took_bytes(self) -> None:
        self._saw_bytes = True
        self._reads_before = self.host.reads
        self.deadline = NEVER if self._held.is_paused else self.host.clock() + self.host.limits.stall_seconds

    def _end(self) -> None:
        """The response is complete. An unfinished request is of no use any more."""
        exchange, self._exchange = self._exchange, None
        self._leave(ErrorCode.NO_ERROR)
        if exchange is not None:
            exchange.response_ended(self._held.trailers)

    def unblocked(self) -> None:
        """The server takes the body again."""
        self._is_blocked = False
        if self._exchange is not None:
            self._exchange.resume_writing()

    # -- ends

    def reset_received(self, code: int, reason: str) -> None:
        """The stream is closed. `reason` is empty if the server did it."""
        if self._exchange is None or self._held.is_ended:
            return  # RFC 9113 8.1: the server needs no more of the request; the whole response is kept here
        if code == ErrorCode.REFUSED_STREAM and not reason:
            self._refused()
        elif reason:
            self._fail(UpstreamFault.MALFORMED, reason)
        else:
            self._fail(UpstreamFault.CUT if self._saw_bytes else UpstreamFault.RESET, f"HTTP/2 error {code}")

    def _refused(self) -> None:
        """The server did not begin to process the request."""
        if not self._replay.may_move(server_leaves=self.host.session.is_going_away):
            self._fail(UpstreamFault.REFUSED, is_excused=True)
            return
        self._is_blocked = False
        self.deadline = NEVER
        self._release()
        self.host.lend_again(self)

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for another connection, as a borrower of the pool."""
        return self._exchange is not None and self._stream is None

    def upstream_acquired(self, connection: Carrier) -> None:
        """Go on where `connection` was to begin."""
        assert isinstance(connection, UpstreamStream)  # the pool lends nothing else
        self.host = connection.host
        self._is_lent = True
        self._open()

    def upstream_unavailable(self, failure: UpstreamFailure) -> None:
        """There is no other connection."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.upstream_failed(failure, is_excused=False)

    def lost(self, fault: UpstreamFault, detail: str) -> None:
        """The connection is gone: `CLOSED`, or for a fault of the server."""
        if fault is not UpstreamFault.CLOSED or self._saw_bytes:
            self._fail(UpstreamFault.CUT if self._saw_bytes else fault, detail)
            return
        # as RFC 9112 9.3.1: a server may close a connection at the moment when we reuse it
        died_unused = self.host.is_reused and self.host.reads == self._reads_before
        self._fail(UpstreamFault.CLOSED, detail, is_excused=died_unused)

    def deadline_passed(self, now: float) -> None:
        """The server did not answer in time.

        If the connection brought nothing else either, it may be dead: it gets no more streams.
        """
        del now
        if self.host.reads == self._reads_before:
            self.host.leave()
        self._fail(UpstreamFault.RESPONSE_STALLED if self._saw_bytes else UpstreamFault.FIRST_BYTE_TIMEOUT)

    def _fail(self, fault: UpstreamFault, detail: str = "", *, is_excused: bool = False) -> None:
        exchange, self._exchange = self._exchange, None
        self._leave(ErrorCode.PROTOCOL_ERROR if fault is UpstreamFault.MALFORMED else ErrorCode.CANCEL)
        if exchange is not None:
            exchange.upstream_failed(UpstreamFailure(fault, detail), is_excused=is_excused)

    def _leave(self, code: int) -> None:
        """Give the connection back; close the stream with `code` if it is still open."""
        self.deadline = NEVER
        self._held.take()
        self._replay.forget()
        stream = self._stream
        if stream is not None and not stream.is_closed:
            self.host.session.reset(stream, code)
            self.host.flush_soon()
        self._release()

    def _release(self) -> None:
        stream, self._stream = self._stream, None
        if self._is_lent:
            self._is_lent = False
            self.host.release(self, stream)
