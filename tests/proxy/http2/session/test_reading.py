"""Input is cut into frames, however it arrives."""

import pytest

from proxy.http2.session.events import BodyReceived, PeerLeaves, RequestReceived
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import PREFACE, Flag, FrameType
from tests.http2_frames import HELLO, SETTINGS, SETTINGS_ACK, Wire, body, frame, headers, number


def told(wire: Wire) -> list[object]:
    """The events in a form that can be compared."""
    found: list[object] = []
    body = b""
    for one in wire.events:
        if isinstance(one, RequestReceived):
            found.append((one.stream.id, one.decoded.fields))
        elif isinstance(one, BodyReceived):
            body += one.data
            if one.is_ended:
                found.append(body)
    return found


TALK = HELLO + headers(1, ends=False) + body(1, b"x" * 16_384) + body(1, b"", ends=True) + headers(3)


@pytest.mark.parametrize("step", [1, 2, 9, 100, 16_384, len(TALK)])
def test_frames_may_arrive_in_pieces(step: int) -> None:
    whole, wire = Wire(hello=TALK), Wire(hello=b"")
    for start in range(0, len(TALK), step):
        wire.receive(TALK[start : start + step])
    assert told(wire) == told(whole)
    assert len(told(whole)) == 3


def test_empty_input_changes_nothing() -> None:
    wire = Wire(hello=b"")
    for piece in (b"", PREFACE[:5], b"", PREFACE[5:], b"", SETTINGS[:3], b"", SETTINGS[3:], headers(1)):
        wire.receive(piece)
    assert len(wire.events) == 1


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"P", PREFACE[:-1] + b"x", b"\x16\x03\x01"])
def test_another_preface_ends_the_connection_at_its_first_wrong_byte(data: bytes) -> None:
    wire = Wire(hello=b"")
    if PREFACE.startswith(data):
        assert wire.receive(data) == []
        data = b"OST / HTTP/1.1"
    assert wire.failure(data) == (ErrorCode.PROTOCOL_ERROR, "connection preface is not that of HTTP/2")


@pytest.mark.parametrize(
    "data",
    [headers(1), SETTINGS_ACK, frame(FrameType.PING, 0, 0, bytes(8)), frame(0x55), frame(FrameType.PRIORITY, 0, 1)],
)
def test_the_first_frame_is_settings(data: bytes) -> None:
    assert Wire(hello=b"").failure(PREFACE + data) == (ErrorCode.PROTOCOL_ERROR, "first frame is not SETTINGS")


def test_a_frame_larger_than_announced_ends_the_connection_before_it_has_arrived() -> None:
    wire = Wire()
    assert wire.failure(b"\x00\x40\x01" + bytes(6)) == (ErrorCode.FRAME_SIZE_ERROR, "frame is larger than announced")
    assert wire.receive(b"more") == []


def test_the_reserved_bit_is_ignored() -> None:
    wire = Wire()
    data = bytearray(headers(1))
    data[5] |= 0x80
    (event,) = wire.receive(bytes(data))
    assert isinstance(event, RequestReceived)
    assert event.stream.id == 1


@pytest.mark.parametrize(
    "between", [body(1, b"x"), headers(1), headers(3), SETTINGS, frame(0x55), frame(FrameType.PING, 0, 0, bytes(8))]
)
def test_nothing_comes_within_a_header_block(between: bytes) -> None:
    wire = Wire()
    assert wire.receive(frame(FrameType.HEADERS, 0, 1)) == []
    assert wire.failure(between) == (ErrorCode.PROTOCOL_ERROR, "frame within a header block")


def test_a_client_does_not_push() -> None:
    assert Wire().failure(frame(FrameType.PUSH_PROMISE, Flag.END_HEADERS, 1, number(2))) == (
        ErrorCode.PROTOCOL_ERROR,
        "PUSH_PROMISE, which is not allowed",
    )


def test_unknown_frames_are_ignored_on_any_stream() -> None:
    wire = Wire()
    assert (
        wire.receive(frame(0x0C) + frame(0xFF, 0xFF, 0, b"x" * 16_384) + frame(0x20, 0, 77) + frame(0x21, 0, 2)) == []
    )
    wire.request(1)


def test_goaway_of_the_client_is_told_once() -> None:
    wire = Wire()
    leaving = frame(FrameType.GOAWAY, 0, 0, number(0x7FFF_FFFF) + number(11) + b"debug")
    (event,) = wire.receive(leaving + leaving)
    assert isinstance(event, PeerLeaves)
    assert event.code == 11
