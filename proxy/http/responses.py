"""The response heads of one server, read with a memory of its earlier ones. Pure.

A server repeats itself: most of its lines (Server, Content-Type, Date within a second) are equal to
those of an earlier response, byte for byte. The meaning of a line does not depend on the lines
around it, so only lines that are new are read. If one of them is not certainly well-formed (see
`fields.read_response_field`), llhttp parses the head. What a response means to its connection
follows from its status line and its few special fields. So this is not judged again either if both
are known, up to the length of the body. The lines that a head begins with are mostly those of the
head before it: they are compared at once. A head that is equal as a whole is not even split into
lines.
"""

from typing import Final

from mypy_extensions import i64, mypyc_attr

from proxy.http.fields import (
    SECRETS_OF_RESPONSES,
    ResponseField,
    Treatment,
    classify_in_response,
    read_response_field,
)
from proxy.http.framing import ResponseFraming, response_framing
from proxy.http.grammar import length_of
from proxy.http.head import (
    Header,
    HeadLimits,
    MalformedMessage,
    ResponseHead,
    check_response_head,
    parse_response_head,
    parse_status_line,
)
from proxy.http.line_memory import LEAST_LINES
from proxy.http.websocket.upgrade import WebSocketOffer

# Longer lines rarely repeat. A long policy does, which costs a microsecond each time.
_REMEMBERED_LINE_BYTES: Final = 128
# About 300 KB for a server. If the younger half of its memory is full, the older half goes: lines
# that still come have moved to the younger one.
_REMEMBERED_LINES: Final = 512
_REMEMBERED_FRAMINGS: Final = 1_024
# In place of the line that says how long a body is: the next one is as good, if it is not empty.
_ANY_LENGTH: Final = b"Content-Length: ?"
_ZERO: Final = 0x30
_LINE_END: Final = b"\r\n"
_ANY_STATUS_LINE: Final = b"HTTP/1.1 200 OK\r\n"

_FORWARD: Final = Treatment.FORWARD
_NOTE: Final = Treatment.NOTE
_SPECIAL: Final = Treatment.SPECIAL

# in place of a field that must not stay: no line is like this one
_NOTHING: Final = ResponseField(_LINE_END, _LINE_END, Treatment.REMOVE, b"", b"", is_lasting=False)


@mypyc_attr(acyclic=True, free_list_len=1)
class ResponsePart:
    """Field lines of a response that follow each other. Several responses may share it."""

    def __init__(self, fields: list[ResponseField], forwarded: list[bytes] | None = None) -> None:
        """The lines are those of `fields`, or `forwarded`, each with its CRLF."""
        self.kept: list[ResponseField] = []
        self.noted: list[bytes] = []
        """The names of fields that we would add otherwise, in lower case: Date, X-Request-Id."""
        self.special: list[ResponseField] = []
        for field in fields:
            treatment = field.treatment
            if treatment is _SPECIAL:
                self.special.append(field)
            elif treatment is _FORWARD:
                self.kept.append(field)
            elif treatment is _NOTE:
                self.kept.append(field)
                self.noted.append(field.name)
        self._forwarded = forwarded
        self._lines: bytes | None = None
        self._fields: list[Header] | None = None

    def without(self, named: frozenset[bytes]) -> "ResponsePart":
        return ResponsePart([field for field in self.kept if field.name not in named])

    @property
    def forwarded(self) -> list[bytes]:
        """The lines that are sent on, each with its CRLF, in their order."""
        if self._forwarded is None:
            self._forwarded = [field.line for field in self.kept]
        return self._forwarded

    @property
    def lines(self) -> bytes:
        if self._lines is None:
            self._lines = b"".join(self.forwarded)
        return self._lines

    @property
    def fields(self) -> list[Header]:
        """The same with lower-case names, for a client of HTTP/2; always the same list."""
        if self._fields is None:
            if self.kept:
                self._fields = [field.field for field in self.kept]
            else:
                self._fields = [as_field(line) for line in self.forwarded]
        return self._fields


class _Beginning:
    """The first lines of a head, which the head before it had as well."""

    def __init__(self, status_line: bytes, fields: list[ResponseField]) -> None:
        self.status_line: Final = status_line
        self.fields: Final = fields
        self.section: Final = b"".join([line + _LINE_END for line in (status_line, *[one.sent for one in fields])])
        self.part: Final = ResponsePart(fields)


@mypyc_attr(acyclic=True, free_list_len=1)
class Response:
    """A response head that was read.

    Several responses of a server may share it, so it never changes.
    """

    def __init__(
        self, framing: ResponseFraming, beginning: ResponsePart, rest: ResponsePart, noted: list[bytes]
    ) -> None:
        """`noted` are fields that we would add otherwise, in lower case: Date, X-Request-Id."""
        self.framing: Final = framing
        self.beginning: Final = beginning
        """The first lines, which the response before had as well; none, perhaps."""
        self.rest: Final = rest
        self.noted: Final = noted
        self.is_remembered = False
        """Whether the reader keeps it for the next response: then nothing in it is a secret."""

    @property
    def forwarded(self) -> list[bytes]:
        """The lines that are sent on, each with its CRLF, in their order."""
        return self.beginning.forwarded + self.rest.forwarded

    @property
    def lines(self) -> bytes:
        return self.beginning.lines + self.rest.lines

    @property
    def fields(self) -> list[Header]:
        """The same as the lines, with lower-case names, for a client of HTTP/2."""
        return self.beginning.fields + self.rest.fields

    def with_lines(self, forwarded: list[bytes]) -> "Response":
        """The same response, with these lines to be sent on."""
        return self.with_framing(self.framing, forwarded)

    def with_framing(self, framing: ResponseFraming, forwarded: list[bytes]) -> "Response":
        """A response that is framed in another way, with these lines to be sent on."""
        return Response(framing, NO_LINES, ResponsePart([], forwarded), self.noted)


