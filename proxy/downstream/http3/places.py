"""How many streams the client of an HTTP/3 connection may open (RFC 9000 section 4.6). Pure.

A stream takes a place until QUIC has closed it and the work for it has ended (CVE-2023-44487). The
client hears of free places when it may open no more than half of all. With a frame for each there
would be one more packet for each request, which the client acknowledges.
"""

from typing import Final


class Places:
    """Streams have the numbers that they would have in HTTP/2."""

    def __init__(self, most: int) -> None:
        """`most` streams may be open at a time; the client knows that."""
        self._most: Final = most
        self._allowed = most
        self._free = 0
        self._opened = 0
        self._busy: Final[set[int]] = set()
        """Streams that were cut, and that a server still works for."""
        self._closed: Final[set[int]] = set()
        """Those of them that QUIC has closed."""

    def opened(self, number: int) -> None:
        """The client has opened this stream, and with it those before it (RFC 9000 section 2.1)."""
        self._opened = max(self._opened, (number + 1) // 2)

    def cut_at_work(self, number: int) -> None:
        self._busy.add(number)

    def closed(self, number: int) -> int:
        """QUIC has closed it. Returns how many more streams the client is told that it may open."""
        if number in self._busy:
            self._closed.add(number)
            return 0
        return self._freed()

    def work_ended(self, number: int) -> int:
        """A server no longer works for it. Returns the same as `closed`."""
        self._busy.discard(number)
        if number not in self._closed:
            return 0
        self._closed.remove(number)
        return self._freed()

    def _freed(self) -> int:
        self._free += 1
        if 2 * (self._allowed - self._opened) > self._most:
            return 0
        told, self._free = self._free, 0
        self._allowed += told
        return told
