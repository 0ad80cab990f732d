"""Frames that we write are read by others' code as what they should be."""

from typing import Any

import pytest
from hyperframe.frame import Frame

from proxy.http2.wire import frames
from proxy.http2.wire.frames import FRAME_BYTES, Flag, FrameType, Setting


def parsed(data: bytes) -> list[Any]:
    """What python-hyper reads."""
    found: list[Any] = []
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + length]))
        found.append(frame)
        data = data[9 + length :]
    return found


def test_a_head_has_length_type_flags_and_stream() -> None:
    head = frames.frame_head(0x01_02, FrameType.CONTINUATION, Flag.END_HEADERS, 0x7FFF_FFFF)
    assert head == b"\x00\x01\x02\x09\x04\x7f\xff\xff\xff"
    assert len(head) == frames.HEAD_BYTES
    assert frames.frame_head(frames.FRAME_BYTES, 0, 0, 1) == b"\x00\x40\x00\x00\x00\x00\x00\x00\x01"


def test_rst_stream_carries_its_code() -> None:
    (frame,) = parsed(frames.rst_stream(7, 0xB))
    assert (type(frame).__name__, frame.stream_id, frame.error_code) == ("RstStreamFrame", 7, 0xB)


def test_settings_are_pairs() -> None:
    (frame,) = parsed(
        frames.settings([(Setting.MAX_CONCURRENT_STREAMS, 128), (Setting.INITIAL_WINDOW_SIZE, 0xFFFF_FFFF)])
    )
    assert frame.settings == {3: 128, 4: 0xFFFF_FFFF}
    (ack,) = parsed(frames.SETTINGS_ACK)
    assert ("ACK" in ack.flags, ack.settings) == (True, {})


def test_ping_goes_back() -> None:
    (frame,) = parsed(frames.ping_ack(b"12345678"))
    assert ("ACK" in frame.flags, frame.opaque_data) == (True, b"12345678")


def test_goaway_names_the_last_stream_and_the_code() -> None:
    (frame,) = parsed(frames.go_away(frames.LAST_STREAM, 2))
    assert (frame.last_stream_id, frame.error_code, frame.stream_id) == (0x7FFF_FFFF, 2, 0)


def test_window_update_carries_the_increment() -> None:
    (frame,) = parsed(frames.window_update(3, 0x7FFF_FFFF))
    assert (frame.stream_id, frame.window_increment) == (3, 0x7FFF_FFFF)


@pytest.mark.parametrize(
    ("size", "lengths"),
    [
        (0, [0]),
        (FRAME_BYTES, [FRAME_BYTES]),
        (FRAME_BYTES + 1, [FRAME_BYTES, 1]),
        (2 * FRAME_BYTES, [FRAME_BYTES, FRAME_BYTES]),
        (2 * FRAME_BYTES + 5, [FRAME_BYTES, FRAME_BYTES, 5]),
    ],
)
def test_long_header_blocks_are_continued(size: int, lengths: list[int]) -> None:
    block = bytes(index % 251 for index in range(size))
    found = parsed(frames.header_frames(5, block, Flag.END_STREAM))
    assert [len(frame.data) for frame in found] == lengths
    assert b"".join(frame.data for frame in found) == block
    assert ["END_HEADERS" in frame.flags for frame in found] == [False] * (len(found) - 1) + [True]
    assert ["END_STREAM" in frame.flags for frame in found] == [True] + [False] * (len(found) - 1)
    assert {frame.stream_id for frame in found} == {5}
