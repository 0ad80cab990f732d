"""The response heads of one server, read with a memory of its earlier ones. Pure.

A server repeats itself: most of its lines (Server, Content-Type, Date within a second) are equal to
those of an earlier response, byte for byte. The meaning of a line does not depend on the lines
around it, so only lines that are new are read. If one of them is not certainly well-formed (see
`fields.read_response_field`), llhttp parses the head. What a response means to its connection
follows from its status line and its few special fields. So this is not judged again either if both
are known, up to the length of the body. A head that is equal to the one before it is not even split
into lines.
"""

from typing import Final

from mypy_extensions import i64

from proxy.http.fields import ResponseField, Treatment, classify_in_response, read_response_field
from proxy.http.framing import ResponseFraming, is_length, response_framing
from proxy.http.head import (
    Header,
    HeadLimits,
    MalformedMessage,
    ResponseHead,
    check_response_head,
    parse_response_head,
    parse_status_line,
)
from proxy.http.websocket.upgrade import WebSocketOffer

# Longer lines rarely repeat. A long policy does, which costs a microsecond each time.
_REMEMBERED_LINE_BYTES: Final = 128
# About 300 KB for a server. If the younger half of its memory is full, the older half goes: lines
# that still come have moved to the younger one.
_REMEMBERED_LINES: Final = 512
_REMEMBERED_FRAMINGS: Final = 1_024
# A secret of one client must not stay in a memory that survives its response.
_SECRETS: Final = frozenset({b"set-cookie", b"www-authenticate", b"authentication-info"})
# Nor is it worth a place there what is new in each response.
_NOT_KEPT: Final = _SECRETS | {b"content-length", b"etag", b"x-request-id", b"traceparent", b"server-timing"}
# In place of the line that says how long a body is: the next one is as good, if it is not empty.
_ANY_LENGTH: Final = b"Content-Length: ?"
_ZERO: Final = 0x30
_LINE_END: Final = b"\r\n"
_ANY_STATUS_LINE: Final = b"HTTP/1.1 200 OK\r\n"

_FORWARD: Final = Treatment.FORWARD
_NOTE: Final = Treatment.NOTE
_SPECIAL: Final = Treatment.SPECIAL

# in place of a field that must not stay: no line is like this one
_NOTHING: Final = ResponseField(_LINE_END, _LINE_END, Treatment.REMOVE, b"", b"")


class Response:
    """A response head that was read.

    Several responses of a server may share it, so it never changes.
    """

    __slots__ = ("_fields", "_kept", "forwarded", "framing", "is_remembered", "lines", "noted")

    def __init__(
        self,
        framing: ResponseFraming,
        forwarded: list[bytes],
        noted: list[bytes],
        kept: list[ResponseField] | None = None,
    ) -> None:
        """`noted` are fields that we would add otherwise, in lower case: Date, X-Request-Id.

        `kept` are the fields of the `forwarded` lines, if all of them are of the server.
        """
        self.framing: Final = framing
        self.forwarded: Final = forwarded
        """The lines that are sent on, each with its CRLF, in their order."""
        self.noted: Final = noted
        self.lines: Final = b"".join(forwarded)
        self._kept: Final = kept
        self._fields: list[Header] | None = None
        self.is_remembered = False
        """Whether the reader keeps it for the next response: then nothing in it is a secret."""

    @property
    def fields(self) -> list[Header]:
        """The same as the lines, with lower-case names, for a client of HTTP/2."""
        if self._fields is None:
            kept = self._kept
            self._fields = [as_field(line) for line in self.forwarded] if kept is None else [one.field for one in kept]
        return self._fields

    def with_lines(self, forwarded: list[bytes]) -> "Response":
        """The same response, with these lines to be sent on."""
        return Response(self.framing, forwarded, self.noted)


def as_field(line: bytes) -> Header:
    """Take apart a field line that we wrote, with its CRLF. The name becomes lower-case."""
    name, _, value = line.partition(b": ")
    return name.lower(), value[:-2]


