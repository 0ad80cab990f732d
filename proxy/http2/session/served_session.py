"""One connection of a client as its driver and its streams see it: HTTP/2, or HTTP/3. Pure.

The events, the streams and their states are those of HTTP/2 for both (RFC 9114 section 4.1 has the
same exchange), and so are the error codes: a session of HTTP/3 sends its own for them.
"""

from mypy_extensions import trait

from proxy.http.head import Header
from proxy.http2.session.events import SessionEvent
from proxy.http2.streams.stream import SessionStream
from proxy.limits.reasons import ConnectionReason


@trait
class ServedSession:
    """`server_session.ServerSession` says what each method does; it is that of HTTP/2."""

    has_failed: bool

    def receive_data(self, data: bytes) -> list[SessionEvent]:
        raise NotImplementedError

    def data_to_send(self, room: int) -> bytes:
        raise NotImplementedError

    def take_unblocked(self) -> list[SessionStream]:
        raise NotImplementedError

    def expects(self, stream: SessionStream, length: int) -> bool:
        raise NotImplementedError

    def keep(self, stream: SessionStream, count: int) -> None:
        raise NotImplementedError

    def consumed(self, stream: SessionStream, count: int) -> None:
        raise NotImplementedError

    def prioritize(self, stream: SessionStream, field: bytes) -> None:
        raise NotImplementedError

    def send_head(self, stream: SessionStream, parts: list[list[Header]], *, ends: bool) -> None:
        raise NotImplementedError

    def send_data(self, stream: SessionStream, data: bytes | memoryview) -> None:
        raise NotImplementedError

    def send_end(self, stream: SessionStream, trailers: list[Header] | None = None) -> None:
        raise NotImplementedError

    def stop_request(self, stream: SessionStream) -> None:
        raise NotImplementedError

    def reset(self, stream: SessionStream, code: int) -> None:
        raise NotImplementedError

    def work_ended(self, stream: SessionStream) -> None:
        raise NotImplementedError

    def go_away(self, *, is_final: bool) -> None:
        raise NotImplementedError

    def fail(self, code: int) -> None:
        raise NotImplementedError

    def reason_of(self, code: int, reason: str) -> ConnectionReason:
        """Under which name the end of the connection is logged and counted."""
        raise NotImplementedError

    @property
    def is_window_used_up(self) -> bool:
        raise NotImplementedError

    @property
    def has_streams(self) -> bool:
        raise NotImplementedError

    @property
    def is_head_incomplete(self) -> bool:
        raise NotImplementedError

    @property
    def refused_streams(self) -> int:
        raise NotImplementedError

    @property
    def sent_bytes(self) -> int:
        raise NotImplementedError

    @property
    def settings_acked(self) -> bool:
        raise NotImplementedError

    @property
    def last_taken(self) -> int:
        raise NotImplementedError
