"""The layout of frames (RFC 9113 sections 4 and 6), and the frames that we write. Pure."""

from typing import Final

from mypy_extensions import i64

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends before its first frame (RFC 9113 3.4)."""
HEAD_BYTES: Final = 9
"""Length (3), type (1), flags (1), stream (4)."""
FRAME_BYTES: Final = 16_384
"""The payload of one frame in both directions, which is the least SETTINGS_MAX_FRAME_SIZE.

A larger one would delay the frames of other streams.
"""
BODY_BYTES: Final = FRAME_BYTES - HEAD_BYTES
"""The body in one frame of ours: with its head it fills one TLS record."""
LAST_STREAM: Final = 0x7FFF_FFFF
"""The highest identifier, and the mask for the reserved bit in front of it."""


class FrameType:
    """RFC 9113 section 6, RFC 9218 7.1. They are plain numbers: a peer may send any other one."""

    DATA: Final = 0x0
    HEADERS: Final = 0x1
    PRIORITY: Final = 0x2
    RST_STREAM: Final = 0x3
    SETTINGS: Final = 0x4
    PUSH_PROMISE: Final = 0x5
    PING: Final = 0x6
    GOAWAY: Final = 0x7
    WINDOW_UPDATE: Final = 0x8
    CONTINUATION: Final = 0x9
    PRIORITY_UPDATE: Final = 0x10


class Flag:
    """What a bit means depends on the type of the frame."""

    END_STREAM: Final = 0x1
    ACK: Final = 0x1
    END_HEADERS: Final = 0x4
    PADDED: Final = 0x8
    PRIORITY: Final = 0x20


class Setting:
    """RFC 9113 6.5.2, RFC 8441 section 3, RFC 9218 2.1."""

    HEADER_TABLE_SIZE: Final = 0x1
    ENABLE_PUSH: Final = 0x2
    MAX_CONCURRENT_STREAMS: Final = 0x3
    INITIAL_WINDOW_SIZE: Final = 0x4
    MAX_FRAME_SIZE: Final = 0x5
    MAX_HEADER_LIST_SIZE: Final = 0x6
    ENABLE_CONNECT_PROTOCOL: Final = 0x8
    NO_RFC7540_PRIORITIES: Final = 0x9


def frame_head(length: i64, kind: i64, flags: i64, stream: i64) -> bytes:
    """The nine bytes before a payload of `length` bytes, `FRAME_BYTES` at most."""
    # all but the first octet, a 0, fit a machine word: compiled, this takes a third of struct.pack
    return int(length << 48 | kind << 40 | flags << 32 | stream).to_bytes(9, "big")


def header_frames(stream: int, block: bytes, flags: int) -> bytes:
    """A header block as HEADERS, and CONTINUATION where it is too long for one frame."""
    if len(block) <= FRAME_BYTES:
        return frame_head(len(block), FrameType.HEADERS, flags | Flag.END_HEADERS, stream) + block
    frames = [frame_head(FRAME_BYTES, FrameType.HEADERS, flags, stream), block[:FRAME_BYTES]]
    position = FRAME_BYTES
    while position < len(block):
        part = block[position : position + FRAME_BYTES]
        position += FRAME_BYTES
        end = Flag.END_HEADERS if position >= len(block) else 0
        frames.append(frame_head(len(part), FrameType.CONTINUATION, end, stream))
        frames.append(part)
    return b"".join(frames)


def rst_stream(stream: int, code: int) -> bytes:
    """RFC 9113 6.4."""
    return frame_head(4, FrameType.RST_STREAM, 0, stream) + code.to_bytes(4, "big")


def settings(values: list[tuple[int, int]]) -> bytes:
    """RFC 9113 6.5: pairs of identifier and value."""
    payload = b"".join([(identifier << 32 | value).to_bytes(6, "big") for identifier, value in values])
    return frame_head(len(payload), FrameType.SETTINGS, 0, 0) + payload


SETTINGS_ACK: Final = b"\0\0\0\x04\x01\0\0\0\0"


def ping_ack(payload: bytes) -> bytes:
    """RFC 9113 6.7: the eight bytes of a PING go back."""
    return frame_head(8, FrameType.PING, Flag.ACK, 0) + payload


def go_away(last_stream: int, code: int) -> bytes:
    """RFC 9113 6.8, without debug data: the log of this side has the reason."""
    return frame_head(8, FrameType.GOAWAY, 0, 0) + last_stream.to_bytes(4, "big") + code.to_bytes(4, "big")


def window_update(stream: int, increment: int) -> bytes:
    """RFC 9113 6.9; stream 0 is the connection."""
    return frame_head(4, FrameType.WINDOW_UPDATE, 0, stream) + increment.to_bytes(4, "big")
