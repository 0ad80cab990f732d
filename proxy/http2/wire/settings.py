"""What we announce, and what a peer may announce (RFC 9113 6.5). Pure."""

from typing import Final

from proxy.http2.wire import frames
from proxy.http2.wire.errors import ConnectionFault, ErrorCode
from proxy.http2.wire.frames import Setting
from proxy.http2.wire.limits import SessionLimits

DEFAULT_WINDOW: Final = 65_535
"""RFC 9113 6.9.2: every window begins with this."""
LARGEST_WINDOW: Final = 0x7FFF_FFFF
HEADER_TABLE_BYTES: Final = 4_096
"""RFC 9113 6.5.2: the default. Ours for requests, and the most that we use for answers."""
MOST_SETTINGS: Final = 32
"""In one frame. Clients send up to ten; each may cost a walk over all streams."""

_LARGEST_FRAME: Final = 0xFF_FFFF
_SWITCHES: Final = frozenset({Setting.ENABLE_PUSH, Setting.ENABLE_CONNECT_PROTOCOL, Setting.NO_RFC7540_PRIORITIES})


def announcement(limits: SessionLimits) -> bytes:
    """Our SETTINGS; defaults that we keep are not in it.

    Not ENABLE_PUSH: a server does not send it (RFC 9113 6.5.2).
    """
    return frames.settings(
        [
            (Setting.MAX_CONCURRENT_STREAMS, limits.streams),
            (Setting.INITIAL_WINDOW_SIZE, limits.stream_window_bytes),
            (Setting.MAX_HEADER_LIST_SIZE, limits.header_list_bytes),
            (Setting.ENABLE_CONNECT_PROTOCOL, 1),
            (Setting.NO_RFC7540_PRIORITIES, 1),
        ]
    )


def client_announcement(limits: SessionLimits) -> bytes:
    """Our SETTINGS for a server: it may not push (RFC 9113 6.5.2)."""
    return frames.settings(
        [
            (Setting.ENABLE_PUSH, 0),
            (Setting.INITIAL_WINDOW_SIZE, limits.stream_window_bytes),
            (Setting.MAX_HEADER_LIST_SIZE, limits.header_list_bytes),
        ]
    )


def judge(identifier: int, value: int) -> None:
    """Raise ConnectionFault for a value that the RFC forbids. Unknown identifiers pass."""
    if identifier == Setting.INITIAL_WINDOW_SIZE and value > LARGEST_WINDOW:
        raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "initial window above 2^31-1")
    if identifier == Setting.MAX_FRAME_SIZE and not frames.FRAME_BYTES <= value <= _LARGEST_FRAME:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "frame size outside of its bounds")
    if identifier in _SWITCHES and value > 1:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "setting is neither 0 nor 1")
