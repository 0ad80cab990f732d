"""The response heads of one server, read with a memory of its earlier ones. Pure.

A server repeats itself: most of its lines (Server, Content-Type, Date within a second) are equal to
those of an earlier response, byte for byte. The meaning of a line does not depend on the lines
around it, so llhttp parses only lines that are new. What a response means to its connection follows
from its status line and its few special fields. So this is not judged again either if both are
known. A head that is equal to the one before it is not even split into lines.
"""

from collections.abc import Iterable
from typing import Final

from proxy.http.fields import ResponseField, Treatment, classify_in_response
from proxy.http.framing import ResponseFraming, response_framing
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
# About 300 KB for a server. If a server always sends new lines, its memory is emptied now and then,
# which costs little.
_REMEMBERED_LINES: Final = 1_024
_REMEMBERED_FRAMINGS: Final = 1_024
# A secret of one client must not stay in a memory that survives its response.
_NEVER_REMEMBERED: Final = frozenset({b"set-cookie", b"www-authenticate", b"authentication-info"})
_ANY_STATUS_LINE: Final = b"HTTP/1.1 200 OK\r\n"

_FORWARD: Final = Treatment.FORWARD
_NOTE: Final = Treatment.NOTE
_SPECIAL: Final = Treatment.SPECIAL


class Response:
    """A response head that was read.

    Several responses of a server may share it, so it never changes.
    """

    __slots__ = ("_fields", "forwarded", "framing", "is_remembered", "lines", "noted")

    def __init__(self, framing: ResponseFraming, forwarded: list[bytes], noted: list[bytes]) -> None:
        """`noted` are fields that we would add otherwise, in lower case: Date, X-Request-Id."""
        self.framing: Final = framing
        self.forwarded: Final = forwarded
        """The lines that are sent on, each with its CRLF, in their order."""
        self.noted: Final = noted
        self.lines: Final = b"".join(forwarded)
        self._fields: list[Header] | None = None
        self.is_remembered = False
        """Whether the reader keeps it for the next response: then nothing in it is a secret."""

    @property
    def fields(self) -> list[Header]:
        """The same as the lines, with lower-case names, for a client of HTTP/2."""
        if self._fields is None:
            self._fields = [as_field(line) for line in self.forwarded]
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

    __slots__ = ("_framings", "_known", "_last", "_last_limits", "_last_method", "_last_raw", "_major_version")

    def __init__(self, major_version: int = 1) -> None:
        """Start without remembered heads. With 2, the heads were written from fields of HTTP/2."""
        self._major_version: Final = major_version
        self._known: dict[bytes, ResponseField] = {}
        self._framings: dict[tuple[bytes, ...], ResponseFraming] = {}
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
        known = self._known
        status_line, *lines = raw[:-4].split(b"\r\n")
        fields: list[ResponseField] = []
        for line in lines:
            field = known.get(line)
            if field is None:
                break
            fields.append(field)
        is_known = len(fields) == len(lines)
        if not is_known:
            parse_status_line(status_line)  # first: its error explains the others
            fields = self._learn(raw, lines, limits)
        if len(lines) > limits.header_count:
            raise MalformedMessage(502, "too many header fields in the response")
        response = self._understood((status_line, method), offer, fields)
        if is_known and offer is None:  # so none of its lines is a secret of one client, or a long one
            self._last = response
            self._last_raw = raw
            response.is_remembered = True
            self._last_method = method
            self._last_limits = limits
        return response

    def _understood(
        self, start: tuple[bytes, bytes], offer: WebSocketOffer | None, fields: list[ResponseField]
    ) -> Response:
        forwarded: list[bytes] = []
        noted: list[bytes] = []
        judged = [*start]
        for field in fields:
            treatment = field.treatment
            if treatment is _FORWARD:
                forwarded.append(field.line)
            elif treatment is _SPECIAL:
                judged.append(field.line)
            elif treatment is _NOTE:
                forwarded.append(field.line)
                noted.append(field.name)
        key = tuple(judged)
        framing = self._framings.get(key) if offer is None else None
        if framing is None:
            framing = self._judge(key, fields, offer)
        if framing.named:
            kept = [field for field in fields if field.name not in framing.named]
            forwarded = [field.line for field in kept if field.treatment in (_FORWARD, _NOTE)]
            noted = [field.name for field in kept if field.treatment is _NOTE]
        return Response(framing, forwarded, noted)

    def _learn(self, raw: bytes, lines: list[bytes], limits: HeadLimits) -> list[ResponseField]:
        """Check line ends and size of the whole head, then let llhttp parse the new lines."""
        check_response_head(raw, limits)
        known = self._known
        new = [line for line in lines if line not in known]
        parsed = parse_response_head(_ANY_STATUS_LINE + b"\r\n".join(new) + b"\r\n\r\n", limits).headers
        learnt = dict(zip(new, map(classify_in_response, parsed), strict=True))
        fields = [known.get(line) or learnt[line] for line in lines]
        if len(known) + len(learnt) > _REMEMBERED_LINES:
            known.clear()
        for line, field in learnt.items():
            if len(line) <= _REMEMBERED_LINE_BYTES and field.name not in _NEVER_REMEMBERED:
                known[line] = field
        return fields

    def _judge(
        self, key: tuple[bytes, ...], fields: Iterable[ResponseField], offer: WebSocketOffer | None
    ) -> ResponseFraming:
        special: dict[bytes, list[bytes]] = {}
        for field in fields:
            if field.treatment is _SPECIAL:
                special.setdefault(field.name, []).append(field.value)
        status_line, method = key[:2]
        head = ResponseHead(*parse_status_line(status_line), (), self._major_version)
        framing = response_framing(head, special, method, offer)
        if offer is None:
            if len(self._framings) >= _REMEMBERED_FRAMINGS:
                self._framings.clear()
            if sum(map(len, key)) <= _REMEMBERED_LINE_BYTES:
                self._framings[key] = framing
        return framing
