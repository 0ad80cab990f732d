"""The server's side of one HTTP/2 connection: bytes in, events out; answers in, bytes out. Pure.

Theory of operation. The driver feeds what the client sent to `receive_data`, and acts on the events
that come back. It gives answers by `send_head`, `send_data` and `send_end`. After each of these it
asks `data_to_send` for the bytes to write, as long as its transport takes them: while the transport
is blocked it does not ask. Answers, acknowledgements and window updates wait here then, and all of
them are bounded: bodies by `SessionStream.is_blocked`, which the driver obeys, and the rest by
budgets.
"""

from collections.abc import Callable, Iterable, Sequence

from proxy.http.head import Header
from proxy.http2.events import SessionEvent
from proxy.http2.limits import SessionLimits
from proxy.http2.streams import SessionStream


class ServerSession:
    """One connection whose client has chosen `h2`.

    `settings_acked` is False until the client has acknowledged our SETTINGS: the driver ends a
    connection that takes longer than `SessionLimits.settings_seconds` by `fail`.
    `open_streams` counts streams that are open or have work. `last_stream_id` is the highest that
    was taken up. `is_going_away` from `go_away` or the client's GOAWAY on. `has_failed` once the
    session has ended for a fault. `sent_bytes` counts body bytes of all streams that were handed
    out.
    `unblocked` lists streams whose `is_blocked` has ended; the driver empties it.
    """

    def __init__(self, limits: SessionLimits, clock: Callable[[], float]) -> None:
        """`data_to_send` has our SETTINGS at once; `clock` gives seconds and never goes back."""
        self._limits = limits
        self._clock = clock
        self.open_streams = 0
        self.last_stream_id = 0
        self.is_going_away = False
        self.has_failed = False
        self.settings_acked = False
        self.sent_bytes = 0
        self.unblocked: list[SessionStream] = []

    def receive_data(self, data: bytes) -> list[SessionEvent]:
        """Read what the client sent; never raises.

        After a fault of the connection the last event is ConnectionFailed, GOAWAY waits to be sent,
        and further input is ignored.
        """
        raise NotImplementedError

    def expects(self, stream: SessionStream, length: int) -> bool:
        """The request announced a body of `length` bytes (its content-length).

        False if what has arrived differs already: then the request is malformed, and the driver
        refuses it (RFC 9113 8.1.1). From now on the session watches: a body that becomes longer or
        ends shorter resets the stream with PROTOCOL_ERROR.
        """
        raise NotImplementedError

    def consumed(self, stream: SessionStream, count: int) -> None:
        """`count` bytes of the body were handed on: the client may send as many more."""
        raise NotImplementedError

    def prioritize(self, stream: SessionStream, field: bytes) -> None:
        """Obey the `priority` field of the request, unless a PRIORITY_UPDATE came (RFC 9218).

        A field that does not parse is ignored.
        """
        raise NotImplementedError

    def send_head(self, stream: SessionStream, fields: Iterable[Header], *, ends: bool) -> None:
        """Send `:status` and the fields of a head, also of 1xx; `ends` if no body follows."""
        raise NotImplementedError

    def send_data(self, stream: SessionStream, data: bytes) -> None:
        """Queue bytes of the body, cut into frames when they are fetched.

        If `stream.is_blocked` afterwards, wait until the stream is in `unblocked`.
        """
        raise NotImplementedError

    def send_end(self, stream: SessionStream, trailers: Sequence[Header] = ()) -> None:
        """The answer is complete, and the work for it; trailers follow its body.

        A request whose body still arrives may go on, unless `stop_request` is called.
        """
        raise NotImplementedError

    def stop_request(self, stream: SessionStream) -> None:
        """The rest of the request's body is of no use: say so behind the end of the answer.

        That is RST_STREAM with NO_ERROR (RFC 9113 8.1), after `send_end` and all that waits. Body
        that still comes is dropped. Does nothing if the request has ended.
        """
        raise NotImplementedError

    def reset(self, stream: SessionStream, code: int) -> None:
        """End the stream at once; what waits for it is dropped.

        A `code` that names a fault of the client counts towards its budget of provoked resets
        (CVE-2025-8671). A call of `work_ended` has to follow when the work has ended.
        """
        raise NotImplementedError

    def work_ended(self, stream: SessionStream) -> None:
        """The work for a stream that was reset has ended: another one may take its place.

        Due once for each StreamReset event, each `reset`, and each stream that was open at
        ConnectionFailed; more calls do no harm.
        """
        raise NotImplementedError

    def go_away(self, *, is_final: bool) -> None:
        """Take up no more streams (RFC 9113 6.8).

        First with `is_final=False`: the client learns of it, and streams that are on their way are
        still served. After about a round trip with `is_final=True`: later streams are refused
        (REFUSED_STREAM), so that the client may send them again elsewhere. Open streams go on.
        """
        raise NotImplementedError

    def fail(self, code: int, reason: str) -> None:
        """End the session for a fault that the driver found; GOAWAY waits to be sent.

        No event follows: every stream is closed.
        """
        raise NotImplementedError

    @property
    def has_data_to_send(self) -> bool:
        """Whether `data_to_send` would give bytes now."""
        raise NotImplementedError

    def data_to_send(self, room: int) -> bytes:
        """What to write now: about `room` bytes at most, empty if there is nothing.

        Frames without body come first, all of them, whatever the room. Then bodies, the most urgent
        streams first, and those with the same urgency in turns, as far as windows allow.
        """
        raise NotImplementedError
