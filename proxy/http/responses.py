"""The response heads of one server, read with a memory of its field lines. Pure.

A server says nearly the same in each response: most of its lines (Server, Content-Type, Date within a second) are those of an
earlier one, byte for byte. What a line means does not depend on the lines around it, so a line that llhttp has parsed is not
parsed again; it gets those that are new.
"""

from typing import Final

from proxy.http.fields import Classified, Fields, classify_in_response, sort_classified
from proxy.http.head import (
    HeadLimits,
    MalformedMessage,
    ResponseHead,
    check_response_head,
    parse_response_head,
    parse_status_line,
)

# Lines that are longer rarely come twice (a policy that does costs a microsecond each time).
_REMEMBERED_LINE_BYTES: Final = 128
# About 300 KB for a server; one that sends ever new lines has its memory emptied now and then, which costs it little.
_REMEMBERED_LINES: Final = 1_024
# A secret of one client has no business in a memory that outlives its response.
_NEVER_REMEMBERED: Final = frozenset({b"set-cookie", b"www-authenticate", b"authentication-info"})
_ANY_STATUS_LINE: Final = b"HTTP/1.1 200 OK\r\n"


class ResponseReader:
    """Reads complete response heads of one server."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        """Nothing is remembered yet."""
        self._known: dict[bytes, Classified] = {}

    def read(self, raw: bytes, limits: HeadLimits) -> tuple[ResponseHead, Fields]:
        """Parse a head, from its first byte to its CRLF CRLF, and sort its fields. Raises `MalformedMessage` (502)."""
        known = self._known
        lines = raw[:-4].split(b"\r\n")
        status, reason, minor_version = parse_status_line(lines.pop(0))
        try:
            classified = [known[line] for line in lines]
        except KeyError:
            classified = self._learn(raw, lines, limits)
        if len(lines) > limits.header_count:
            raise MalformedMessage(502, "too many header fields in the response")
        return ResponseHead(status, reason, minor_version, ()), sort_classified(classified)

    def _learn(self, raw: bytes, lines: list[bytes], limits: HeadLimits) -> list[Classified]:
        """Have llhttp parse the lines that are new, after a look at the whole head: its line ends and its size."""
        check_response_head(raw, limits)
        known = self._known
        new = [line for line in lines if line not in known]
        parsed = parse_response_head(_ANY_STATUS_LINE + b"\r\n".join(new) + b"\r\n\r\n", limits).headers
        learnt = dict(zip(new, map(classify_in_response, parsed), strict=True))
        classified = [known.get(line) or learnt[line] for line in lines]
        if len(known) + len(learnt) > _REMEMBERED_LINES:
            known.clear()
        for line, field in learnt.items():
            if len(line) <= _REMEMBERED_LINE_BYTES and field.name not in _NEVER_REMEMBERED:
                known[line] = field
        return classified
