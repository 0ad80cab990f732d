"""What we announce, and which values of a client pass."""

from typing import Any

import pytest
from hyperframe.frame import Frame

from proxy.http2.wire.errors import ConnectionFault, ErrorCode
from proxy.http2.wire.frames import Setting
from proxy.http2.wire.settings import announcement, judge
from tests.fakes_http import LIMITS


def test_our_settings_are_the_limits() -> None:
    data = announcement(LIMITS.http2)
    frame: Any
    frame, length = Frame.parse_frame_header(memoryview(data[:9]))
    frame.parse_body(memoryview(data[9:]))
    assert length == len(data) - 9
    assert frame.settings == {
        Setting.MAX_CONCURRENT_STREAMS: LIMITS.http2.streams,
        Setting.INITIAL_WINDOW_SIZE: LIMITS.http2.stream_window_bytes,
        Setting.MAX_HEADER_LIST_SIZE: LIMITS.http2.header_list_bytes,
        Setting.ENABLE_CONNECT_PROTOCOL: 1,
        Setting.NO_RFC7540_PRIORITIES: 1,
    }


@pytest.mark.parametrize(
    ("identifier", "value"),
    [
        (Setting.HEADER_TABLE_SIZE, 0),
        (Setting.HEADER_TABLE_SIZE, 0xFFFF_FFFF),
        (Setting.ENABLE_PUSH, 0),
        (Setting.ENABLE_PUSH, 1),
        (Setting.MAX_CONCURRENT_STREAMS, 0),
        (Setting.INITIAL_WINDOW_SIZE, 0),
        (Setting.INITIAL_WINDOW_SIZE, 0x7FFF_FFFF),
        (Setting.MAX_FRAME_SIZE, 16_384),
        (Setting.MAX_FRAME_SIZE, 0xFF_FFFF),
        (Setting.MAX_HEADER_LIST_SIZE, 0),
        (Setting.ENABLE_CONNECT_PROTOCOL, 1),
        (Setting.NO_RFC7540_PRIORITIES, 1),
        (0x0A0A, 0xFFFF_FFFF),
    ],
)
def test_allowed_values_pass(identifier: int, value: int) -> None:
    judge(identifier, value)


@pytest.mark.parametrize(
    ("identifier", "value", "code"),
    [
        (Setting.ENABLE_PUSH, 2, ErrorCode.PROTOCOL_ERROR),
        (Setting.INITIAL_WINDOW_SIZE, 0x8000_0000, ErrorCode.FLOW_CONTROL_ERROR),
        (Setting.MAX_FRAME_SIZE, 16_383, ErrorCode.PROTOCOL_ERROR),
        (Setting.MAX_FRAME_SIZE, 0x100_0000, ErrorCode.PROTOCOL_ERROR),
        (Setting.ENABLE_CONNECT_PROTOCOL, 2, ErrorCode.PROTOCOL_ERROR),
        (Setting.NO_RFC7540_PRIORITIES, 2, ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_forbidden_values_end_the_connection(identifier: int, value: int, code: int) -> None:
    with pytest.raises(ConnectionFault) as caught:
        judge(identifier, value)
    assert caught.value.code == code