class ResponseReader:
    """Reads complete response heads of one server."""

    __slots__ = (
        "_before",
        "_framings",
        "_has_secret",
        "_is_known",
        "_judged",
        "_known",
        "_last",
        "_last_limits",
        "_last_method",
        "_last_raw",
        "_major_version",
        "_older",
        "_shape",
    )

    def __init__(self, major_version: int = 1) -> None:
        """Start without remembered heads. With 2, the heads were written from fields of HTTP/2."""
        self._major_version: Final = major_version
        self._before: list[ResponseField] = []
        """The fields of the last response."""
        self._known: dict[bytes, ResponseField] = {}
        self._older: dict[bytes, ResponseField] = {}
        # of the response that is read: whether each line was known, and whether one must not stay
        self._is_known = False
        self._has_secret = False
        self._framings: dict[tuple[bytes, ...], ResponseFraming] = {}
        self._judged: list[bytes] = []
        """What the last known framing followed from, and that framing:"""
        self._shape: ResponseFraming | None = None
        self._last: Response | None = None
        self._last_raw = b""
        self._last_method = b""
        self._last_limits: HeadLimits | None = None

    def read(self, raw: bytes, limits: HeadLimits, method: bytes, offer: WebSocketOffer | None = None) -> Response:
        """Parse a head, from its first byte to its CRLF CRLF, and judge it.

        `method` and `offer` are those of the request. Raises `MalformedMessage` (502).
        """
        last = self._last
        if (
            last is not None
            and raw == self._last_raw
            and method == self._last_method
            and offer is None
            and limits is self._last_limits
        ):
            return last
        lines: list[bytes] = raw.split(_LINE_END)
        try:
            fields = self._fields(lines, limits)
            response = None if fields is None else self._understood(lines[0], method, offer, fields)
        except MalformedMessage:
            response = None
        if response is None:
            # llhttp says what is wrong
            return self._understood(lines[0], method, offer, self._parsed(raw, lines[0], limits))
        if self._is_known and offer is None:  # so none of its lines is a secret of one client, or a long one
            self._last = response
            self._last_raw = raw
            response.is_remembered = True
            self._last_method = method
            self._last_limits = limits
        return response

    def _fields(self, lines: list[bytes], limits: HeadLimits) -> list[ResponseField] | None:
        """The fields in the lines of a head; None if a line is not certainly well-formed, or too
        long, or if there are too many."""
        end = len(lines) - 2  # the empty line
        if end < 1 or end > limits.header_count + 1 or lines[end] or lines[end + 1]:
            return None
        most = limits.header_bytes
        self._is_known = True
        self._has_secret = False
        fields: list[ResponseField] = []
        for line in lines[1:end]:
            field = self._field(line, len(fields))
            if field is None or len(line) > most:
                return None
            fields.append(field)
        self._before = [_NOTHING if one.name in _SECRETS else one for one in fields] if self._has_secret else fields
        return fields

    def _field(self, line: bytes, place: i64) -> ResponseField | None:
        """The field in a line, which is the one at this place of the head."""
        before = self._before
        like = before[place] if place < len(before) else None
        if like is not None:
            if like.sent == line:
                return like
            if not line.startswith(like.start):
                like = None
            elif like.name in _NOT_KEPT:
                self._is_known = False
                return read_response_field(line, like)
        field = self._known.get(line)
        return self._learnt(line, like) if field is None else field

    def _learnt(self, line: bytes, like: ResponseField | None) -> ResponseField | None:
        """The field in a line that the younger half of the memory does not have."""
        field = self._older.get(line)
        if field is None:
            self._is_known = False
            field = read_response_field(line, like)
            if field is None or field.name in _NOT_KEPT or len(line) > _REMEMBERED_LINE_BYTES:
                self._has_secret |= field is not None and field.name in _SECRETS
                return field
        if len(self._known) >= _REMEMBERED_LINES:
            self._older = self._known
            self._known = {}
        self._known[line] = field
        return field

    def _parsed(self, raw: bytes, status_line: bytes, limits: HeadLimits) -> list[ResponseField]:
        """The fields as llhttp finds them. Nothing of them is remembered."""
        self._before = []
        parse_status_line(status_line)  # first: its error explains the others
        check_response_head(raw, limits)
        lines = raw[len(status_line) + len(_LINE_END) :]
        return [
            classify_in_response(header) for header in parse_response_head(_ANY_STATUS_LINE + lines, limits).headers
        ]

    def _understood(
        self, status_line: bytes, method: bytes, offer: WebSocketOffer | None, fields: list[ResponseField]
    ) -> Response:
        kept: list[ResponseField] = []
        noted: list[bytes] = []
        special: list[ResponseField] = []
        for field in fields:
            treatment = field.treatment
            if treatment is _FORWARD:
                kept.append(field)
            elif treatment is _SPECIAL:
                special.append(field)
            elif treatment is _NOTE:
                kept.append(field)
                noted.append(field.name)
        framing = self._framing(status_line, method, special, offer)
        if framing.named:
            kept = [field for field in kept if field.name not in framing.named]
            noted = [field.name for field in kept if field.treatment is _NOTE]
        return Response(framing, [field.line for field in kept], noted, kept)

    def _framing(
        self, status_line: bytes, method: bytes, special: list[ResponseField], offer: WebSocketOffer | None
    ) -> ResponseFraming:
        judged = [status_line, method]
        digits = b""
        for field in special:
            line = field.line
            if field.name == b"content-length":
                value = field.value
                if is_length(value) and value[0] != _ZERO:
                    digits = value
                    line = _ANY_LENGTH
            judged.append(line)
        framing = self._shape if offer is None and judged == self._judged else None
        if framing is None:
            key = tuple(judged)
            framing = self._framings.get(key) if offer is None else None
            if framing is None:
                return self._judge(key, special, offer)
            self._shape = framing
            self._judged = judged
        return framing if not digits or framing.digits == digits else framing.with_length(digits)

    def _judge(
        self, key: tuple[bytes, ...], special: list[ResponseField], offer: WebSocketOffer | None
    ) -> ResponseFraming:
        values: dict[bytes, list[bytes]] = {}
        for field in special:
            values.setdefault(field.name, []).append(field.value)
        status_line, method = key[:2]
        head = ResponseHead(*parse_status_line(status_line), (), self._major_version)
        framing = response_framing(head, values, method, offer)
        if offer is None:
            if len(self._framings) >= _REMEMBERED_FRAMINGS:
                self._framings.clear()
            if sum(map(len, key)) <= _REMEMBERED_LINE_BYTES:
                self._framings[key] = framing
        return framing
