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

from mypy_extensions import i64, mypyc_attr

from proxy.http.fields import FieldLine, Fields, Treatment, request_line, special_values
from proxy.http.framing import RequestFraming, request_framing
from proxy.http.head import Header, HeadLimits, MalformedMessage, RequestHead, check_fields, check_request
from proxy.http.line_memory import LEAST_LINES, REMEMBERED_BYTES, Beginning, with_other_length
from proxy.http.target import Authority, check_agreement, check_scheme, origin_form, parse_authority
from proxy.http2.fields.field_rules import check_value, malformed, pseudo_fields
from proxy.http2.fields.request_lines import read_lines
from proxy.http2.hpack.never_indexed import NO_NAMES
from proxy.http2.hpack.static_table import AnyHeader

_PSEUDO_FIELDS: Final = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})

# RFC 3986 3.1.
_SCHEME: Final = re.compile(rb"[A-Za-z][0-9A-Za-z+.-]*")

_UPGRADE_REQUIRED: Final = 426

_CHUNKED: Final = request_line((b"transfer-encoding", b"chunked"))
_UPGRADE: Final = [request_line((b"connection", b"Upgrade")), request_line((b"upgrade", b"websocket"))]
_LINE_END_BYTES: Final = 2

_SPECIAL: Final = Treatment.SPECIAL
_NOTHING: Final = Beginning([])


class PseudoFields:
    """Those of a request, without the value of `:path`, judged (RFC 9113 8.3.1)."""

    def __init__(self, fields: list[AnyHeader], found: dict[bytes, bytes]) -> None:
        """`found` are the first ones of `fields`. Raises StreamFault or MalformedMessage."""
        self.count: i64 = len(found)
        self._fields: Final = fields[: self.count]
        self.method, self.is_websocket = _method(found)
        self._path_index: i64 = list(found).index(b":path")
        self.host: Final = request_line((b"host", _authority(found)))
        self.authority: Final[Authority] = parse_authority(self.host.header[1])

    def path(self, fields: list[AnyHeader]) -> bytes | None:
        """The path of a request that has these pseudo-fields; None if it has others."""
        count = self.count
        if len(fields) < count:
            return None
        path: bytes | None = None
        at: i64 = 0
        while at < count:
            field = fields[at]
            if at == self._path_index:
                pair: Header = field
                if pair[0] != b":path":
                    return None
                path = pair[1]
            elif field is not self._fields[at] and field != self._fields[at]:
                return None
            at += 1
        if len(fields) > count:
            behind: Header = fields[count]
            if behind[0].startswith(b":"):
                return None
        return path


@mypyc_attr(acyclic=True, free_list_len=1)
class FieldSection:
    """All of a request but its `:path`, judged. It never changes."""

    def __init__(  # noqa: PLR0913 - its fields
        self,
        pseudo: PseudoFields,
        lines: list[FieldLine],
        special: list[FieldLine],
        beginning: Beginning,
        head: RequestHead,
        framing: RequestFraming,
        *,
        is_ended: bool,
    ) -> None:
        """`lines` are those that its client sent, `special` those that `framing` follows from.

        `beginning` are the first ones that are forwarded, as the section before had them too.
        """
        self.pseudo: Final = pseudo
        self.lines: Final = lines
        self.special: Final = special
        self.beginning: Final = beginning
        self.head: Final = head
        self.framing: Final = framing
        self.is_ended: Final = is_ended

    def is_asked(self, pseudo: PseudoFields, path: bytes) -> bool:
        """Whether the first request that had it had this path as well."""
        return pseudo is self.pseudo and path == self.head.target

    def target(self, path: bytes) -> bytes:
        """What is asked for by a path, if the rest of the pseudo-fields is the same."""
        if path == self.head.target:
            return self.framing.target
        return origin_form(self.pseudo.method, path, self.framing.host_field)

    def told(self, special: list[FieldLine]) -> dict[bytes, list[bytes]] | None:
        """What special lines say, if they differ in the length of the body at most; else None."""
        known = self.framing.fields.special
        if special == self.special:  # line by line the same objects
            return known
        return with_other_length(known, special, self.special)

    def has_marks(self, never_indexed: frozenset[bytes]) -> bool:
        marked = self.head.never_indexed
        return never_indexed is marked or never_indexed == marked


