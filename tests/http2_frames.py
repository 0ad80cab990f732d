"""Frames as a client may send them, right or wrong, and a session that gets them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import hpack

from proxy.http2.session.events import ConnectionFailed, RequestReceived, SessionEvent, StreamReset
from proxy.http2.session.server_session import ServerSession
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.frames import PREFACE, Flag, FrameType
from proxy.http2.wire.limits import SessionLimits
from tests.fakes_http import LIMITS

GET: Final = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"chat.example")]
OK: Final = [(b":status", b"200")]
ROOM: Final = 65_536
H2_LIMITS: Final = replace(
    LIMITS.http2,
    streams=128,
    connection_window_bytes=200_000,
    resets=256,
    resets_per_second=20.0,
    control_frames=1_000,
    control_frames_per_second=100.0,
)


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """One frame, whatever it holds."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def block(fields: Sequence[tuple[bytes, bytes]] = GET) -> bytes:
    """A header block that leaves the table as it is."""
    return b"".join(
        b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value for name, value in fields
    )  # RFC 7541 6.2.2


def headers(stream: int, *, ends: bool = True, payload: bytes | None = None) -> bytes:
    """A request."""
    flags = Flag.END_HEADERS | (Flag.END_STREAM if ends else 0)
    return frame(FrameType.HEADERS, flags, stream, block() if payload is None else payload)


def body(stream: int, content: bytes, *, ends: bool = False) -> bytes:
    """A part of a request's body."""
    return frame(FrameType.DATA, Flag.END_STREAM if ends else 0, stream, content)


def number(value: int) -> bytes:
    """Four bytes."""
    return value.to_bytes(4, "big")


def window_update(stream: int, increment: int) -> bytes:
    """Credit for us."""
    return frame(FrameType.WINDOW_UPDATE, 0, stream, number(increment))


def rst(stream: int, code: int = 8) -> bytes:
    """The client gives up."""
    return frame(FrameType.RST_STREAM, 0, stream, number(code))


def setting(identifier: int, value: int) -> bytes:
    """SETTINGS with one value."""
    return frame(FrameType.SETTINGS, 0, 0, identifier.to_bytes(2, "big") + number(value))


SETTINGS: Final = frame(FrameType.SETTINGS)
SETTINGS_ACK: Final = frame(FrameType.SETTINGS, Flag.ACK)
HELLO: Final = PREFACE + SETTINGS + SETTINGS_ACK


@dataclass(frozen=True)
class Sent:
    """A frame of ours."""

    kind: int
    flags: int
    stream: int
    payload: bytes = field(repr=False)

    @property
    def ends(self) -> bool:
        """Whether it ends its stream."""
        return self.flags & Flag.END_STREAM != 0

    @property
    def number(self) -> int:
        """The last four bytes: a code or an increment."""
        return int.from_bytes(self.payload[-4:], "big")


def cut(data: bytes) -> list[Sent]:
    """The frames in what we send."""
    found = []
    while data:
        length = int.from_bytes(data[:3], "big")
        found.append(Sent(data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + length]))
        data = data[9 + length :]
    return found


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Wire:
    """A session whose client has sent its preface, unless `hello` says otherwise."""

    def __init__(self, limits: SessionLimits = H2_LIMITS, hello: bytes = HELLO) -> None:
        self.clock = Clock()
        self.session = ServerSession(limits, self.clock)
        self.events: list[SessionEvent] = []
        self.receive(hello)
        if hello:
            self.sent()

    def receive(self, data: bytes) -> list[SessionEvent]:
        """The client sends."""
        events = self.session.receive_data(data)
        self.events += events
        return events

    def sent(self, room: int = ROOM) -> list[Sent]:
        """What we send now."""
        return cut(self.session.data_to_send(room))

    def request(self, stream: int, *, ends: bool = True) -> SessionStream:
        """A stream that the client has opened."""
        (event,) = self.receive(headers(stream, ends=ends))
        assert isinstance(event, RequestReceived)
        return event.stream

    def failure(self, data: bytes) -> tuple[int, str]:
        """The fault that ends the connection: its code and its reason."""
        events = self.receive(data)
        assert events, "the connection goes on"
        event = events[-1]
        assert isinstance(event, ConnectionFailed), event
        assert self.session.has_failed
        last = self.sent()[-1]
        assert (last.kind, last.number) == (FrameType.GOAWAY, event.code)
        return event.code, event.reason

    def reset(self, data: bytes) -> tuple[int, str]:
        """The fault that ends one stream."""
        events = self.receive(data)
        assert events, "the stream goes on"
        event = events[-1]
        assert isinstance(event, StreamReset), event
        assert event.stream.is_closed
        assert [(one.stream, one.number) for one in self.sent() if one.kind == FrameType.RST_STREAM] == [
            (event.stream.id, event.code)
        ]
        return event.code, event.reason


def fields_of(sent: Sent, decoder: hpack.Decoder) -> list[tuple[bytes, bytes]]:
    """A header block of ours, read by others' code."""
    return [(bytes(name), bytes(value)) for name, value in decoder.decode(sent.payload, raw=True)]
