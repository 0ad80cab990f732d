"""The messages that all processes of a machine have seen lately, without a lock.

Theory of operation. A message is known by its mark. The table has cells of 8 bytes, in buckets of
eight. A hash with a secret of this start maps a mark to one bucket, and to 40 bits that stand for
the mark there. Beside them stands the second at which the mark may be forgotten. A mark that is in
its bucket is known. A new mark takes a free cell, else one whose time is over, else the one that
would be forgotten next.

A mark that is reported as known was seen, but for one chance in 10^11. A mark is forgotten too
early if more marks arrive than fit: 131,072, or 1,400 a second for 90 seconds. Two processes that
look for the same mark within the same few microseconds may both find it new. A process that forgets
a mark may remove another one that took its cell within that time.
"""

import hashlib
import math
from typing import Final

BUCKETS: Final = 16_384
_CELLS: Final = 8
REPLAY_CELLS: Final = BUCKETS * _CELLS
_FINGERPRINT_BYTES: Final = 5
_TIME_BITS: Final = 24
_TIMES: Final = 1 << _TIME_BITS
_HALF: Final = _TIMES // 2


class ReplayTable:
    """One process's view of the cells."""

    def __init__(self, cells: "memoryview[int]", secret: bytes) -> None:
        """`cells` are `REPLAY_CELLS` numbers of 64 bits. All processes share both arguments."""
        self._cells = cells
        self._hash = hashlib.blake2b(key=secret, digest_size=2 + _FINGERPRINT_BYTES)

    def is_known(self, mark: bytes, seconds: float, now: float) -> bool:
        """Whether a mark was seen; from now on it is known, for `seconds`.

        `now` is the time of the machine's monotonic clock.
        """
        start, fingerprint = self._bucket(mark)
        cells = self._cells
        second = int(now)
        victim = start
        shortest = _TIMES
        for place in range(start, start + _CELLS):
            cell = cells[place]
            # seconds of 24 bits go round in half a year: what lies in the half behind is over
            left = (cell - second) % _TIMES if cell else 0
            if left >= _HALF:
                left = 0
            if left and cell >> _TIME_BITS == fingerprint:
                return True
            if left < shortest:
                victim = place
                shortest = left
        cells[victim] = (fingerprint << _TIME_BITS) | (second + math.ceil(seconds) + 2) % _TIMES
        return False

    def forget(self, mark: bytes) -> None:
        """Take back a mark that `is_known` has set: nothing came of what it stands for."""
        start, fingerprint = self._bucket(mark)
        cells = self._cells
        for place in range(start, start + _CELLS):
            if cells[place] >> _TIME_BITS == fingerprint:
                cells[place] = 0

    def _bucket(self, mark: bytes) -> tuple[int, int]:
        """Where the bucket of a mark begins, and what stands for the mark there."""
        keyed = self._hash.copy()
        keyed.update(mark)
        digest = keyed.digest()
        return int.from_bytes(digest[:2], "big") % BUCKETS * _CELLS, int.from_bytes(digest[2:], "big")