@mypyc_attr(acyclic=True, free_list_len=1)
class StreamRequest:
    def __init__(self, head: RequestHead, framing: RequestFraming, section: FieldSection | None) -> None:
        """Two requests with the same `section` have the same field lines for the upstream."""
        self.head: Final = head
        self.framing: Final = framing
        self.section: Final = section


class RequestFieldReader:
    """Judges the requests of one connection, with a memory of the last section.

    A client sends most fields repeatedly. So what follows from equal ones is not judged twice: from
    all of them, if only the path changes; from single ones; from the special ones. A memory of all
    connections would keep one client's cookies among those of others.
    """

    def __init__(self, new_nonce: Callable[[], bytes]) -> None:
        """`new_nonce` returns 16 random bytes: the key of a WebSocket handshake (RFC 6455 4.1)."""
        self._new_nonce: Final = new_nonce
        self._last: FieldSection | None = None
        self._limits: HeadLimits | None = None
        self._crumbs: list[FieldLine] = []
        self._cookie: FieldLine | None = None
        """What the crumbs of the last request became."""

    def read(
        self,
        fields: list[AnyHeader],
        limits: HeadLimits,
        never_indexed: frozenset[bytes] = NO_NAMES,
        *,
        is_ended: bool,
    ) -> StreamRequest:
        """Judge the fields of a request; `is_ended` says that no body follows.

        Raises StreamFault, or MalformedMessage (400, 414, 417, 421, 431, 501).
        """
        if limits is not self._limits:
            self._last = None
            self._limits = limits
        last = self._last
        pseudo = None if last is None else last.pseudo
        path = None if pseudo is None else pseudo.path(fields)
        before = [] if last is None else last.lines
        if pseudo is None or path is None:
            found = pseudo_fields(fields, _PSEUDO_FIELDS)
            for value in found.values():
                check_value(value)
            lines = read_lines(fields, len(found), before)
            pseudo = PseudoFields(fields, found)
            path = found[b":path"]
        else:
            check_value(path)
            lines = read_lines(fields, pseudo.count, before)
        if last is None or not last.is_asked(pseudo, path):
            _check_path(pseudo.method, path)
            check_request(pseudo.method, path, limits)
        if last is not None and pseudo is last.pseudo and is_ended is last.is_ended:
            if lines is last.lines and last.has_marks(never_indexed):
                framing = last.framing.with_target(last.target(path), last.framing.fields)
                return StreamRequest(last.head.asking(pseudo.method, path), framing, last)
        else:
            last = None
        self._last = None
        return self._judge(pseudo, path, lines, last, never_indexed, is_ended=is_ended)

    def _judge(
        self,
        pseudo: PseudoFields,
        path: bytes,
        lines: list[FieldLine],
        last: FieldSection | None,
        never_indexed: frozenset[bytes],
        *,
        is_ended: bool,
    ) -> StreamRequest:
        """Judge new lines; `last` may mean the same."""
        sent = [pseudo.host, *lines] if _stay_as_they_are(lines) else self._as_http1(pseudo, lines)
        assert self._limits is not None  # `read` has set them
        size = _check_sizes(sent, self._limits)
        if pseudo.is_websocket:
            self._upgrade(sent, is_ended=is_ended)
        elif not is_ended and not _has_length(sent):
            sent.append(_CHUNKED)
        special = [line for line in sent if line.is_judged]
        beginning = _beginning(sent, last)
        head = RequestHead(pseudo.method, path, 1, [line.header for line in sent], 2, never_indexed)
        told = None if last is None else last.told(special)
        if last is not None and told is not None:
            written = beginning.before(sent[len(beginning.lines) :])
            known = Fields(sent, told, written=written, shape=last.framing.fields.shape)
            framing = last.framing.with_target(last.target(path), known)
        else:
            framing = _framing(head, Fields(sent, special_values(special)))
        if is_ended and framing.length:
            raise malformed("content-length of a request without a body")  # RFC 9113 8.1.1
        if size > REMEMBERED_BYTES:
            self._crumbs = []
            self._cookie = None
        elif not pseudo.is_websocket:
            self._last = FieldSection(pseudo, lines, special, beginning, head, framing, is_ended=is_ended)
        return StreamRequest(head, framing, self._last)

    def _as_http1(self, pseudo: PseudoFields, lines: list[FieldLine]) -> list[FieldLine]:
        """Return the lines that HTTP/1.1 would have, with one Host and one Cookie."""
        sent = [pseudo.host]
        crumbs: list[FieldLine] = []
        hosts: list[FieldLine] = []
        for line in lines:
            if not line.is_ordinary and line.line.startswith(b"cookie: "):
                crumbs.append(line)
            elif line.treatment is not _SPECIAL:
                sent.append(line)
            elif line.line.startswith(b"host: "):
                hosts.append(line)
            elif not line.line.startswith(b"sec-websocket-key: "):  # RFC 8441 section 5: it is not used
                sent.append(line)
        if crumbs:
            sent.append(self._joined(crumbs))
        if len(hosts) == 1:
            # RFC 9113 8.3.1: both name the same server
            check_agreement(parse_authority(hosts[0].header[1]), pseudo.authority)
        else:
            sent += hosts  # several: HTTP/1.1 refuses them
        return sent

    def _joined(self, crumbs: list[FieldLine]) -> FieldLine:
        """The one Cookie of HTTP/1.1 (RFC 9113 8.2.3)."""
        if self._cookie is None or crumbs != self._crumbs:
            # an empty crumb would leave white space at an end of the value
            values: list[bytes] = [crumb.header[1] for crumb in crumbs]
            self._cookie = request_line((b"cookie", b"; ".join([value for value in values if value])))
            self._crumbs = crumbs
        return self._cookie

    def _upgrade(self, sent: list[FieldLine], *, is_ended: bool) -> None:
        """Turn the lines of an extended CONNECT into those of an upgrade (RFC 8441 section 5)."""
        # RFC 9110 9.3.6: CONNECT has no content
        if _has_length(sent):
            raise malformed("content-length of a WebSocket")
        if is_ended:
            raise MalformedMessage(400, "WebSocket handshake that ends its stream")
        sent += [*_UPGRADE, request_line((b"sec-websocket-key", base64.b64encode(self._new_nonce())))]


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


