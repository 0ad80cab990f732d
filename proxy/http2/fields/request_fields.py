"""What a request of HTTP/2 may be: decoded fields -> RequestHead and RequestFraming. Pure.

Theory of operation. A request of HTTP/2 goes on as one of HTTP/1.1. So this module checks what only
HTTP/2 has: pseudo-fields, lower-case names, fields about a connection (RFC 9113 sections 8.2 and
8.3). Then it writes the request as the head that a client of HTTP/1.1 would have sent, and the
rules of HTTP/1.1 judge that head (`proxy.http.framing`). Thus no request gets through here that
HTTP/1.1 refuses.

- `:authority` becomes Host.
- A body of unknown length becomes a chunked one.
- An extended CONNECT (RFC 8441) becomes a GET with an upgrade to `websocket`.

A malformed request is a `StreamFault` (RFC 9113 8.1.1): its sender does not speak HTTP/2 well. What
is well-formed and not served is a `MalformedMessage` with the status that HTTP/1.1 answers.
"""

import base64
import re
from collections.abc import Callable
from typing import Final

from proxy.http.framing import RequestFraming, request_framing
from proxy.http.head import Header, HeadLimits, MalformedMessage, RequestHead, check_fields, check_request
from proxy.http.target import check_agreement, check_scheme, origin_form, parse_authority
from proxy.http2.fields.field_rules import check_characters, check_value, malformed, pseudo_fields
from proxy.http2.hpack.never_indexed import NO_NAMES

_PSEUDO_FIELDS: Final = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})

# RFC 3986 3.1.
_SCHEME: Final = re.compile(rb"[A-Za-z][0-9A-Za-z+.-]*")

_UPGRADE_REQUIRED: Final = 426

# Longer sections are not worth the memory of an idle connection: those of browsers have 500 to
# 2,000 bytes.
_REMEMBERED_BYTES: Final = 4_096


# They do not go on as they came. RFC 8441 section 5: the key of a WebSocket is not used.
_APART: Final = frozenset({b"cookie", b"host", b"sec-websocket-key"})


class FieldSection:
    """All of a request but its `:path`, judged. It never changes."""

    __slots__ = ("_authority", "_fields", "_framing", "_head", "_is_ended", "_limits", "_never_indexed", "_path_index")

    def __init__(
        self, fields: list[Header], limits: HeadLimits, head: RequestHead, framing: RequestFraming, *, is_ended: bool
    ) -> None:
        """`fields` are those of the first request that had it."""
        self._fields: Final = fields
        self._path_index: Final = [name for name, _ in fields].index(b":path")
        self._limits: Final = limits
        self._is_ended: Final = is_ended
        self._head: Final = head
        self._framing: Final = framing
        self._authority: Final = parse_authority(framing.host_field)
        self._never_indexed: Final = head.never_indexed

    def other_path(
        self, fields: list[Header], never_indexed: frozenset[bytes], limits: HeadLimits, *, is_ended: bool
    ) -> bytes | None:
        """The `:path` of a request that has this section; None if it has another section."""
        if limits is not self._limits or is_ended is not self._is_ended or len(fields) != len(self._fields):
            return None
        if never_indexed is not self._never_indexed and never_indexed != self._never_indexed:
            return None
        index = self._path_index
        name, path = fields[index]
        if name != b":path":
            return None
        others = fields.copy()
        others[index] = self._fields[index]
        return path if others == self._fields else None

    def with_path(self, path: bytes) -> "StreamRequest":
        """The request with this section and this path. Raises as `RequestFieldReader.read` does."""
        method = self._head.method
        check_value(path)
        _check_path(method, path)
        check_request(method, path, self._limits)
        target = origin_form(method, path, self._authority)
        framing = self._framing.with_target(target, self._framing.fields)
        return StreamRequest(self._head.asking(method, path), framing, self)


class StreamRequest:
    __slots__ = ("framing", "head", "section")

    def __init__(self, head: RequestHead, framing: RequestFraming, section: FieldSection | None) -> None:
        """Two requests with the same `section` have the same field lines for the upstream."""
        self.head: Final = head
        self.framing: Final = framing
        self.section: Final = section


