"""The response heads of one server, read with a memory of its field lines. Pure.

A server says nearly the same in each response: most of its lines (Server, Content-Type, Date within a second) are those of an
earlier one, byte for byte. What a line means does not depend on the lines around it, so a line that llhttp has parsed is not
parsed again; it gets those that are new.
"""

from typing import Final

from proxy.http.head import Header, HeadLimits, ResponseHead, parse_response_head, split_response_head

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
        self._known: dict[bytes, Header] = {}

    def read(self, raw: bytes, limits: HeadLimits) -> ResponseHead:
        """Parse a head, from its first byte to its CRLF CRLF. Raises `MalformedMessage` (502)."""
        status, reason, minor_version, lines = split_response_head(raw, limits)
        known = self._known
        headers = [known[line] for line in lines if line in known]
        if len(headers) != len(lines):
            headers = self._learn(lines, limits)
        return ResponseHead(status, reason, minor_version, headers)

    def _learn(self, lines: list[bytes], limits: HeadLimits) -> list[Header]:
        known = self._known
        new = [line for line in lines if line not in known]
        parsed = parse_response_head(_ANY_STATUS_LINE + b"\r\n".join(new) + b"\r\n\r\n", limits).headers
        learnt = dict(zip(new, parsed, strict=True))
        headers = [known.get(line) or learnt[line] for line in lines]
        if len(known) + len(learnt) > _REMEMBERED_LINES:
            known.clear()
        for line, header in learnt.items():
            if len(line) <= _REMEMBERED_LINE_BYTES and header[0].lower() not in _NEVER_REMEMBERED:
                known[line] = header
        return headers
