"""One connection to an upstream server: one exchange at a time, its response parsed as it comes.

`framing` decides where a response ends, never the parser of its head. Bytes behind that end show
that server and proxy disagree about it, so the connection is not used again.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from proxy.http.chunked import ChunkedDecoder, framed
from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.head import Header, MalformedMessage, RequestHead, refuse_hopeless_head
from proxy.http.responses import Response, ResponseReader
from proxy.http.websocket.upgrade import WebSocketOffer
from proxy.net.byte_stream import ByteStream
from proxy.net.deadlines import NEVER
from proxy.upstream.pooling.carrier import Carrier
from proxy.upstream.pooling.contracts import Keeper, ResponseReceiver
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.pooling.interim import InterimResponses
from proxy.upstream.pooling.pools import ResponseLimits

_SWITCHING_PROTOCOLS: Final = 101
_BAD_GATEWAY: Final = 502
_HEAD_END: Final = b"\r\n\r\n"
# A read of more is handed on as it is, without a copy. Nearly all heads are shorter.
_COPIED_BYTES: Final = 4_096


class _Phase(Enum):
    IDLE = auto()
    HEAD = auto()
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()
    GONE = auto()


class UpstreamConnection(Carrier):
    """Owner of the stream to a server. Its `deadline` bounds a response, or an idle connection."""

    stream: ByteStream

    def __init__(
        self,
        keeper: "Keeper[UpstreamConnection]",
        limits: ResponseLimits,
        reader: ResponseReader,
        clock: Callable[[], float],
    ) -> None:
        """A connection without its stream, which the dialler sets; `reader` is the server's."""
        super().__init__(has_frames=False)
        self._reader = reader
        self._keeper = keeper
        self._limits = limits
        self._clock = clock
        self._phase = _Phase.IDLE
        self._exchange: ResponseReceiver | None = None
        self._method = b""
        self._offer: WebSocketOffer | None = None
        self._decoder: ChunkedDecoder | None = None
        self._buffer = b""
        self._left = 0
        self._interim = InterimResponses(limits.informational, clock)
        self._keep = False
        self._saw_bytes = False
        self._is_blocked = False
        self._is_paused = False
        self.exchanges = 0
        self.holder: bytes | None = None
        """The client network that it is lent to, as its pool counts; None while it is idle."""
        self.deadline = NEVER

    # -- the exchange's side

    def begin(
        self, exchange: ResponseReceiver, head: RequestHead, offer: WebSocketOffer | None, request: bytes
    ) -> None:
        self._exchange = exchange
        self._method = head.method
        self._offer = offer
        self._phase = _Phase.HEAD
        self._interim.count = 0.0
        self._saw_bytes = False
        self.exchanges += 1
        self._write(request)

    def _write(self, data: bytes) -> None:
        # the server's time runs from the last piece on
        self.deadline = self._clock() + self._limits.first_byte_seconds
        self.stream.write(data)

    def write_body(self, framing: RequestFraming, data: bytes) -> bool:
        piece = framed(framing, data, is_complete=self.is_request_complete)
        if piece:
            self._write(piece)
        return bool(piece)

    def await_request(self) -> None:
        if not self._is_blocked:
            self.deadline = NEVER

    def pause_reading(self) -> None:
        self._is_paused = True
        self.stream.pause_reading()
        self.deadline = NEVER

    def resume_reading(self) -> None:
        if not self._is_paused:
            return
        self._is_paused = False
        self.stream.resume_reading()
        self.deadline = self._clock() + self._limits.stall_seconds

    def abandon(self) -> None:
        """The exchange is over, but not complete: the connection cannot be used again."""
        self._exchange = None
        self._close()

    # -- the stream's side

    def data_received(self, data: bytes | memoryview) -> None:
        if self._exchange is None:
            # bytes without a request: the next request would take them for its answer
            self._close()
            return
        self._saw_bytes = True
        self.deadline = self._clock() + self._limits.stall_seconds
        try:
            self._receive(data if len(data) > _COPIED_BYTES else bytes(data))
        except MalformedMessage as error:
            self._fail(UpstreamFault.MALFORMED, error.reason)
        except UpstreamFailure as failure:
            self._fail(failure.fault, failure.detail)
        else:
            if self._exchange is not None:  # one that has ended has flushed by itself
                self._exchange.response_flushed()

    def _receive(self, data: bytes | memoryview) -> None:
        while self._phase is _Phase.HEAD:
            scanned = len(self._buffer)
            if scanned:
                data, self._buffer = self._buffer + data, b""
            start = data if isinstance(data, bytes) else bytes(data[:_COPIED_BYTES])
            end = start.find(_HEAD_END, scanned - len(_HEAD_END) + 1 if scanned >= len(_HEAD_END) else 0)
            if end < 0 and len(start) < len(data):
                data = bytes(data)  # a long head
                continue
            if end < 0 or end > self._limits.head_bytes:
                # an end within the limit would have been found
                if len(start) > self._limits.head_bytes + len(_HEAD_END) - 1:
                    raise UpstreamFailure(UpstreamFault.MALFORMED, "response head too long")
                refuse_hopeless_head(start, scanned)
                self._buffer = start
                return
            response = self._reader.read(start[: end + 4], self._limits.head, self._method, self._offer)
            data = start[end + 4 :] if start is data else data[end + 4 :]  # to slice bytes costs compiled code less
            self._head_received(response, data)
        if self._phase is not _Phase.GONE:
            self._receive_body(data)

    def _receive_body(self, data: bytes | memoryview) -> None:
        exchange = self._exchange
        assert exchange is not None  # only called while a response is due
        if self._phase is _Phase.LENGTH:
            excess = max(0, len(data) - self._left)
            body = data[: self._left] if excess else data
            self._left -= len(body)
            if len(body):
                exchange.response_data(body)
            if self._left == 0:
                self._end([], excess)
        elif self._phase is _Phase.CHUNKED:
            decoder = self._decoder
            assert decoder is not None  # made when the phase began
            decoded = decoder.receive_data(bytes(data))
            if decoded:
                exchange.response_data(decoded)
            if decoder.finished:
                self._end(decoder.trailers, len(decoder.excess))
        elif len(data):
            exchange.response_data(data)

    def _end(self, trailers: list[Header], excess: int) -> None:
        """It is complete. An unfinished request, or `excess` bytes behind it, spoil reuse."""
        exchange, self._exchange = self._exchange, None
        assert exchange is not None  # a response ends once
        self._decoder = None
        if self._keep and not excess and self.is_request_complete:
            self._phase = _Phase.IDLE
            self.keep_unused()
        else:
            self._close()
        exchange.response_ended(trailers)

    def _head_received(self, response: Response, rest: bytes | memoryview) -> None:
        assert self._exchange is not None  # only called while an exchange waits
        framing = response.framing
        if framing.head.status == _SWITCHING_PROTOCOLS:
            self._switch(response, bytes(rest))
            return
        if framing.head.status < 200:
            if not self._interim.may_come():
                raise UpstreamFailure(UpstreamFault.INFORMATIONAL_FLOOD)
            self._exchange.informational(response)
            return
        self._keep = framing.keep_alive
        self._left = 0
        match framing.body:
            case BodyKind.NONE:
                self._phase = _Phase.LENGTH
            case BodyKind.LENGTH:
                assert framing.length is not None  # that is what LENGTH says
                self._phase = _Phase.LENGTH
                self._left = framing.length
            case BodyKind.CHUNKED:
                self._phase = _Phase.CHUNKED
                self._decoder = ChunkedDecoder(self._limits.chunks, self._clock, _BAD_GATEWAY)
            case BodyKind.UNTIL_CLOSE:
                self._phase = _Phase.UNTIL_CLOSE
        self._exchange.response_started(response)

    def _switch(self, response: Response, rest: bytes) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None  # only called while an exchange waits
        self._phase = _Phase.GONE
        self.deadline = NEVER
        self._keeper.closed(self)  # it leaves the pool; its stream continues in the tunnel
        exchange.switched(response, self.stream, rest)

    def eof_received(self) -> None:
        """The server ended its direction: a cut, unless that marks the end of the response."""
        if self._phase is _Phase.UNTIL_CLOSE:
            exchange = self._exchange
            assert exchange is not None  # the phase lasts as long as the exchange
            if self.stream.was_truncated:
                self._fail(UpstreamFault.CUT, "without close_notify")
                return
            self._keep = False
            self._end([], 0)
            exchange.response_flushed()
        elif self._exchange is not None:
            self._fail(self._fault_of_loss(), "end of stream")
        else:
            self._close()

    def connection_lost(self, error: OSError | None) -> None:
        if self._exchange is not None:
            self._fail(self._fault_of_loss(), "" if error is None else str(error))
        self._phase = _Phase.GONE
        self._keeper.closed(self)

    def _fault_of_loss(self) -> UpstreamFault:
        return UpstreamFault.CUT if self._saw_bytes else UpstreamFault.CLOSED

    def pause_writing(self) -> None:
        """The server takes no more for now: it has a deadline of its own to continue."""
        self._is_blocked = True
        if self._exchange is not None:
            self.deadline = self._clock() + self._limits.first_byte_seconds
            self._exchange.pause_writing()

    def resume_writing(self) -> None:
        self._is_blocked = False
        if self._exchange is not None:
            self._exchange.resume_writing()

    def deadline_passed(self, now: float) -> None:
        """The server did not answer in time, or the connection was idle for too long."""
        del now
        self.deadline = NEVER
        if self._exchange is None:
            self._close()
        elif self._saw_bytes:
            self._fail(UpstreamFault.RESPONSE_STALLED)
        else:
            self._fail(UpstreamFault.FIRST_BYTE_TIMEOUT)

    def _fail(self, fault: UpstreamFault, detail: str = "") -> None:
        exchange, self._exchange = self._exchange, None
        # RFC 9112 9.3.1: a server may close an idle connection at the moment when we reuse it
        died_unused = fault is UpstreamFault.CLOSED and self.exchanges > 1
        self._close()
        if exchange is not None:
            exchange.upstream_failed(UpstreamFailure(fault, detail), is_excused=died_unused)

    def _close(self) -> None:
        if self._phase is not _Phase.GONE:
            self._phase = _Phase.GONE
            self.deadline = NEVER
            self.stream.abort()

    def keep_unused(self) -> None:
        """Go back to the pool, for a limited time."""
        self.deadline = self._clock() + self._limits.idle_seconds
        self._keeper.returned(self)

    @property
    def is_idle(self) -> bool:
        return self._phase is _Phase.IDLE

    def close_idle(self) -> None:
        self._close()