class RequestFieldReader:
    """Judges the requests of one connection, with a memory of the last section.

    A client sends the same fields repeatedly; only the path changes. So equal fields are not
    judged twice. A memory of all connections would keep one client's cookies among those of others.
    """

    __slots__ = ("_last", "_new_nonce")

    def __init__(self, new_nonce: Callable[[], bytes]) -> None:
        """`new_nonce` returns 16 random bytes: the key of a WebSocket handshake (RFC 6455 4.1)."""
        self._new_nonce: Final = new_nonce
        self._last: FieldSection | None = None

    def read(
        self, fields: list[Header], limits: HeadLimits, never_indexed: frozenset[bytes] = NO_NAMES, *, is_ended: bool
    ) -> StreamRequest:
        """Judge the fields of a request; `is_ended` says that no body follows.

        Raises StreamFault, or MalformedMessage (400, 414, 417, 421, 431, 501).
        """
        last = self._last
        if last is not None and (path := last.other_path(fields, never_indexed, limits, is_ended=is_ended)) is not None:
            return last.with_path(path)
        pseudo = pseudo_fields(fields, _PSEUDO_FIELDS)
        check_characters(fields, len(pseudo))
        method, is_websocket = _method(pseudo)
        path = pseudo[b":path"]
        _check_path(method, path)
        check_request(method, path, limits)
        headers = _headers(fields, pseudo)
        size = _check_sizes(headers, limits)
        if is_websocket:
            self._upgrade(headers, is_ended=is_ended)
        elif not is_ended and not _has_length(headers):
            headers.append((b"transfer-encoding", b"chunked"))
        head = RequestHead(method, path, 1, headers, 2, never_indexed)
        framing = _framing(head)
        if is_ended and framing.length:
            raise malformed("content-length of a request without a body")  # RFC 9113 8.1.1
        section = None
        if size <= _REMEMBERED_BYTES and not is_websocket:
            section = FieldSection(fields, limits, head, framing, is_ended=is_ended)
        self._last = section
        return StreamRequest(head, framing, section)

    def _upgrade(self, headers: list[Header], *, is_ended: bool) -> None:
        """Turn the fields of an extended CONNECT into those of an upgrade (RFC 8441 section 5)."""
        # RFC 9110 9.3.6: CONNECT has no content
        if _has_length(headers):
            raise malformed("content-length of a WebSocket")
        if is_ended:
            raise MalformedMessage(400, "WebSocket handshake that ends its stream")
        key = base64.b64encode(self._new_nonce())
        headers += [(b"connection", b"Upgrade"), (b"upgrade", b"websocket"), (b"sec-websocket-key", key)]


def _method(pseudo: dict[bytes, bytes]) -> tuple[bytes, bool]:
    """Check which pseudo-fields are there (RFC 9113 8.3.1, 8.5, RFC 8441 section 4).

    Returns the method of HTTP/1.1, and whether the request opens a WebSocket.
    """
    method = pseudo.get(b":method")
    protocol = pseudo.get(b":protocol")
    if method is None:
        raise malformed("request without :method")
    if protocol is None and method == b"CONNECT":
        if b":scheme" in pseudo or b":path" in pseudo or b":authority" not in pseudo:
            raise malformed("CONNECT with other pseudo-fields than :authority")
        raise MalformedMessage(501, "method not supported")
    if b":scheme" not in pseudo or b":path" not in pseudo:
        raise malformed("request without :scheme or :path")
    if protocol is None:
        return method, False
    if method != b"CONNECT":
        raise malformed(":protocol with a method other than CONNECT")
    # RFC 9220 section 3: 501 is for an unknown protocol. RFC 9110 7.8: its case does not matter.
    if protocol.lower() != b"websocket":
        raise MalformedMessage(501, "protocol not supported")
    return b"GET", True


def _check_path(method: bytes, path: bytes) -> None:
    """Apply RFC 9113 8.3.1: `:path` is a path, or `*` for OPTIONS."""
    if not path.startswith(b"/") and (path != b"*" or method != b"OPTIONS"):
        raise malformed(":path is not a path")


def _headers(fields: list[Header], pseudo: dict[bytes, bytes]) -> list[Header]:
    """Return the fields that HTTP/1.1 would have, with one Host and one Cookie."""
    named = _authority(pseudo)
    headers = [(b"host", named)]
    crumbs: list[bytes] = []
    hosts: list[bytes] = []
    for header in fields[len(pseudo) :]:
        name = header[0]
        if name not in _APART:
            headers.append(header)
        elif name == b"cookie":
            crumbs.append(header[1])
        elif name == b"host":
            hosts.append(header[1])
    if crumbs:
        # RFC 9113 8.2.3; an empty crumb would leave white space at an end of the value
        headers.append((b"cookie", b"; ".join([crumb for crumb in crumbs if crumb])))
    if len(hosts) == 1:
        # RFC 9113 8.3.1: both name the same server
        check_agreement(parse_authority(hosts[0]), parse_authority(named))
    else:
        headers += [(b"host", host) for host in hosts]  # several: HTTP/1.1 refuses them
    return headers


def _authority(pseudo: dict[bytes, bytes]) -> bytes:
    """Check `:scheme`, and return `:authority`."""
    scheme = pseudo[b":scheme"]
    if scheme != b"https":
        if not _SCHEME.fullmatch(scheme):
            raise malformed("invalid :scheme")
        check_scheme(scheme)
    named = pseudo.get(b":authority")
    if named is None:
        raise MalformedMessage(400, "request without :authority")  # nothing else leads to a route
    return named


def _check_sizes(headers: list[Header], limits: HeadLimits) -> int:
    """Bound the fields as lines of HTTP/1.1. Returns the bytes of all."""
    longest = 0
    size = 0
    for name, value in headers:
        length = len(name) + len(value) + 2  # the colon and a space
        size += length
        longest = max(longest, length)
    check_fields(len(headers), longest, limits)
    return size


def _has_length(headers: list[Header]) -> bool:
    return any(name == b"content-length" for name, _ in headers)


def _framing(head: RequestHead) -> RequestFraming:
    try:
        return request_framing(head)
    except MalformedMessage as error:
        # RFC 9110 15.5.22: a 426 brings an Upgrade field, which HTTP/2 does not have
        status = 400 if error.status == _UPGRADE_REQUIRED else error.status
        raise MalformedMessage(status, error.reason) from error
