"""HTTP/3 as octets: frames of any type and length (RFC 9114), fields without a table (RFC 9204)."""

from tests.hostile import http2_frames as h2
from tests.hostile.quic_client import varint

DATA, HEADERS, PRIORITY_OF_HTTP_2, CANCEL_PUSH, SETTINGS, PUSH_PROMISE = range(6)
PING_OF_HTTP_2, GOAWAY, WINDOW_UPDATE_OF_HTTP_2, CONTINUATION_OF_HTTP_2 = range(6, 10)
MAX_PUSH_ID = 0x0D
GREASE = 0x21
PRIORITY_UPDATE = 0xF0700
CONTROL, PUSH, ENCODER, DECODER = range(4)
"""Types of streams that go one way."""

NO_ERROR, GENERAL_PROTOCOL_ERROR, INTERNAL_ERROR, STREAM_CREATION_ERROR, CLOSED_CRITICAL_STREAM = range(0x100, 0x105)
FRAME_UNEXPECTED, FRAME_ERROR, EXCESSIVE_LOAD, ID_ERROR, SETTINGS_ERROR, MISSING_SETTINGS = range(0x105, 0x10B)
REQUEST_REJECTED, REQUEST_CANCELLED, REQUEST_INCOMPLETE, MESSAGE_ERROR = range(0x10B, 0x10F)
DECOMPRESSION_FAILED, ENCODER_STREAM_ERROR, DECODER_STREAM_ERROR = range(0x200, 0x203)

TABLE_CAPACITY, FIELD_SECTION_SIZE, BLOCKED_STREAMS, CONNECT_PROTOCOL = 1, 6, 7, 8


def frame(kind: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """A frame (section 7.1); `length` is what it says about itself."""
    return varint(kind) + varint(len(payload) if length is None else length) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, b"".join(varint(name) + varint(value) for name, value in pairs))


def literal(name: bytes, value: bytes) -> bytes:
    """A field by its name (RFC 9204 section 4.5.6)."""
    return h2.number(len(name), 3, 0x20) + name + h2.text(value)


def section(fields: h2.Fields) -> bytes:
    """Fields as literals, which take any octets."""
    return b"\0\0" + b"".join(literal(name, value) for name, value in fields)


def headers(fields: h2.Fields) -> bytes:
    """A HEADERS frame."""
    return frame(HEADERS, section(fields))


def get(path: bytes = b"/", *more: tuple[bytes, bytes]) -> bytes:
    """A request."""
    return headers(h2.fields(path, *more))


def post(path: bytes = b"/", *more: tuple[bytes, bytes]) -> bytes:
    """A request whose body follows."""
    return headers(h2.fields(path, *more, method=b"POST"))


def data(payload: bytes = b"") -> bytes:
    """A DATA frame."""
    return frame(DATA, payload)
