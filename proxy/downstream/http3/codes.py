"""The error codes of HTTP/3 (RFC 9114 section 8.1) for those that its streams and drivers use. Pure."""

from typing import Final

from proxy.http2.wire.errors import ErrorCode

NO_ERROR: Final = 0x100
REQUEST_REJECTED: Final = 0x10B
"""Of a stream that came behind our GOAWAY: it was not looked at."""
REQUEST_CANCELLED: Final = 0x10C
_INTERNAL_ERROR: Final = 0x102

_CODES: Final = {
    ErrorCode.NO_ERROR: NO_ERROR,
    # of a stream: the message is malformed (RFC 9114 section 4.1.2)
    ErrorCode.PROTOCOL_ERROR: 0x10E,
    ErrorCode.INTERNAL_ERROR: _INTERNAL_ERROR,
    ErrorCode.FLOW_CONTROL_ERROR: 0x101,
    ErrorCode.REFUSED_STREAM: REQUEST_REJECTED,
    ErrorCode.CANCEL: REQUEST_CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: 0x107,
    ErrorCode.CONNECT_ERROR: 0x10F,
    ErrorCode.HTTP_1_1_REQUIRED: 0x110,
}


def http3_code(code: int) -> int:
    """The code of HTTP/3 for one of HTTP/2."""
    return _CODES.get(code, _INTERNAL_ERROR)
