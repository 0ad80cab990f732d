"""A request for a server that speaks HTTP/2: our HTTP/1.1 head -> fields (RFC 9113 8.3.1). Pure.

The head is ours (`proxy.http.forwarded_head`): nothing in it is judged again. Lines about the
connection are left out, since HTTP/2 has none (8.2.2); `te: trailers` is not about the connection
there.
"""

from typing import Final

from proxy.http.head import Header
from proxy.http2.fields.field_rules import CONNECTION_FIELDS
from proxy.http2.hpack.never_indexed import NO_NAMES
from proxy.http2.hpack.static_table import AnyHeader

# The same clients, with the same lines, come repeatedly. About 300 KB for a server.
_REMEMBERED_LINES: Final = 1_024
_REMEMBERED_LINE_BYTES: Final = 128
# Secrets of one client must not stay in a memory that survives its request. An id never repeats.
_WEBSOCKET: Final[Header] = (b":protocol", b"websocket")
_NEVER_REMEMBERED: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization", b"x-request-id"})


class ForwardedFields:
    """Makes the fields of requests to one server, with a memory of lines."""

    def __init__(self, scheme: bytes) -> None:
        """`scheme` is `http` or `https`: how the server is reached."""
        self._scheme: Final[Header] = (b":scheme", scheme)
        self._known: dict[bytes, AnyHeader] = {}

    def read(
        self, head: bytes, never_indexed: frozenset[bytes] = NO_NAMES, *, is_upgrade: bool = False
    ) -> list[Header]:
        """The fields of a request, pseudo-fields first; `head` ends with its CRLF CRLF.

        Lines with the names of `never_indexed` are not remembered. An upgrade to WebSocket becomes
        an extended CONNECT.
        """
        start, *lines = head[:-4].split(b"\r\n")
        method, path, _ = start.split(b" ")
        authority = b""
        fields: list[AnyHeader] = []  # compiled code takes a typed pair apart, and makes a new one
        known = self._known
        for line in lines:
            field = known.get(line)
            if field is None:
                field = self._learn(line, never_indexed)
            name = field[0]
            if name == b"host":
                authority = field[1]
            elif name not in CONNECTION_FIELDS:
                fields.append(field)
        if is_upgrade:  # RFC 8441 sections 4 and 5
            fields = [_WEBSOCKET, *[field for field in fields if field[0] != b"sec-websocket-key"]]
            method = b"CONNECT"
        return [(b":method", method), self._scheme, (b":authority", authority), (b":path", path), *fields]

    def _learn(self, line: bytes, never_indexed: frozenset[bytes]) -> AnyHeader:
        name, _, value = line.partition(b": ")
        field: AnyHeader = (name.lower(), value)
        is_secret = field[0] in _NEVER_REMEMBERED or field[0] in never_indexed
        if len(line) <= _REMEMBERED_LINE_BYTES and not is_secret:
            if len(self._known) >= _REMEMBERED_LINES:
                self._known.clear()
            self._known[line] = field
        return field