def _stay_as_they_are(lines: list[FieldLine]) -> bool:
    """Whether HTTP/1.1 would have no other lines."""
    for line in lines:
        if line.is_ordinary or line.is_length:
            continue
        if line.treatment is _SPECIAL or line.line.startswith(b"cookie: "):
            return False
    return True


def _beginning(sent: list[FieldLine], last: FieldSection | None) -> Beginning:
    """The first lines, if the request before had them as well."""
    if last is None:
        return _NOTHING
    known = last.beginning
    place = len(known.lines)
    if sent[:place] != known.lines:  # line by line the same objects
        known = _NOTHING
        place = 0
    same = place
    before = last.framing.fields.sent
    while same < len(sent) and same < len(before) and sent[same] is before[same]:
        same += 1
    return Beginning(sent[:same]) if same - place >= LEAST_LINES else known


def _check_sizes(sent: list[FieldLine], limits: HeadLimits) -> int:
    """Bound the lines as those of HTTP/1.1. Returns the bytes of all."""
    longest: i64 = 0
    size: i64 = 0
    for line in sent:
        length: i64 = len(line.line) - _LINE_END_BYTES
        size += length
        if length > longest:
            longest = length
    check_fields(len(sent), longest, limits)
    return size


def _has_length(sent: list[FieldLine]) -> bool:
    return any(line.is_length for line in sent)


def _framing(head: RequestHead, fields: Fields) -> RequestFraming:
    try:
        return request_framing(head, fields)
    except MalformedMessage as error:
        # RFC 9110 15.5.22: a 426 brings an Upgrade field, which HTTP/2 does not have
        status = 400 if error.status == _UPGRADE_REQUIRED else error.status
        raise MalformedMessage(status, error.reason) from error
