"""Which lines of a log were seen, and where: the place and the hash of each number, and the numbers
that are missing.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import Enum

from certs.audit.line import Line
from certs.audit.verdict import LinePlace

_HASH_BYTES = 32


class Succession(Enum):
    """How a line stands to those before it."""

    NEXT = "next"
    AFTER_GAP = "after a gap"
    LATE = "late"
    """Its number was passed over before, or is from before the first."""
    AGAIN = "again"
    """Its number was there before."""


@dataclass(slots=True)
class _Run:
    """Lines with consecutive numbers in consecutive places, of which only the hashes are kept (32
    bytes a line).
    """

    seq: int
    place: LinePlace
    hashes: bytearray

    @property
    def end(self) -> int:
        return self.seq + len(self.hashes) // _HASH_BYTES


@dataclass(slots=True)
class Gap:
    """The numbers from `first` to `last`, for which the line at `place` came."""

    first: int
    last: int
    place: LinePlace


@dataclass(slots=True)
class Sequence:
    """The numbers of the lines so far."""

    first: int = 0
    last: int = 0
    last_hash: bytes = b""
    gaps: list[Gap] = field(default_factory=list)
    _runs: list[_Run] = field(default_factory=list)

    def take(self, line: Line, place: LinePlace) -> Succession:
        """Take the next line that was read, and say how it stands to those before it."""
        if self.last and line.seq <= self.last:
            return Succession.LATE if line.seq < self.first or self._fill(line.seq) else Succession.AGAIN
        order = Succession.NEXT
        if not self.last:
            self.first = line.seq
        elif line.seq > self.last + 1:
            self.gaps.append(Gap(self.last + 1, line.seq - 1, place))
            order = Succession.AFTER_GAP
        self._keep(line, place)
        self.last = line.seq
        self.last_hash = line.hash
        return order

    def find(self, seq: int) -> tuple[LinePlace, bytes] | None:
        """Place and hash of the line with a number; None if it was not seen in its order."""
        index = bisect_right(self._runs, seq, key=lambda run: run.seq) - 1
        if index < 0 or seq >= self._runs[index].end:
            return None
        run = self._runs[index]
        offset = seq - run.seq
        hash_ = bytes(run.hashes[offset * _HASH_BYTES : (offset + 1) * _HASH_BYTES])
        return LinePlace(run.place.file, run.place.line + offset), hash_

    def _keep(self, line: Line, place: LinePlace) -> None:
        run = self._runs[-1] if self._runs else None
        if (
            run is not None
            and run.end == line.seq
            and place == LinePlace(run.place.file, run.place.line + line.seq - run.seq)
        ):
            run.hashes += line.hash
        else:
            self._runs.append(_Run(line.seq, place, bytearray(line.hash)))

    def _fill(self, seq: int) -> bool:
        """Take a number out of the gap that it is in; False if it is in none."""
        gap = next((gap for gap in self.gaps if gap.first <= seq <= gap.last), None)
        if gap is None:
            return False
        self.gaps.remove(gap)
        for part in (Gap(gap.first, seq - 1, gap.place), Gap(seq + 1, gap.last, gap.place)):
            if part.first <= part.last:
                self.gaps.append(part)
        return True
