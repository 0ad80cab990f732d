"""Faults of HTTP/2 peers, and the codes that name them on the wire (RFC 9113 section 7)."""

from typing import Final


class ErrorCode:
    """The codes of RST_STREAM and GOAWAY. They are plain numbers: a peer may send any other one."""

    NO_ERROR: Final = 0x0
    PROTOCOL_ERROR: Final = 0x1
    INTERNAL_ERROR: Final = 0x2
    FLOW_CONTROL_ERROR: Final = 0x3
    SETTINGS_TIMEOUT: Final = 0x4
    STREAM_CLOSED: Final = 0x5
    FRAME_SIZE_ERROR: Final = 0x6
    REFUSED_STREAM: Final = 0x7
    CANCEL: Final = 0x8
    COMPRESSION_ERROR: Final = 0x9
    CONNECT_ERROR: Final = 0xA
    ENHANCE_YOUR_CALM: Final = 0xB
    INADEQUATE_SECURITY: Final = 0xC
    HTTP_1_1_REQUIRED: Final = 0xD


class _PeerFault(Exception):
    """What the peer did wrong.

    `code` is one of ErrorCode. `reason` is a short fixed sentence for the log. It never repeats
    what was received.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason} (HTTP/2 error {self.code})"


class ConnectionFault(_PeerFault):
    """A fault that ends the connection with GOAWAY (RFC 9113 5.4.1)."""


class StreamFault(_PeerFault):
    """A fault that ends one stream with RST_STREAM (RFC 9113 5.4.2)."""
