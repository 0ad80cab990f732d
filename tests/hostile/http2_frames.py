"""HTTP/2 as octets: frames with any flags and lengths (RFC 9113), fields in any representation (RFC 7541)."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY, ACK = 1, 4, 8, 32, 1
WHOLE = END_STREAM | END_HEADERS
"""The flags of a request without a body."""

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(6, 12)

TABLE_SIZE, ENABLE_PUSH, CONCURRENT_STREAMS, INITIAL_WINDOW, FRAME_SIZE, HEADER_LIST_SIZE = range(1, 7)
CONNECT_PROTOCOL = 8
LARGEST_WINDOW = 2**31 - 1
FRAME_BYTES = 16_384
"""SETTINGS_MAX_FRAME_SIZE as it is unless somebody says otherwise."""


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0, *, length: int | None = None) -> bytes:
    """A frame (section 4.1); `length` is what it says about itself."""
    size = len(payload) if length is None else length
    return size.to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, b"".join(struct.pack(">HI", *pair) for pair in pairs))


SETTINGS_ACK = frame(SETTINGS, b"", ACK)
HELLO = PREFACE + settings()


def ping(payload: bytes = b"\0" * 8) -> bytes:
    """A PING."""
    return frame(PING, payload)


def rst(stream: int, code: int = CANCEL) -> bytes:
    """An RST_STREAM."""
    return frame(RST_STREAM, code.to_bytes(4), 0, stream)


def window_update(stream: int, increment: int) -> bytes:
    """A WINDOW_UPDATE."""
    return frame(WINDOW_UPDATE, increment.to_bytes(4), 0, stream)


def data(stream: int, payload: bytes = b"", *, ends: bool = False) -> bytes:
    """A DATA frame."""
    return frame(DATA, payload, END_STREAM if ends else 0, stream)


def go_away(last: int = 0, code: int = NO_ERROR, debug: bytes = b"") -> bytes:
    """A GOAWAY."""
    return frame(GOAWAY, struct.pack(">II", last, code) + debug)


# -- fields


def number(value: int, bits: int, first: int = 0) -> bytes:
    """An integer in a prefix of so many bits (RFC 7541 section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    octets = [first | most]
    value -= most
    while value >= 128:
        octets.append(value & 127 | 128)
        value >>= 7
    return bytes([*octets, value])


def text(value: bytes) -> bytes:
    """A string without Huffman coding."""
    return number(len(value), 7) + value


def literal(name: bytes, value: bytes, *, indexed: bool = False) -> bytes:
    """A field by its name; an indexed one goes into the table."""
    return (b"\x40" if indexed else b"\x00") + text(name) + text(value)


def index(entry: int) -> bytes:
    """A field of a table; the newest one of the dynamic table is 62."""
    return number(entry, 7, 0x80)


def table_size(size: int) -> bytes:
    """A dynamic table size update."""
    return number(size, 5, 0x20)


Fields = Sequence[tuple[bytes, bytes]]


def block(fields: Fields) -> bytes:
    """Fields as literals, which leaves the table alone and takes any octets."""
    return b"".join(literal(name, value) for name, value in fields)


def fields(
    path: bytes = b"/", *more: tuple[bytes, bytes], method: bytes = b"GET", authority: bytes = b"chat.test"
) -> list[tuple[bytes, bytes]]:
    """The fields of a well-formed request."""
    return [(b":method", method), (b":scheme", b"https"), (b":authority", authority), (b":path", path), *more]


def get(stream: int, path: bytes = b"/", *more: tuple[bytes, bytes], flags: int = WHOLE) -> bytes:
    """A request."""
    return frame(HEADERS, block(fields(path, *more)), flags, stream)


def post(stream: int, path: bytes = b"/", *more: tuple[bytes, bytes]) -> bytes:
    """A request whose body follows."""
    return frame(HEADERS, block(fields(path, *more, method=b"POST")), END_HEADERS, stream)


CHAT = (b"sec-websocket-version", b"13")


def websocket(
    stream: int, path: bytes = b"/chat", *more: tuple[bytes, bytes], authority: bytes = b"chat.test"
) -> bytes:
    """An extended CONNECT (RFC 8441)."""
    asked = fields(path, CHAT, *more, method=b"CONNECT", authority=authority)
    return frame(HEADERS, block([(b":protocol", b"websocket"), *asked]), END_HEADERS, stream)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that came."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """The code of an RST_STREAM or a GOAWAY."""
        return int.from_bytes(self.payload[4:8] if self.kind == GOAWAY else self.payload[:4])


def frames_of(received: bytearray) -> Iterator[Frame]:
    """Take the complete frames out of a buffer."""
    while len(received) >= 9 and len(received) >= (size := 9 + int.from_bytes(received[:3])):
        yield Frame(received[3], received[4], int.from_bytes(received[5:9]) & LARGEST_WINDOW, bytes(received[9:size]))
        del received[:size]
