"""One stream of an HTTP/2 connection: a request, what answers it, and what its client owes.

A stream is the `Client` of its responder, as an HTTP/1.1 connection is for one request after the
other.
"""

from typing import Final

from mypy_extensions import mypyc_attr

from proxy.downstream.http2.byte_stream import Http2ByteStream
from proxy.downstream.http2.credit import BodyCredit
from proxy.downstream.http2.host import BAD_REQUEST, StreamHost
from proxy.downstream.http2.patience import StreamPatience
from proxy.downstream.http2.requests import start_of
from proxy.downstream.http2.writer import Http2Writer
from proxy.downstream.pipeline.contracts import SwitchedStream, TunnelServer
from proxy.downstream.pipeline.own_answers import refuse
from proxy.downstream.pipeline.pipeline import admit, answer
from proxy.downstream.pipeline.responder import Responder
from proxy.downstream.requests.refusals import RequestRefusal, bad_head, body_refused, late_body
from proxy.downstream.requests.tunnel_places import TunnelPlace
from proxy.downstream.tunnels.upgraded import Upgraded, place_for
from proxy.http.framing import BodyKind
from proxy.http.head import MalformedMessage
from proxy.http2.hpack.decoder import DecodedFields
from proxy.http2.streams.stream import SessionStream, StreamSide
from proxy.http2.wire.causes import ResetCause, reset_cause
from proxy.http2.wire.errors import ErrorCode, StreamFault
from proxy.limits.reasons import CLIENT_CLOSED_REQUEST, RequestReason


