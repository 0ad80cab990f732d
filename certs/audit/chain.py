"""The end of an audit log, and how a line is appended to it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from certs.audit.line import NO_HASH, Facts, Line, LineKind


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log: its id, the number of its last line, and the hash of that."""

    log: str
    seq: int
    hash: bytes

    def line(self, kind: LineKind, facts: Facts, now: datetime) -> Line:
        """The line that comes next; raises `ValueError` if it would be too long."""
        return Line.after(self.hash, self.seq + 1, kind, facts, now)

    def continued(self, now: datetime, torn: bytes = b"") -> Line:
        """The first line of the log's next file, after what a crash may have left in that file."""
        return self.line(LineKind.CONTINUED, {"log": self.log, **_named(torn)}, now)

    def after_torn(self, torn: bytes, now: datetime) -> Line:
        """The line that follows what a crash has left."""
        return self.line(LineKind.TORN, torn_facts(torn), now)

    def moved(self, line: Line) -> "Head":
        """The end of the log after a line."""
        return Head(self.log, line.seq, line.hash)


def genesis(log: str, now: datetime, torn: bytes = b"") -> Line:
    """The first line of a new log with the random id `log`, after what a crash may have left."""
    return Line.after(NO_HASH, 1, LineKind.GENESIS, {"log": log, **_named(torn)}, now)


def torn_facts(torn: bytes) -> Facts:
    """How many bytes a crash has left, and their hash, both without a newline at the end."""
    kept = torn.removesuffix(b"\n")
    return {"bytes": len(kept), "sha256": hashlib.sha256(kept).hexdigest()}


def names_torn(line: Line, torn: bytes) -> bool:
    """Whether a line names the bytes before it."""
    expected = torn_facts(torn)
    return {name: line.facts.get(name) for name in expected} == expected


def _named(torn: bytes) -> Facts:
    return torn_facts(torn) if torn else {}
