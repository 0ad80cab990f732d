"""The server's side of one HTTP/3 connection, as the driver and the streams of HTTP/2 use it.

Theory of operation. `proxy.quic` has frames, QPACK, windows and order. This session gives its
events the form of those of HTTP/2, and keeps the states of streams by the table of HTTP/2. A stream
with the number 0, 4 or 8 in QUIC gets 1, 3 or 5 here, as HTTP/2 has them.

What is to be sent waits with QUIC. `queued` of a stream counts what no packet needed yet. Of what
packets took, no more waits for acknowledgements than a limit of the transport allows.

A turn that brought requests alone sends nothing: their answers take along the acknowledgement and
what the decoder of QPACK has to say (RFC 9204 section 4.4).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from mypy_extensions import i64

from proxy.downstream.http3.codes import REQUEST_REJECTED, http3_code
from proxy.downstream.http3.places import Places
from proxy.http.head import Header
from proxy.http2.hpack.decoder import DecodedFields
from proxy.http2.hpack.never_indexed import NO_NAMES, SECRET_NAMES
from proxy.http2.session.events import (
    BodyReceived,
    ConnectionFailed,
    PeerLeaves,
    RequestReceived,
    SessionEvent,
    StreamReset,
    TrailersReceived,
)
from proxy.http2.session.served_session import ServedSession
from proxy.http2.streams.outbox import is_too_much
from proxy.http2.streams.states import (
    AT_WORK,
    COMPLETE,
    CUT_ANSWER,
    DATA_CAME,
    DONE,
    END,
    END_CAME,
    END_LEFT,
    END_SENT,
    LOCAL,
    LOCAL_OPEN,
    RELEASED,
    STOP,
    STOPPED,
    WORK_ENDED,
)
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ConnectionFault, ErrorCode
from proxy.http2.wire.floods import FloodBudgets, FloodReason
from proxy.http2.wire.limits import SessionLimits
from proxy.limits.reasons import ConnectionReason
from proxy.quic.events import QuicEvent
from proxy.quic.faults import QuicFault

if TYPE_CHECKING:
    from proxy.quic._native import Connection
    from proxy.quic.events import QuicEventTuple

_FLOODS: Final = {
    FloodReason.RAPID_RESET: ConnectionReason.HTTP3_RAPID_RESET,
    FloodReason.PROVOKED_RESETS: ConnectionReason.HTTP3_PROVOKED_RESETS,
}
# While a request is in progress: less than clients and NATs wait for a sign of life.
_PING_SECONDS: Final = 10.0
# How a head goes out (`_native.Connection.send_head`).
_INTERIM: Final = 0
_BODY_FOLLOWS: Final = 1
_ENDS: Final = 2
_INTERIM_DIGIT: Final = 0x31
# What a client may send on a stream is counted by QUIC; a stream always has some of it here.
_SOME_WINDOW: Final = 1


class SessionTransport(Protocol):
    """The connection below: a `QuicTransport`."""

    native: "Connection"
    fault: QuicFault | None
    close_code: int

    def take_events(self) -> "list[QuicEventTuple]": ...

    def take_sent(self) -> "list[QuicEventTuple]": ...

    def transmit(self) -> None: ...

    def hold(self) -> None: ...

    def turn_soon(self) -> None: ...


class Http3Session(ServedSession):
    """One connection whose client has chosen `h3`."""

    def __init__(self, limits: SessionLimits, transport: SessionTransport, clock: Callable[[], float]) -> None:
        self._transport: Final = transport
        self._native: Final = transport.native
        self._budgets: Final = FloodBudgets(limits, clock)
        self._window: Final = limits.connection_window_bytes
        self._places: Final = Places(limits.streams)
        self._streams: Final[dict[int, SessionStream]] = {}
        self._events: list[SessionEvent] = []
        self._unblocked: list[SessionStream] = []
        self._fault: ConnectionFault | None = None
        self._queued = 0
        self._unconsumed = 0
        self._sent_bytes = 0
        self._last_taken = 0
        self._is_leaving = False
        self._has_left = False
        self._awaits_answer = False
        """Requests came and nothing else, so what is to be sent may wait for the answer."""
        self.has_failed = False

    # -- what came

    def receive_data(self, data: bytes) -> list[SessionEvent]:
        """The events since the last call; `data` is empty, as QUIC has read the datagrams."""
        del data
        if self.has_failed:
            return []
        try:
            self._read()
        except ConnectionFault as fault:
            self.fail(fault.code)
            self._events.append(ConnectionFailed(fault.code, fault.reason))
        events, self._events = self._events, []
        return events

    def _read(self) -> None:
        if self._fault is not None:
            raise self._fault
        has_request = False
        has_more = self._queued > 0
        for event in self._transport.take_events():
            kind: i64 = event[0]
            if kind == QuicEvent.HEAD and event[5]:
                has_request = True
            elif kind != QuicEvent.CLOSED:
                has_more = True
            self._act(event)
        self._awaits_answer = has_request and not has_more
        if self._transport.fault is not None:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, self._transport.fault.sentence)

    def _act(self, event: "QuicEventTuple") -> None:
        kind: i64 = event[0]
        of_quic: i64 = event[1] if len(event) > 1 else 0
        number = of_quic // 2 + 1
        if kind == QuicEvent.HEAD:
            self._head(number, event)
        elif kind == QuicEvent.LEAVES:
            self._events.append(PeerLeaves(0))
        elif (stream := self._streams.get(number)) is None:
            if kind == QuicEvent.FAULT and event[2] != REQUEST_REJECTED:
                self._malformed(number, event[3])
            elif kind == QuicEvent.CLOSED:
                self._closed(number, None)
        elif kind == QuicEvent.BODY:
            self._body(stream, event[2])
        elif kind == QuicEvent.LEFT:
            self._left(stream, event[2])
        else:
            self._act_on_end(kind, stream, event)

    def _act_on_end(self, kind: i64, stream: SessionStream, event: "QuicEventTuple") -> None:
        if kind == QuicEvent.END:
            self._end(stream)
        elif kind == QuicEvent.END_SENT:
            stream.on(END_LEFT)
        elif kind == QuicEvent.CLOSED:
            self._closed(stream.id, stream)
        elif kind == QuicEvent.TRAILERS:
            self._trailers(stream, event)
        elif not stream.is_closed:
            if kind == QuicEvent.RESET:
                self._cut(stream)
                self._native.reset(_quic_id(stream.id), http3_code(ErrorCode.CANCEL))
                self._events.append(StreamReset(stream, event[2], ""))
                self._budgets.resets.spend(1)
            elif kind == QuicEvent.FAULT:
                self._cut(stream)
                self._events.append(StreamReset(stream, ErrorCode.PROTOCOL_ERROR, "the message is malformed"))
                self._budgets.provoked.spend(1)

    def _head(self, number: int, event: "QuicEventTuple") -> None:
        _, _, fields, marked, is_too_large, is_ended = event
        names = NO_NAMES if marked is None else frozenset(marked) - SECRET_NAMES
        stream = SessionStream(number, _SOME_WINDOW, _SOME_WINDOW)
        if not self._streams:
            self._native.keep_alive(_PING_SECONDS)
        self._streams[number] = stream
        self._last_taken = max(self._last_taken, number)
        self._places.opened(number)
        if is_ended:
            stream.on(END_CAME)
        decoded = DecodedFields(fields, bool(is_too_large), names)
        self._events.append(RequestReceived(stream, decoded, is_ended=bool(is_ended)))

    def _malformed(self, number: int, fields: list[Header] | None) -> None:
        """A request whose fields QUIC refuses has no head."""
        stream = SessionStream(number, _SOME_WINDOW, _SOME_WINDOW)
        self._streams[number] = stream
        self._cut(stream)
        reason = "the fields of the request are malformed"
        self._events.append(StreamReset(stream, ErrorCode.PROTOCOL_ERROR, reason, fields or []))
        self._budgets.provoked.spend(1)

    def _body(self, stream: SessionStream, data: bytes) -> None:
        size = len(data)
        stream.received_bytes += size
        stream.unconsumed_bytes += size
        self._unconsumed += size
        if stream.on(DATA_CAME) == DONE:
            self._tell(stream, data, ends=False)
        else:
            self.consumed(stream, size)  # it is not wanted

    def _tell(self, stream: SessionStream, data: bytes, *, ends: bool) -> None:
        last = self._events[-1] if self._events else None
        if isinstance(last, BodyReceived) and last.stream is stream:
            last.add(data, is_ended=ends)
        else:
            self._events.append(BodyReceived(stream, data, is_ended=ends))

    def _end(self, stream: SessionStream) -> None:
        if stream.is_remote_ended or stream.is_closed:
            return
        is_wanted = stream.state & ~LOCAL != STOPPED
        stream.on(END_CAME)
        if is_wanted:
            self._tell(stream, b"", ends=True)

    def _trailers(self, stream: SessionStream, event: "QuicEventTuple") -> None:
        _, _, fields, _, is_too_large, _ = event
        if stream.is_remote_ended or stream.is_closed:
            return
        is_wanted = stream.state & ~LOCAL != STOPPED
        stream.on(END_CAME)
        if is_wanted:
            self._events.append(TrailersReceived(stream, DecodedFields(fields, bool(is_too_large))))

    def _left(self, stream: SessionStream, count: int) -> None:
        if stream.is_closed:
            return
        self._sent_bytes += count
        stream.sent_bytes += count
        stream.queued -= count
        self._queued -= count
        if stream.is_blocked and not is_too_much(2 * stream.queued, self._queued):
            stream.is_blocked = False
            self._unblocked.append(stream)

    def _closed(self, number: int, stream: SessionStream | None) -> None:
        """QUIC has ended both directions, and the client has acknowledged all of ours."""
        if stream is not None:
            if not stream.is_closed:  # the client stopped the answer
                self._cut(stream)
                self._events.append(StreamReset(stream, ErrorCode.CANCEL, ""))
                self._budgets.resets.spend(1)
            elif stream.state == COMPLETE:
                self._budgets.stream_completed()
            self._forget_unconsumed(stream)
            del self._streams[number]
            if not self._streams:
                self._native.keep_alive(0.0)
        self._places.opened(number)
        self._let_open(self._places.closed(number))

    def _let_open(self, count: int) -> None:
        if count:
            self._native.allow_streams(count)

    def _cut(self, stream: SessionStream) -> None:
        """Close the stream: drop what waits for it, and credit what was not consumed."""
        self._queued -= stream.queued
        stream.queued = 0
        self._forget_unconsumed(stream)
        if stream.on(CUT_ANSWER) == AT_WORK:
            self._places.cut_at_work(stream.id)

    def _forget_unconsumed(self, stream: SessionStream) -> None:
        left, stream.unconsumed_bytes = stream.unconsumed_bytes, 0
        if left > 0:
            self._unconsumed -= left
            self._native.credit(_quic_id(stream.id), 0, left)

    def expects(self, stream: SessionStream, length: int) -> bool:
        """QUIC judges the length of a body itself (RFC 9114 section 4.1.2)."""
        stream.expected_bytes = length
        received = stream.received_bytes
        return received == length if stream.is_remote_ended else received <= length

    def keep(self, stream: SessionStream, count: int) -> None:
        count = min(count, stream.unconsumed_bytes)
        if count > 0:
            stream.unconsumed_bytes -= count
            stream.kept_bytes += count
            self._unconsumed -= count
            self._native.credit(_quic_id(stream.id), 0, count)

    def consumed(self, stream: SessionStream, count: int) -> None:
        kept = min(count, stream.kept_bytes)
        fresh = min(count - kept, stream.unconsumed_bytes)
        stream.kept_bytes -= kept
        stream.unconsumed_bytes -= fresh
        self._unconsumed -= fresh
        if kept + fresh > 0:
            of_stream = 0 if stream.is_remote_ended else kept + fresh
            self._native.credit(_quic_id(stream.id), of_stream, fresh)

    @property
    def is_window_used_up(self) -> bool:
        return self._unconsumed >= self._window

    @property
    def is_head_incomplete(self) -> bool:
        return self._native.incomplete_heads > 0

    # -- what goes

    def prioritize(self, stream: SessionStream, field: bytes) -> None:
        """QUIC has read the field itself, and obeys PRIORITY_UPDATE too."""

    def send_head(self, stream: SessionStream, parts: list[list[Header]], *, ends: bool) -> None:
        if stream.state & LOCAL != LOCAL_OPEN:
            return
        kind = _ENDS if ends else _BODY_FOLLOWS
        if parts[0][0][1][0] == _INTERIM_DIGIT:
            kind = _INTERIM
        elif ends:
            stream.on(END)
        self._awaits_answer = False
        marked = stream.never_indexed | SECRET_NAMES if stream.never_indexed else SECRET_NAMES
        self._native.send_head(_quic_id(stream.id), parts, marked, kind)

    def send_data(self, stream: SessionStream, data: bytes | memoryview) -> None:
        size = len(data)
        if stream.state & LOCAL != LOCAL_OPEN or size == 0:
            return
        stream.queued += size
        self._queued += size
        if is_too_much(stream.queued, self._queued):
            stream.is_blocked = True
        self._native.send_data(_quic_id(stream.id), data if isinstance(data, bytes) else bytes(data))

    def send_end(self, stream: SessionStream, trailers: list[Header] | None = None) -> None:
        if stream.on(END) == DONE:
            self._native.send_end(_quic_id(stream.id), trailers or [])

    def stop_request(self, stream: SessionStream) -> None:
        if stream.on(STOP) == DONE:
            self.consumed(stream, stream.unconsumed_bytes + stream.kept_bytes)

    def reset(self, stream: SessionStream, code: int) -> None:
        if stream.is_closed:
            return
        if code == ErrorCode.NO_ERROR and stream.state & LOCAL == END_SENT:
            self._native.stop(_quic_id(stream.id), http3_code(code))  # RFC 9114 section 4.1.1
            stream.on(END_CAME)
            return
        self._awaits_answer = False
        self._cut(stream)
        self._native.reset(_quic_id(stream.id), http3_code(code))
        if code == ErrorCode.PROTOCOL_ERROR:
            try:
                self._budgets.provoked.spend(1)
            except ConnectionFault as fault:
                self._fault = fault

    def work_ended(self, stream: SessionStream) -> None:
        if stream.on(WORK_ENDED) == RELEASED:
            self._let_open(self._places.work_ended(stream.id))

    def take_unblocked(self) -> list[SessionStream]:
        unblocked = self._unblocked
        if unblocked:
            self._unblocked = []
        return unblocked

    def data_to_send(self, room: int) -> bytes:
        """Have datagrams sent, as many as the client takes now. They are not for the driver."""
        if room and self._awaits_answer:
            self._awaits_answer = False
            self._transport.hold()
        elif room:
            self._transport.transmit()
            for event in self._transport.take_sent():
                self._act(event)
            if self._events:
                self._transport.turn_soon()  # the driver asks then
        return b""

    @property
    def sent_bytes(self) -> int:
        return self._sent_bytes

    # -- the end

    def go_away(self, *, is_final: bool) -> None:
        if self.has_failed or self._has_left or (self._is_leaving and not is_final):
            return
        self._awaits_answer = False
        self._is_leaving = True
        self._has_left = is_final
        self._native.go_away(is_final)

    def fail(self, code: int) -> None:
        if self.has_failed:
            return
        self._awaits_answer = False
        self.has_failed = True
        self._transport.close_code = http3_code(code)
        for stream in list(self._streams.values()):
            if not stream.is_closed:
                self._cut(stream)

    def reason_of(self, code: int, reason: str) -> ConnectionReason:
        if code == ErrorCode.ENHANCE_YOUR_CALM:
            for flood, name in _FLOODS.items():
                if reason.startswith(f"{flood}:"):
                    return name
        fault = self._transport.fault
        return ConnectionReason.HTTP3_PROTOCOL_ERROR if fault is None else fault.reason

    @property
    def has_streams(self) -> bool:
        return bool(self._streams)

    @property
    def refused_streams(self) -> int:
        return 0  # QUIC does not let a client open more than it may

    @property
    def settings_acked(self) -> bool:
        return True  # there is nothing to acknowledge (RFC 9114 section 7.2.4)

    @property
    def last_taken(self) -> int:
        return self._last_taken


def _quic_id(number: int) -> int:
    """The identifier in QUIC of a stream (RFC 9000 section 2.1)."""
    return 2 * number - 2
