"""The response heads of a server that speaks HTTP/2: decoded fields -> Response. Pure.

Theory of operation. First come the rules that only HTTP/2 has (RFC 9113 sections 8.2 and 8.3.2).
Then the head is written as a server of HTTP/1.1 would have sent it, and the reader of such heads
judges it. So no response gets through here that HTTP/1.1 refuses.

- A body of unknown length becomes a chunked one: the end of the stream ends it, and trailers may
  follow.
- The answer that opens a WebSocket becomes a 101 (RFC 8441 section 5).
- A response without a body that may have one gets `content-length: 0`.
"""

from typing import Final

from proxy.http.head import Header, HeadLimits, MalformedMessage
from proxy.http.responses import Response, ResponseReader
from proxy.http.websocket.upgrade import WebSocketOffer, accept_value
from proxy.http2.fields.field_rules import check_characters, malformed, pseudo_fields
from proxy.http2.hpack.decoder import DecodedFields
from proxy.http2.wire.errors import StreamFault

_BAD_GATEWAY: Final = 502
_PSEUDO_FIELDS: Final = frozenset({b":status"})
# RFC 9110 6.4.1: these have no content. To add a length to them would be wrong.
_BODILESS: Final = frozenset({b"204", b"205", b"304"})
# RFC 9110 9.3.6: what answers CONNECT has no length; a client ignores one. RFC 8441 section 5: the
# key of the handshake is not used, so nothing accepts it.
_NOT_OF_A_TUNNEL: Final = frozenset({b"content-length", b"sec-websocket-accept"})


class StreamResponses:
    """Reads the response heads of one connection, with a memory of the last one."""

    def __init__(self, reader: ResponseReader, limits: HeadLimits) -> None:
        """`reader` is that of the server, which all of its connections share."""
        self._reader: Final = reader
        self._limits: Final = limits
        self._decoded: DecodedFields | None = None
        self._method = b""
        self._is_ended = False
        self._response: Response | None = None

    def read(self, decoded: DecodedFields, method: bytes, *, is_ended: bool) -> Response:
        """Judge a head.

        `method` is that of the request, `is_ended` says that no body follows. Raises
        MalformedMessage (502).
        """
        last = self._response
        if last is not None and decoded is self._decoded and method == self._method and is_ended is self._is_ended:
            return last
        raw = _as_http1(_checked(decoded), method, is_ended=is_ended)
        response = self._reader.read(raw, self._limits, method)
        self._decoded = decoded
        self._method = method
        self._is_ended = is_ended
        self._response = response
        return response

    def opened(self, decoded: DecodedFields, offer: WebSocketOffer, *, is_ended: bool) -> Response:
        """Judge a head that `opens_tunnel` as the 101 that would have answered this offer.

        Raises MalformedMessage (502).
        """
        fields = _checked(decoded)
        if is_ended:
            raise MalformedMessage(_BAD_GATEWAY, "WebSocket that ends with its head")
        lines = [
            *(b"HTTP/1.1 101 ", b"connection: upgrade", b"upgrade: websocket"),
            b"sec-websocket-accept: " + accept_value(offer.key),
            *[b"%b: %b" % field for field in fields[1:] if field[0] not in _NOT_OF_A_TUNNEL],
        ]
        return self._reader.read(b"\r\n".join(lines) + b"\r\n\r\n", self._limits, b"GET", offer)


def opens_tunnel(decoded: DecodedFields) -> bool:
    """Whether a response to CONNECT says 2xx: its stream is a tunnel (RFC 9110 9.3.6)."""
    if not decoded.fields:
        return False
    name, value = decoded.fields[0]
    return name == b":status" and len(value) == 3 and value.startswith(b"2")


def _checked(decoded: DecodedFields) -> list[Header]:
    """The fields of a head, if they keep the rules of HTTP/2. Raises MalformedMessage (502)."""
    if decoded.is_too_large:
        raise MalformedMessage(_BAD_GATEWAY, "response head too long")
    fields = decoded.fields
    try:
        if b":status" not in pseudo_fields(fields, _PSEUDO_FIELDS):
            raise malformed("response without :status")
        check_characters(fields, 1)
    except StreamFault as fault:
        raise MalformedMessage(_BAD_GATEWAY, fault.reason) from fault
    return fields


def _as_http1(fields: list[Header], method: bytes, *, is_ended: bool) -> bytes:
    """Write the head that a server of HTTP/1.1 would have sent."""
    status = fields[0][1]
    lines = [b"HTTP/1.1 %b " % status]
    has_length = False
    for name, value in fields[1:]:
        has_length |= name == b"content-length"
        lines.append(b"%b: %b" % (name, value))
    if not (has_length or method == b"HEAD" or status in _BODILESS or status.startswith(b"1")):
        lines.append(b"content-length: 0" if is_ended else b"transfer-encoding: chunked")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def response_trailers(decoded: DecodedFields) -> list[Header]:
    """Judge the trailer fields of a response (RFC 9113 8.1). Raises MalformedMessage (502)."""
    if decoded.is_too_large:
        raise MalformedMessage(_BAD_GATEWAY, "trailers too long")
    try:
        check_characters(decoded.fields, 0)
    except StreamFault as fault:
        raise MalformedMessage(_BAD_GATEWAY, fault.reason) from fault
    return decoded.fields