@mypyc_attr(free_list_len=1)
class Http2Stream(StreamSide):
    """A `Client` of its responder."""

    def __init__(self, host: StreamHost, stream: SessionStream) -> None:
        """A stream that was just opened; `begin` comes next."""
        self._host: Final = host
        self._stream: Final = stream
        self._exchange: Responder | None = None
        self._bytes: Http2ByteStream | None = None
        self._early = bytearray()
        """What the client of a WebSocket sent before its answer."""
        self._has_early_end = False
        self._is_answered = False
        self._is_websocket = False
        self._is_blocked = False
        # most streams have no body and are never blocked: neither is made for them
        self._made_credit: BodyCredit | None = None
        self._made_patience: StreamPatience | None = None

    @property
    def _credit(self) -> BodyCredit:
        if self._made_credit is None:
            host = self._host
            self._made_credit = BodyCredit(host.session, self._stream, host.held, host)
        return self._made_credit

    @property
    def _patience(self) -> StreamPatience:
        if self._made_patience is None:
            self._made_patience = StreamPatience(self._host, self._stream, self)
        return self._made_patience

    # -- the request

    def begin(self, block: DecodedFields, *, is_ended: bool) -> None:
        """Judge the request, and have it answered."""
        host = self._host
        stream = self._stream
        service = host.service
        facts = host.facts
        try:
            request = host.requests.read(block, service.runtime.limits.head, is_ended=is_ended)
        except StreamFault as fault:
            self._malformed(fault, block)
            return
        except MalformedMessage as error:
            self.refuse(bad_head(error, start_of(block.fields)))
            return
        if host.requests.priority:
            host.session.prioritize(stream, host.requests.priority)
        writer = Http2Writer(host.session, stream, self, service.stamps, facts.alternative)
        exchange = self._exchange = admit(request, self, writer, service, facts)
        framing = request.framing
        self._is_websocket = framing.websocket is not None
        if framing.body is BodyKind.LENGTH and not host.session.expects(stream, framing.length):
            self._break_off(ErrorCode.PROTOCOL_ERROR, "the body differs from its content-length", BAD_REQUEST)
            return
        if exchange.refusal is not None:
            self.refuse(exchange.refusal)
            return
        answer(exchange, self, service)
        if not stream.is_remote_ended:  # else the rest came with it
            self._await_body()

    def _malformed(self, fault: StreamFault, block: DecodedFields) -> None:
        """Reset a stream whose request has no single meaning (RFC 9113 8.1.1)."""
        self._host.log_malformed(fault.reason, block.fields)
        self._reset(fault.code)

    def body_received(self, data: bytes, *, is_ended: bool) -> None:
        """Take a piece of the body, or bytes of a WebSocket."""
        if self._bytes is not None:
            self._bytes.received(data, is_ended=is_ended)
            return
        exchange = self._exchange
        if exchange is None or self._is_answered:
            self._host.session.consumed(self._stream, len(data))  # it means nothing any more
            return
        if self._is_websocket:
            self._early += data  # without credit: no more than the window can come
            self._has_early_end = is_ended
            return
        # several records in a turn, as long as a body comes
        self._host.stream.reads_on = not is_ended
        if self._credit.receive(len(data), is_kept=exchange.keeps_body):
            exchange.hurry()
        self._feed(exchange, data, is_ended=is_ended)

    def trailers_received(self, fault: StreamFault | None) -> None:
        """It ended with trailer fields, which never continue; `fault` is what is wrong with
        them."""
        if self._is_websocket:  # RFC 9113 8.5: DATA alone may come
            fault = fault or StreamFault(ErrorCode.PROTOCOL_ERROR, "trailers of a WebSocket")
        if fault is not None:
            self._break_off(fault.code, f"{RequestReason.MALFORMED_BODY}: {fault.reason}", BAD_REQUEST)
        else:
            self.body_received(b"", is_ended=True)

    def _feed(self, exchange: Responder, data: bytes, *, is_ended: bool) -> None:
        try:
            if data:  # the end may come alone, behind all of a body whose length is known
                exchange.receive(data)
            if is_ended:
                exchange.end_request()
        except MalformedMessage as error:
            refusal = body_refused(error)
            self._fail(exchange, refusal, refusal.reason)
            return
        self._credit.settle()
        self._await_body(len(data))
        exchange.proceed()  # last: it may end the exchange

    def _fail(self, exchange: Responder, refusal: RequestRefusal, reason: str) -> None:
        if exchange.has_responded:
            self.cut(reason)
        else:
            self.refuse(refusal)

    def _await_body(self, received: int = 0) -> None:
        one = self._exchange
        if one is not None and not self._is_answered:
            owes = not one.is_request_complete and not one.holds_client_back and not self._credit.owed
            is_due = owes and not self._credit.is_paused
            if is_due or self._made_patience is not None:
                self._patience.await_body(received, is_due=is_due)

    # -- the responder's side

    @property
    def may_stay(self) -> bool:
        """Yes: a connection ends by GOAWAY, not by an answer."""
        return True

    def pause_request(self) -> None:
        """Give no credit for now."""
        self._credit.is_paused = True
        self._await_body()

    def resume_request(self) -> None:
        self._credit.is_paused = False
        self._credit.settle()
        self._await_body()

    def body_taken(self) -> None:
        self._credit.taken()

    def refuse(self, refusal: RequestRefusal) -> None:
        """Answer with our error."""
        host = self._host
        exchange = self._exchange
        self._exchange = None
        writer = Http2Writer(host.session, self._stream, self, host.service.stamps, host.facts.alternative)
        refuse(refusal, exchange, writer, host.service, host.log, may_stay=True)
        self.answered()

    def answered(self) -> None:
        """The end of the answer was given. The rest of the request means nothing (RFC 9113 8.1)."""
        self._is_answered = True
        if self._made_credit is not None:
            self._made_credit.end()
        if self._made_patience is not None:
            self._made_patience.await_body(0, is_due=False)
        if not self._stream.is_remote_ended:
            if self._bytes is None:
                self._host.counters.resets[ResetCause.EARLY_ANSWER] += 1
            self._host.session.stop_request(self._stream)
        self._host.await_sent(self)
        self._host.flush_soon()

    def cut(self, reason: str) -> None:
        """Reset the stream, so that the client sees that the response is not complete."""
        assert self._exchange is not None  # its caller
        self._break_off(ErrorCode.INTERNAL_ERROR, reason, self._exchange.tally.status)

    def tunnel_place(self, server: TunnelServer) -> TunnelPlace | RequestRefusal:
        assert self._exchange is not None  # its caller
        return place_for(self._host.service, self._host.facts, self._exchange.request, server, is_stream=True)

    def tunnel(self, switched: SwitchedStream) -> None:
        """Hand the stream to a tunnel, with the bytes that either side sent early."""
        host = self._host
        exchange = self._exchange
        assert exchange is not None  # its caller
        self._exchange = None
        self._bytes = Http2ByteStream(host.service.loop, host.session, self._stream, self)
        if self._is_blocked:
            switched.stream.pause_reading()  # the tunnel resumes it once the client takes more
        early, self._early = bytes(self._early), bytearray()
        host.session.consumed(self._stream, len(early))
        if self._made_patience is not None:
            self._made_patience.reader_took_all()
        Upgraded(host.service, host.facts, exchange.request, exchange.tally).begin(self._bytes, switched, early)
        if self._has_early_end:
            self._bytes.received(b"", is_ended=True)

    # -- sending

    def send(self) -> None:
        self._host.send()

    def written(self) -> None:
        if self._stream.is_blocked and not self._is_blocked:
            self._is_blocked = True
            self._patience.await_reader()
            if self._bytes is not None:
                self._bytes.pause_writing()
            elif self._exchange is not None:
                self._exchange.pause_response()
        self._host.flush_soon()

    def unblocked(self) -> None:
        """Most of what waited was sent."""
        if not self._is_blocked:
            return
        self._is_blocked = False
        self._patience.reader_took_all()
        if self._bytes is not None:
            self._bytes.resume_writing()
        elif self._exchange is not None and not self._is_answered:
            self._await_body()
            self._exchange.resume_response()

    def await_reader(self) -> None:
        """The whole answer waits: its client has to make room for it."""
        self._patience.await_reader()

    def has_room(self, holder: bytes, written: int) -> bool:
        return self._patience.has_room(holder, written)

    def hold(self, holder: bytes) -> None:
        self._patience.hold(holder)

    def body_is_late(self, reason: str) -> None:
        if self._host.session.is_window_used_up:  # by other bodies, so the client cannot send
            self._await_body()
        elif self._exchange is not None and not self._is_answered:
            self._fail(self._exchange, late_body(reason), reason)

    def reader_is_late(self, reason: str) -> None:
        self._break_off(ErrorCode.CANCEL, reason, CLIENT_CLOSED_REQUEST)

    # -- ends

    @property
    def is_sent(self) -> bool:
        return self._stream.is_end_sent

    @property
    def number(self) -> int:
        return self._stream.id

    @property
    def is_tunnel(self) -> bool:
        return self._bytes is not None

    @property
    def is_over(self) -> bool:
        return self._stream.owner is None

    def sent(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:  # a refusal and a tunnel have lines of their own
            self._host.log.request(exchange.request, exchange.tally, exchange.tally.status, None)
        if not self._stream.is_closed:
            self._host.await_request(self._stream)
        tunnel = self._bytes
        self.ended()
        if tunnel is not None:
            tunnel.lost(None)

    def lost(self, reason: str, error: OSError | None = None) -> None:
        """The client reset the stream, or its connection is gone; `reason` is for the log."""
        self._host.session.work_ended(self._stream)
        self.abandon(reason)
        tunnel = self._bytes
        self.ended()
        if tunnel is not None:
            tunnel.lost(error or ConnectionResetError(reason))

    def abandon(self, reason: str, status: int = CLIENT_CLOSED_REQUEST) -> None:
        """Stop what answers the request, if anything does."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon()
            self._host.log.request(exchange.request, exchange.tally, status, reason)

    def _break_off(self, code: int, reason: str, status: int) -> None:
        """Give up the request, and tell the client by RST_STREAM."""
        self.abandon(reason, status)
        tunnel = self._bytes
        self._reset(code)
        if tunnel is not None:
            tunnel.lost(ConnectionResetError(reason))

    def _reset(self, code: int) -> None:
        self._host.counters.resets[reset_cause(code)] += 1
        self._host.session.reset(self._stream, code)
        self._host.session.work_ended(self._stream)
        self._host.flush_soon()
        self.ended()

    def ended(self) -> None:
        if self._made_credit is not None:
            self._made_credit.end()
        if self._made_patience is not None:
            self._made_patience.end()
        self._stream.owner = None
        self._bytes = None
        self._host.stream_over(self)