NO_LINES: Final = ResponsePart([])
_NO_BEGINNING: Final = _Beginning(b"", [])


def as_field(line: bytes) -> Header:
    """Take apart a field line that we wrote, with its CRLF. The name becomes lower-case."""
    name, _, value = line.partition(b": ")
    return name.lower(), value[:-2]


class ResponseReader:
    """Reads complete response heads of one server."""

    def __init__(self, major_version: int = 1) -> None:
        """Start without remembered heads. With 2, the heads were written from fields of HTTP/2."""
        self._major_version: Final = major_version
        self._before: list[ResponseField] = []
        """The fields of the last response."""
        self._beginning = _NO_BEGINNING
        self._status_line = b""
        self._limits: HeadLimits | None = None
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
        beginning = self._beginning
        if limits is self._limits and beginning is not _NO_BEGINNING and raw.startswith(beginning.section):
            status_line = beginning.status_line
            lines: list[bytes] = raw[len(beginning.section) :].split(_LINE_END)
        else:
            beginning = _NO_BEGINNING
            self._limits = limits
            lines = raw.split(_LINE_END)
            status_line = lines.pop(0)
        try:
            fields = self._fields(status_line, lines, beginning, limits)
            if fields is None:
                response = None
            else:
                response = self._understood(status_line, method, offer, beginning.part, ResponsePart(fields))
        except MalformedMessage:
            response = None
        if response is None:
            # llhttp says what is wrong
            parsed = ResponsePart(self._parsed(raw, status_line, limits))
            return self._understood(status_line, method, offer, NO_LINES, parsed)
        if self._is_known and offer is None:  # so none of its lines is a secret of one client, or a long one
            self._last = response
            self._last_raw = raw
            response.is_remembered = True
            self._last_method = method
            self._last_limits = limits
        return response

    def _fields(
        self, status_line: bytes, lines: list[bytes], beginning: _Beginning, limits: HeadLimits
    ) -> list[ResponseField] | None:
        """The fields in the lines behind the beginning of a head.

        None if a line is not certainly well-formed, or too long, or if there are too many.
        """
        first: i64 = len(beginning.fields)
        last: i64 = len(lines) - 2  # the empty line
        if last < 0 or first + last > limits.header_count or lines[last] or lines[last + 1]:
            return None
        most: i64 = limits.header_bytes
        self._is_known = True
        self._has_secret = False
        fields: list[ResponseField] = []
        before = self._before
        same = first
        at: i64 = 0
        while at < last:
            line = lines[at]
            field = self._field(line, first + at)
            if field is None or len(line) > most:
                return None
            if same == first + at and same < len(before) and field is before[same]:
                same += 1
            fields.append(field)
            at += 1
        self._remember(status_line, beginning, fields, same)
        return fields

    def _remember(self, status_line: bytes, beginning: _Beginning, fields: list[ResponseField], same: i64) -> None:
        """Keep the fields behind the beginning; the first `same` ones of all came again."""
        if self._has_secret:
            fields = [_NOTHING if one.name in SECRETS_OF_RESPONSES else one for one in fields]
        self._before = beginning.fields + fields
        if same - len(beginning.fields) >= LEAST_LINES and status_line == self._status_line:
            beginning = _Beginning(status_line, self._before[:same])
        self._beginning = beginning
        self._status_line = status_line

    def _field(self, line: bytes, place: i64) -> ResponseField | None:
        """The field in a line, which is the one at this place of the head."""
        before = self._before
        like = before[place] if place < len(before) else None
        if like is not None:
            if like.sent == line:
                return like
            if not line.startswith(like.start):
                like = None
            elif not like.is_lasting:
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
            if field is None or not field.is_lasting or len(line) > _REMEMBERED_LINE_BYTES:
                self._has_secret |= field is not None and field.name in SECRETS_OF_RESPONSES
                return field
        if len(self._known) >= _REMEMBERED_LINES:
            self._older = self._known
            self._known = {}
        self._known[line] = field
        return field

    def _parsed(self, raw: bytes, status_line: bytes, limits: HeadLimits) -> list[ResponseField]:
        """The fields as llhttp finds them. Nothing of them is remembered."""
        self._before = []
        self._beginning = _NO_BEGINNING
        parse_status_line(status_line)  # first: its error explains the others
        check_response_head(raw, limits)
        lines = raw[len(status_line) + len(_LINE_END) :]
        return [
            classify_in_response(header) for header in parse_response_head(_ANY_STATUS_LINE + lines, limits).headers
        ]

    def _understood(
        self,
        status_line: bytes,
        method: bytes,
        offer: WebSocketOffer | None,
        beginning: ResponsePart,
        rest: ResponsePart,
    ) -> Response:
        framing = self._framing(status_line, method, beginning.special + rest.special, offer)
        if framing.named:
            beginning = beginning.without(framing.named)
            rest = rest.without(framing.named)
        return Response(framing, beginning, rest, beginning.noted + rest.noted)

    def _framing(
        self, status_line: bytes, method: bytes, special: list[ResponseField], offer: WebSocketOffer | None
    ) -> ResponseFraming:
        judged = [status_line, method]
        digits = b""
        for field in special:
            line = field.line
            if field.name == b"content-length":
                value = field.value
                if length_of(value) >= 0 and value[0] != _ZERO:
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
