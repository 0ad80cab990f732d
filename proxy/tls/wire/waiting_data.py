"""Plain bytes that wait until a peer takes more, and are encrypted only then. Pure."""

from collections import deque
from typing import Final

RECORD_BYTES: Final = 16_384
"""What one record holds (RFC 8446 section 5.1)."""
RECORD_WIRE_BYTES: Final = 5 + RECORD_BYTES + 1 + 16
"""A full record that is not padded: header, data, content type, tag."""
SEND_BYTES: Final = 6 * RECORD_BYTES
"""What is encrypted in one call and sent in one: an answer of 64 KiB with its head, too.

Six records fill two segments of the loopback interface (65,483 bytes); a number that makes a short
last one costs more. More records would make the outgoing BIO larger, and cost as much.
"""


class WaitingData:
    """Bytes in the order in which they were written.

    Each is copied once at most, and what was taken is released piece by piece.
    """

    def __init__(self) -> None:
        self._pieces: deque[bytes | bytearray] = deque()
        self._length = 0
        self._taken = 0
        """How much of the first piece was taken."""

    def __len__(self) -> int:
        return self._length

    def __bool__(self) -> bool:
        """Whether bytes wait. mypyc takes an `X | None` for true if X has no `__bool__`."""
        return self._length > 0

    def add(self, data: bytes) -> None:
        """Keep more, and join small pieces: an object for each octet takes 40 times the memory."""
        pieces = self._pieces
        self._length += len(data)
        if len(data) >= RECORD_BYTES:
            pieces.append(data)
            return
        last = pieces[-1] if pieces else b""
        if isinstance(last, bytearray) and len(last) + len(data) <= RECORD_BYTES:
            last += data
        else:
            pieces.append(bytearray(data))

    def take(self) -> memoryview:
        """The next bytes, `SEND_BYTES` of them at most; there are some."""
        first = self._pieces[0]
        piece = memoryview(first)[self._taken : self._taken + SEND_BYTES]
        self._taken += len(piece)
        self._length -= len(piece)
        if self._taken == len(first):
            self._pieces.popleft()
            self._taken = 0
        return piece
