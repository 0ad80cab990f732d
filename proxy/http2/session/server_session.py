"""The server's side of one HTTP/2 connection: bytes in, events out; answers in, bytes out. Pure.

Theory of operation. The driver feeds what the client sent to `receive_data`, and acts on the events
that come back. It gives answers by `send_head`, `send_data` and `send_end`. After each of these it
asks `data_to_send` for the bytes to write, as long as its transport takes them: while the transport
is blocked it does not ask. Answers, acknowledgements and window updates wait here then, and all of
them are bounded: bodies by `SessionStream.is_blocked`, which the driver obeys, heads by the number
of streams, since a stream counts until its end is handed out, and the rest by budgets.
"""

from collections.abc import Callable
from typing import Final

from proxy.http.head import Header
from proxy.http2.session.connection_frames import ConnectionFrames
from proxy.http2.session.parts import SessionParts
from proxy.http2.session.request_frames import RequestFrames
from proxy.http2.session.served_session import ServedSession
from proxy.http2.session.session import Http2Session
from proxy.http2.streams.priorities import parsed_priority
from proxy.http2.streams.states import DONE, END, LOCAL, LOCAL_OPEN, STOP
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire import frames, settings
from proxy.http2.wire.causes import connection_reason
from proxy.http2.wire.errors import ConnectionFault, ErrorCode
from proxy.http2.wire.frames import PREFACE
from proxy.http2.wire.limits import SessionLimits
from proxy.limits.reasons import ConnectionReason

# Resets with these codes say that the client did something wrong.
_PROVOKED: Final = frozenset(
    {
        ErrorCode.PROTOCOL_ERROR,
        ErrorCode.FLOW_CONTROL_ERROR,
        ErrorCode.STREAM_CLOSED,
        ErrorCode.FRAME_SIZE_ERROR,
        ErrorCode.ENHANCE_YOUR_CALM,
    }
)


class ServerSession(Http2Session, ServedSession):
    """One connection whose client has chosen `h2`."""

    def __init__(self, limits: SessionLimits, clock: Callable[[], float]) -> None:
        """`clock` gives seconds and never goes back."""
        parts = SessionParts(limits, clock, is_server=True)
        self._budgets: Final = parts.budgets
        self._is_leaving = False
        self._requests: Final = RequestFrames(parts)
        super().__init__(parts, self._requests, ConnectionFrames(parts), settings.announcement(limits), PREFACE)

    def keep(self, stream: SessionStream, count: int) -> None:
        """`count` bytes of the body are kept here: credit for the connection, not for the stream.

        `consumed` follows when they are handed on.
        """
        self._outbox.keep(stream, count)

    @property
    def is_window_used_up(self) -> bool:
        """Whether bodies that were not handed on leave no room for others on this connection."""
        return self._outbox.is_window_used_up

    def prioritize(self, stream: SessionStream, field: bytes) -> None:
        """Obey the `priority` field of the request, unless a PRIORITY_UPDATE came (RFC 9218).

        What does not parse is ignored.
        """
        priority = parsed_priority(field)
        if priority is not None and not stream.is_prioritized_by_frame and not stream.is_closed:
            self._outbox.prioritize(stream, priority)

    def send_head(self, stream: SessionStream, parts: list[list[Header]], *, ends: bool) -> None:
        """Send `:status` and the fields of a head, also of 1xx; `ends` if no body follows.

        What is sent repeatedly should be the same list in the same place among the `parts`.
        """
        if stream.state & LOCAL == LOCAL_OPEN:
            if ends:
                stream.on(END)
            self._outbox.add_head(stream, parts, ends=ends)

    def send_end(self, stream: SessionStream, trailers: list[Header] | None = None) -> None:
        """The answer is complete, and the work for it; trailers follow its body.

        A request whose body still arrives may continue, unless `stop_request` is called.
        """
        if stream.on(END) == DONE:
            stream.trailers = trailers or []
            self._outbox.add_end(stream)

    def stop_request(self, stream: SessionStream) -> None:
        """The rest of the request is of no use, but judged to its end: there are no events for it.

        Body that still comes is dropped. A client that has more to send than is on its way gets
        RST_STREAM with NO_ERROR behind the end of the answer (RFC 9113 8.1): once it would need
        credit, or when the driver calls `reset`. Does nothing if the request has ended.
        """
        if stream.on(STOP) == DONE:
            self._outbox.consumed(stream, stream.unconsumed_bytes)

    def reset(self, stream: SessionStream, code: int) -> None:
        """End the stream at once; what waits for it is dropped.

        A `code` that names a fault of the client counts towards its budget of provoked resets
        (CVE-2025-8671). A call of `work_ended` has to follow when the work has ended.
        """
        if stream.is_closed:
            return
        self._outbox.reset(stream, code)
        if code in _PROVOKED:
            try:
                self._budgets.provoked.spend(1)
            except ConnectionFault as fault:
                self.fail_later(fault)

    def work_ended(self, stream: SessionStream) -> None:
        """The work for a stream that was reset has ended: another one may take its place.

        Due once for each StreamReset event, each `reset`, and each stream that was open at
        ConnectionFailed; more calls do no harm.
        """
        self._table.work_ended(stream)

    def go_away(self, *, is_final: bool) -> None:
        """Take up no more streams (RFC 9113 6.8).

        First with `is_final=False`: the client learns of it, and streams that are on their way are
        still served. After about a round trip with `is_final=True`: later streams are refused
        (REFUSED_STREAM), so that the client may send them again elsewhere. Open streams continue.
        """
        if self.has_failed or self._requests.last_served >= 0:
            return
        if is_final:
            self._requests.last_served = self._table.last_taken
            self._outbox.add_frame(frames.go_away(self._table.last_taken, ErrorCode.NO_ERROR))
        elif not self._is_leaving:
            self._outbox.add_frame(frames.go_away(frames.LAST_STREAM, ErrorCode.NO_ERROR))
        self._is_leaving = True

    def reason_of(self, code: int, reason: str) -> ConnectionReason:
        return connection_reason(code, reason)

    @property
    def has_streams(self) -> bool:
        """Whether streams are open, be it that only their requests are not complete."""
        return bool(self._table.streams)

    @property
    def is_head_incomplete(self) -> bool:
        """Whether CONTINUATION frames have to come: the time for a head runs."""
        return self._requests.block_stream != 0

    @property
    def refused_streams(self) -> int:
        """How many streams were refused (REFUSED_STREAM) so far; it only grows."""
        return self._requests.refused_streams

    @property
    def sent_bytes(self) -> int:
        """Body bytes of all streams that `data_to_send` has handed out."""
        return self._outbox.sent_bytes
