"""The codes by which HTTP/3 ends streams and connections (RFC 9114 section 8.1). Pure."""

from typing import Final

from proxy.http2.wire.errors import ErrorCode

_NO_ERROR: Final = 0x100
REQUEST_REJECTED: Final = 0x10B
"""Of a stream that came behind our GOAWAY."""
_REQUEST_CANCELLED: Final = 0x10C
_INTERNAL_ERROR: Final = 0x102

_CODES: Final = {
    ErrorCode.NO_ERROR: _NO_ERROR,
    # of a stream: the message is malformed (RFC 9114 section 4.1.2)
    ErrorCode.PROTOCOL_ERROR: 0x10E,
    ErrorCode.INTERNAL_ERROR: _INTERNAL_ERROR,
    ErrorCode.FLOW_CONTROL_ERROR: 0x101,
    ErrorCode.REFUSED_STREAM: REQUEST_REJECTED,
    ErrorCode.CANCEL: _REQUEST_CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: 0x107,
    ErrorCode.CONNECT_ERROR: 0x10F,
    ErrorCode.HTTP_1_1_REQUIRED: 0x110,
}


def http3_code(code: int) -> int:
    """The code of HTTP/3 for an `ErrorCode` of HTTP/2; that of an internal error if it has none."""
    return _CODES.get(code, _INTERNAL_ERROR)
