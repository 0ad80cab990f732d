"""The verdict on an audit log: status, findings, remarks."""

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
    """The conclusion, the worst first."""

    DAMAGED = "not intact"
    UNPROVEN_TAIL = "unproven tail"
    """Later checkpoints are not signed: the key is unavailable, or an attacker without it wrote
    these lines.
    """
    UNPROVEN = "unproven"
    """Intact, but no checkpoint confirms any line."""
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
    """A proof that the log was changed: its place, its kind, and what it means."""

    place: LinePlace
    fault: Fault
    meaning: str


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark for the reader that is not a fault."""

    place: LinePlace
    meaning: str


@dataclass(frozen=True, slots=True)
class LogVerdict:
    """The verdict on the log with the id `log` (empty if unknown).

    `first` and `last` are the numbers of its first and last line (0: there is none). The lines up
    to `proven` are confirmed; an attacker who can write the file could have rewritten the later
    ones. `unproven_since` is the first checkpoint after the proven lines that no given key has
    signed (None: there is none, or nothing is proven).
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
        return not self.findings

    @property
    def status(self) -> Status:
        if not self.is_intact:
            return Status.DAMAGED
        if self.unproven_since is not None:
            return Status.UNPROVEN_TAIL
        return Status.PROVEN if self.proven else Status.UNPROVEN

    @property
    def unproven(self) -> int:
        """How many lines no checkpoint confirms."""
        return self.last - max(self.proven, self.first - 1) if self.last else 0
