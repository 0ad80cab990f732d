"""Reads a PROXY header from the first bytes of a connection, however they were cut. Pure.

Theory of operation. Both versions begin with bytes that nothing else begins with, so the first
octet that fits neither of them ends the reading. Version 1 is looked at when its CRLF is there,
version 2 when all of its bytes are. So the same bytes always give the same answer, in one piece or
octet by octet. What follows the header is `rest`, and is not checked.
"""

from typing import Final

from proxy.proxy_protocol.header import HeaderFault, ProxyHeader, ProxyHeaderError
from proxy.proxy_protocol.version1 import LINE_START, LONGEST_LINE, read_line
from proxy.proxy_protocol.version2 import FIXED_BYTES, SIGNATURE, announced_bytes, read_binary

_STARTS: Final = (LINE_START, SIGNATURE)
_END: Final = b"\r\n"
_TLS_HANDSHAKE: Final = 0x16


class ProxyHeaderReader:
    """Feed it what was received; the header is complete when `header` is not None."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._size = 0  # of a binary header, once it is known
        self.header: ProxyHeader | None = None
        self.rest = b""
        """What came behind a complete header."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was received yet."""
        return not self._received

    def receive_data(self, data: bytes | memoryview) -> None:
        """Take bytes, not after the header is complete. Raises `ProxyHeaderError`."""
        received = self._received
        received += data
        if received[: len(LINE_START)] == LINE_START:
            self._read_line()
        elif received[: len(SIGNATURE)] == SIGNATURE:
            self._read_binary()
        elif not any(start.startswith(received) for start in _STARTS):
            raise _foreign(bytes(received))

    def _read_line(self) -> None:
        end = self._received.find(_END, 0, LONGEST_LINE)
        if end >= 0:
            self._complete(read_line(bytes(self._received[:end])), end + len(_END))
        elif len(self._received) >= LONGEST_LINE:
            raise ProxyHeaderError(HeaderFault.LINE_TOO_LONG, allowed=f"{LONGEST_LINE} bytes with CRLF")

    def _read_binary(self) -> None:
        received = self._received
        if not self._size:
            if len(received) < FIXED_BYTES:
                return
            self._size = announced_bytes(bytes(received[:FIXED_BYTES]))
        if len(received) >= self._size:
            self._complete(read_binary(bytes(received[: self._size])), self._size)

    def _complete(self, header: ProxyHeader, size: int) -> None:
        self.header = header
        self.rest = bytes(self._received[size:])


def _foreign(received: bytes) -> ProxyHeaderError:
    """What came instead. Only the octets up to the first wrong one: later ones may not be there."""
    if received[0] == _TLS_HANDSHAKE:
        return ProxyHeaderError(HeaderFault.BARE_TLS)
    wrong = min(
        size for size in range(1, len(received) + 1) if not any(start.startswith(received[:size]) for start in _STARTS)
    )
    return ProxyHeaderError(HeaderFault.NO_HEADER, received[:wrong].hex(" "))
