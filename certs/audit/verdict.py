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


class Status(StrEnum):
    """The last word, the worst first."""

    DAMAGED = "not intact"
    UNPROVEN_TAIL = "unproven tail"
    """Checkpoints were signed, and the later ones are not: the key is away, or somebody without it has written the rest."""
    UNPROVEN = "unproven"
    """Intact, and nobody vouches for any line."""
    PROVEN = "proven"
    """Intact, and proven up to a checkpoint that no other follows."""


@dataclass(frozen=True, slots=True)
class LinePlace:
    """A line of a file, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class LogFinding:
    """Something that shows that the log is not what was written: where, what, and what that means."""

    place: LinePlace
    fault: Fault
    meaning: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that a person should know and that is no fault."""

    place: LinePlace
    meaning: str


@dataclass(frozen=True, slots=True)
class LogVerdict:
    """What is known of the log with the id `log` (empty: no line of it tells).

    `first` and `last` are the numbers of its first and last line (0: there is none); the lines up to `proven` are vouched for, those
    after it could have been rewritten by whoever can write the file. `unproven_since` is the first of the checkpoints that follow the
    proven lines and that no given key has signed (None: there is none, or nothing is proven).
    """

    log: str
    first: int
    last: int
    proven: int
    findings: tuple[LogFinding, ...]
    remarks: tuple[Remark, ...]
    unproven_since: LinePlace | None = None

    @property
    def is_intact(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def status(self) -> Status:
        """The last word."""
        if not self.is_intact:
            return Status.DAMAGED
        if self.unproven_since is not None:
            return Status.UNPROVEN_TAIL
        return Status.PROVEN if self.proven else Status.UNPROVEN

    @property
    def unproven(self) -> int:
        """How many lines nobody vouches for."""
        return self.last - max(self.proven, self.first - 1) if self.last else 0
