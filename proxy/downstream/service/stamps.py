"""What every answer carries: its X-Request-Id and its Date."""

import secrets
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

_BYTES_IN_HEX: Final = tuple(b"%02x" % number for number in range(256))


class Stamps:
    """What every answer carries: its X-Request-Id and its Date."""

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        """`wall_clock` gives UNIX seconds."""
        self._wall_clock: Final = wall_clock
        # the prefix makes them unique over processes and restarts, the number within one process
        self._id_prefix: Final = secrets.token_hex(8).encode()
        self._ids = 0
        self._id_start = b""
        self._date = b""
        self._second = 0

    def new_request_id(self) -> bytes:
        number = self._ids % 256
        if not number:
            self._id_start = b"%b-%x" % (self._id_prefix, self._ids // 256)
        self._ids += 1
        return self._id_start + _BYTES_IN_HEX[number]  # formatting all of it takes 0.3 microseconds

    def date(self) -> bytes:
        """The value of a `Date` field now (RFC 9110 section 5.6.7)."""
        second = int(self._wall_clock())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True).encode()
        return self._date
