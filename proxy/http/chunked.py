"""The chunked transfer coding (RFC 9112 section 7.1), strictly, in both directions.

The decoder takes only what the grammar generates: no white space in the size line, no bare CR or
LF, no third way to end a chunk. It drops extensions and the chunk borders of the upstream; the
proxy writes its own.

A chunk may cost a sender 6 bytes for each byte of body, and the proxy more. So all bytes outside
the body have a budget:

- `overhead_bytes` of size lines and line ends are free. Then every byte of body buys one more.
  Chunks of 5 bytes and more therefore never exceed the budget. A chat client that sends single
  bytes may send some thousands of them in one message, but not millions.
- extensions have `overhead_bytes` in total, independent of the body: no recipient reads them.
- both budgets recover with time, by a hundred tiny chunks a second, so a stream of single bytes may
  last all day. The decoder reads the clock only when a budget is used up.
- trailers have two limits of their own.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.grammar import WHITESPACE, is_field_value, is_token
from proxy.http.head import Header, MalformedMessage

LAST_CHUNK: Final = b"0\r\n\r\n"
"""Ends a body that has no trailer fields."""

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
# RFC 9112 7.1.1 without its "bad" white space. 16 digits are 64 bits. Leading zeros count as
# digits, so a sender cannot send 4,000 of them.
_SIZE_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16})((?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*)\r\n"
)

# RFC 9112 7.1: a recipient must expect sizes that overflow an integer. Every upstream holds 53 bits
# exactly.
_SIZE_LIMIT: Final = 2**53


# A chunk of one byte has 5 of overhead.
_FORGIVEN_PER_SECOND: Final = 500


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How many bytes of a chunked body may be outside the body itself; see the module."""

    line_bytes: int
    """One size line with its extensions and CRLF."""
    overhead_bytes: int
    trailer_bytes: int
    trailer_count: int


class _Part(Enum):
    """What the next byte belongs to."""

    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    END = auto()


class ChunkedDecoder:
    """Decodes one body, fed in pieces of any size."""

    def __init__(self, limits: ChunkLimits, clock: Callable[[], float], status: int = 400) -> None:
        """`clock` gives seconds; `status` (400 or 502) is the answer to a malformed body."""
        self._limits = limits
        self._clock = clock
        self._forgiven_at = clock()
        self._status = status
        self._part = _Part.SIZE
        self._remaining = 0
        """Bytes of the current chunk that are still to arrive."""
        self._line = bytearray()
        """The beginning of a line whose end is still to arrive."""
        self._line_limit = limits.line_bytes
        self._overhead = 0
        """Bytes of size lines and line ends, less the bytes of body, never below 0."""
        self._extension_bytes = 0
        self.trailers: list[Header] = []
        self.excess = b""
        """Bytes behind the end of the body: the beginning of another message, or garbage."""

    @property
    def finished(self) -> bool:
        """Whether the body and its trailer section are complete."""
        return self._part is _Part.END

    def receive_data(self, data: bytes) -> bytes:
        """Take a piece of the message, and return its bytes of body. Raises MalformedMessage."""
        pieces: list[bytes] = []
        position = 0
        while position < len(data):
            if self._part is _Part.DATA:
                # compiled code copies also for a slice that is the whole
                is_whole = position == 0 and len(data) <= self._remaining
                piece = data if is_whole else data[position : position + self._remaining]
                position += len(piece)
                pieces.append(piece)
                self._receive_body(len(piece))
            elif self._part is _Part.END:
                self.excess += data[position:]
                break
            else:
                end = data.find(b"\n", position) + 1 or len(data)
                self._receive_line(data[position:end])
                position = end
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _receive_body(self, count: int) -> None:
        self._remaining -= count
        # Credit is not saved up: a large chunk does not buy a million small ones.
        self._overhead = max(0, self._overhead - count)
        if not self._remaining:
            self._enter(_Part.DATA_END, 2)

    def _enter(self, part: _Part, line_limit: int) -> None:
        self._part = part
        self._line_limit = line_limit

    def _receive_line(self, line: bytes) -> None:
        """Take a line, or the part of it that arrived."""
        if len(self._line) + len(line) > self._line_limit:
            raise self._malformed("line of the chunked coding too long")
        if not line.endswith(b"\n"):
            self._line += line
            return
        if self._line:
            line = bytes(self._line) + line
            self._line.clear()
        if self._part is _Part.TRAILER:
            self._receive_trailer(line)
            return
        self._overhead += len(line)
        if self._overhead > self._limits.overhead_bytes and self._is_over():
            raise self._malformed("too many small chunks")
        if self._part is _Part.SIZE:
            self._receive_size(line)
        elif line == b"\r\n":
            self._enter(_Part.SIZE, self._limits.line_bytes)
        else:
            raise self._malformed("chunk longer than its size")

    def _is_over(self) -> bool:
        """Whether a budget is used up, although it recovered since the last check."""
        now = self._clock()
        forgiven = int((now - self._forgiven_at) * _FORGIVEN_PER_SECOND)
        self._forgiven_at = now
        self._overhead = max(0, self._overhead - forgiven)
        self._extension_bytes = max(0, self._extension_bytes - forgiven)
        return max(self._overhead, self._extension_bytes) > self._limits.overhead_bytes

    def _receive_size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise self._malformed("invalid chunk size line")
        digits, extensions = match.groups()
        self._extension_bytes += len(extensions)
        if self._extension_bytes > self._limits.overhead_bytes and self._is_over():
            raise self._malformed("too many chunk extensions")
        self._remaining = int(digits, 16)
        if self._remaining >= _SIZE_LIMIT:
            raise self._malformed("chunk too large")
        if self._remaining:
            self._part = _Part.DATA
        else:
            self._enter(_Part.TRAILER, self._limits.trailer_bytes)

    def _receive_trailer(self, line: bytes) -> None:
        """Take a field line, or the empty line that ends the body (RFC 9112 7.1.2)."""
        if line == b"\r\n":
            self._part = _Part.END
            return
        self._line_limit -= len(line)
        name, _, rest = line.partition(b":")
        value = rest[:-2].strip(WHITESPACE)
        if not (rest.endswith(b"\r\n") and is_token(name) and is_field_value(value)):
            raise self._malformed("malformed trailer field")
        if len(self.trailers) == self._limits.trailer_count:
            raise self._malformed("too many trailer fields")
        self.trailers.append((name, value))

    def _malformed(self, reason: str) -> MalformedMessage:
        return MalformedMessage(self._status, reason)


def encode_chunk(data: bytes) -> bytes:
    """Return `data` as a chunk. Empty data gives no chunk, because an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def encode_trailers(trailers: Iterable[Header]) -> bytes:
    """Return the last chunk and the trailer section."""
    return b"0\r\n%b\r\n" % b"".join([b"%b: %b\r\n" % trailer for trailer in trailers])


def framed(framing: RequestFraming, body: bytes, *, is_complete: bool) -> bytes:
    """Write a piece of a body for the server, and the end of the body if the piece is the last."""
    if framing.body is not BodyKind.CHUNKED:
        return body
    return encode_chunk(body) + (LAST_CHUNK if is_complete else b"")
