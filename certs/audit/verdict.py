"""What came of looking at an audit log."""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What is wrong with a line, or with the log."""

    CHANGED = "changed"
    UNREADABLE = "unreadable"
    REMOVED = "removed"
    REORDERED = "reordered"
    DUPLICATED = "duplicated"
    UNLINKED = "unlinked"
    BEGUN_ANEW = "begun anew"
    CUT = "cut"
    REWRITTEN = "rewritten"
    WRONG_SIGNATURE = "wrong signature"
    WRONG_CHECKPOINT = "wrong checkpoint"


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that shows that the log is not what was written: where, what, and what that means."""

    place: Place
    fault: Fault
    meaning: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that a person should know and that is no fault."""

    place: Place
    meaning: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of the log with the id `log` (empty: no line of it tells).

    `first` and `last` are the numbers of its first and last line (0: there is none); the lines up to `proven` are vouched for, those
    after it could have been rewritten by whoever can write the file.
    """

    log: str
    first: int
    last: int
    proven: int
    findings: tuple[Finding, ...]
    remarks: tuple[Remark, ...]

    @property
    def is_intact(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def unproven(self) -> int:
        """How many lines nobody vouches for."""
        return self.last - max(self.proven, self.first - 1) if self.last else 0
