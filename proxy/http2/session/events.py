"""What a peer's frames mean: the events of an HTTP/2 session, for its driver. Pure."""

from typing import Final

from mypy_extensions import mypyc_attr

from proxy.http.head import Header
from proxy.http2.hpack.decoder import DecodedFields
from proxy.http2.streams.stream import SessionStream


@mypyc_attr(acyclic=True)
class SessionEvent:
    """One event; `isinstance` tells which."""


@mypyc_attr(acyclic=True, free_list_len=1)
class RequestReceived(SessionEvent):
    """A new stream: the fields of a request, not judged yet. Without a body it `is_ended`.

    A list that is too large is for the driver to answer (431); the session continues.
    If a later event of the same call closed the stream, `stream.is_closed` says so already: then no
    work should begin. The driver owes a call of `work_ended` anyway.
    """

    def __init__(self, stream: SessionStream, decoded: DecodedFields, *, is_ended: bool) -> None:
        self.stream: Final = stream
        self.decoded: Final = decoded
        self.is_ended: Final = is_ended


class ResponseReceived(SessionEvent):
    """The fields of an interim or final response to a request of ours, not judged yet.

    Without a body it `is_ended`. A list that is too large is for the driver to refuse.
    """

    def __init__(self, stream: SessionStream, decoded: DecodedFields, *, is_interim: bool, is_ended: bool) -> None:
        self.stream: Final = stream
        self.decoded: Final = decoded
        self.is_interim: Final = is_interim
        self.is_ended: Final = is_ended


@mypyc_attr(acyclic=True, free_list_len=1)
class BodyReceived(SessionEvent):
    """Bytes of the body; empty ones only together with its end.

    The driver calls `consumed` of the session when it has handed them on. What one call of
    `receive_data` brings of a stream, frame behind frame, is one event: a peer may send a byte in
    each frame, and a server gets a body in larger sends than frames are.
    """

    def __init__(self, stream: SessionStream, data: bytes | memoryview, *, is_ended: bool) -> None:
        self.stream: Final = stream
        self._pieces: Final[list[bytes | memoryview]] = [data]
        self.is_ended = is_ended

    def add(self, data: bytes | memoryview, *, is_ended: bool) -> None:
        """Take the next frame of the same stream."""
        self._pieces.append(data)
        self.is_ended = is_ended

    @property
    def data(self) -> bytes:
        first = self._pieces[0]
        return first if isinstance(first, bytes) and len(self._pieces) == 1 else b"".join(self._pieces)


class TrailersReceived(SessionEvent):
    """Fields behind the body: the request, or the response, has ended."""

    def __init__(self, stream: SessionStream, decoded: DecodedFields) -> None:
        self.stream: Final = stream
        self.decoded: Final = decoded


class StreamReset(SessionEvent):
    """The stream is closed, and what waited to be sent is dropped. The work for it should end now.

    `reason` is empty if the peer did it. Otherwise it is a short fixed sentence for the log: the
    peer broke a rule that ends a stream (RFC 9113 5.4.2). `fields` are those that came of a request
    which was refused before it had a `RequestReceived`, None of others.
    """

    def __init__(self, stream: SessionStream, code: int, reason: str, fields: list[Header] | None = None) -> None:
        self.stream: Final = stream
        self.code: Final = code
        self.reason: Final = reason
        self.fields: Final = fields


class ConnectionFailed(SessionEvent):
    """The session has ended, as the last event of all; every stream is closed.

    GOAWAY with `code` waits in `data_to_send`. Then the connection should be closed. `reason` is a
    short fixed sentence for the log; a flood begins with its name (`FloodReason`) and a colon.
    """

    def __init__(self, code: int, reason: str) -> None:
        self.code: Final = code
        self.reason: Final = reason


class PeerLeaves(SessionEvent):
    """The peer sent GOAWAY: it opens no more streams, and takes up none of ours."""

    def __init__(self, code: int) -> None:
        self.code: Final = code
