"""Writes an audit log.

Theory of operation. Several processes write the same file: the parent, and each command that works
with keys. So every record is written under a lock. First the writer checks that the file is the one
it wrote last and ends at the same place; if not, it reads the end again. One record is one `write`
of a whole line and one `fsync`: when `record` returns, the line is on disk. A crash can leave only
a part of one line. That part stays as evidence: the next line names its size and hash
(`LineKind.TORN`).

Rotation is a rename: by this module at `rotate_bytes`, or by logrotate at any time. A new or empty
file begins with a line that continues from the end of the previous file. That end is known from
memory, or is read from the newest rotated file beside it. A log gets no second beginning while a
rotated file of it exists. The beginning of a log is reported to the journal.

Checkpoints are signed outside the lock: a token that takes 200 ms must not stop other processes. So
a checkpoint may stand some lines after the last line that it covers.
"""

import os
import re
import secrets
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Final

from certs.audit.chain import Head, genesis
from certs.audit.checkpoint import Checkpoint
from certs.audit.entries import Entry
from certs.audit.journal import Journal
from certs.audit.line import NO_HASH, Facts, Line, LineKind
from certs.audit.signatures import CheckpointKey, SignerUnavailable
from certs.audit.tail import LogDamaged, Tail, read_end, read_tail
from certs.files.directory import OpenDirectory, open_state_file
from certs.files.file_lock import locked

BEGUN: Final = "a new audit log begins"
"""The beginning of its line in the journal."""

# 1, 20260504, 2026-05-04_10:00, 000000000012
_TURN: Final = r"[-.][0-9][0-9TZ_:+.-]*"


@dataclass(frozen=True, slots=True)
class AuditRules:
    """`checkpoint_lines`: the lines between two checkpoints; `rotate_bytes`: a file that has
    reached it is renamed (None: left to logrotate); `lock_seconds`: how long to wait for another
    process.
    """

    checkpoint_lines: int = 1_000
    rotate_bytes: int | None = 64 * 1_048_576
    lock_seconds: float = 5.0


class AuditLog:
    """An audit log in a file, which others may write too. It blocks: not for the event loop."""

    def __init__(self, path: Path, rules: AuditRules, signer: CheckpointKey | None, journal: Journal) -> None:
        """Write to `path` from the first record on. Its directory must exist."""
        self.path = path
        self._rules = rules
        self._signer = signer
        self._journal = journal
        self._head: Head | None = None
        self._checkpointed: int | None = None
        self._file: IO[bytes] | None = None
        self._size = 0

    def open(self, now: datetime) -> None:
        """Open or begin the log. Raises as `record` does."""
        with self._lock():
            self._prepared(now)

    def start(self, now: datetime) -> Checkpoint:
        """Open or begin the log and make the checkpoint of a start. Raises as `record` does."""
        self.open(now)
        return self.checkpoint(now)

    def record(self, entry: Entry, now: datetime) -> None:
        """Write a line; it is on disk when this returns.

        Makes a checkpoint if one is due: also after the first line of a process.

        Raises `OSError` (the record may then be there in part), `StillLocked` and `LogDamaged`.
        """
        self.append(entry, now)
        if self.is_checkpoint_due:
            self.checkpoint(now)

    def append(self, entry: Entry, now: datetime) -> None:
        """Write a line; a checkpoint that is due is the caller's. Raises as `record` does."""
        self._append(entry.kind, entry.facts, now)

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether enough lines were written since the last one, or this process made none."""
        last = self._checkpointed
        now = self._head
        return last is None or now is None or now.seq - last >= self._rules.checkpoint_lines

    def checkpoint(self, now: datetime) -> Checkpoint:
        """Sign how the log ends, write that to it, and send it to the journal.

        Raises as `record` does.

        Without a signature where the key cannot be used now: the copy in the journal is worth
        something anyway.
        """
        self.open(now)  # other processes may have written meanwhile
        assert self._head is not None  # `_prepared` has set it
        checkpoint = Checkpoint.of(self._head, now)
        if self._signer is not None:
            try:
                checkpoint = checkpoint.signed(self._signer)
            except SignerUnavailable as error:
                checkpoint = checkpoint.unsigned(error.reason)
        self._checkpointed = self._append(LineKind.CHECKPOINT, checkpoint.facts, now)
        self._journal.send(checkpoint.journal_text)
        return checkpoint

    def close(self) -> None:
        """Close the file; a later record opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(self, kind: LineKind, facts: Facts, now: datetime) -> int:
        with self._lock():
            self._prepared(now)
            assert self._head is not None  # as above
            self._write(self._head.line(kind, facts, now))
            seq = self._head.seq
            if self._rules.rotate_bytes is not None and self._size >= self._rules.rotate_bytes:
                self._rotate(now)
        return seq

    def _lock(self) -> AbstractContextManager[None]:
        return locked(_lock_of(self.path), self._rules.lock_seconds)

    # -- everything below holds the lock

    def _prepared(self, now: datetime) -> None:
        """Have the file open and `_head` at its end, which ends with a newline."""
        if self._is_unchanged():
            return
        tail = self._opened()
        self._size = tail.size
        if tail.head is None:
            self._begin(tail, now)
            return
        if self._head is None or tail.head.log != self._head.log or tail.head.seq > self._head.seq:
            self._head = tail.head
        # else the file ends before what was written: it was cut, and the numbers from here on show
        # how much is missing
        if tail.torn:
            self._write(self._head.after_torn(tail.torn, now), tail)
        elif tail.is_open:
            self._write_bytes(b"\n")

    def _is_unchanged(self) -> bool:
        if self._file is None or self._head is None:
            return False
        try:
            named = self.path.stat()
        except FileNotFoundError:
            return False
        opened = os.fstat(self._file.fileno())
        return (named.st_dev, named.st_ino, named.st_size) == (opened.st_dev, opened.st_ino, self._size)

    def _opened(self) -> Tail:
        """Open the file by its name; the end of what is there.

        What was renamed meanwhile is read to its end first.
        """
        if self._file is not None:
            with self._file as renamed, suppress(LogDamaged):
                before = read_tail(self.path, renamed).head
                if before is not None and self._head is not None and before.seq > self._head.seq:
                    self._head = before
            self._file = None  # closed, also if there is none to open in its place
        descriptor = open_state_file(self.path, os.O_RDWR | os.O_APPEND)
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            os.fchmod(descriptor, 0o600)  # also if logrotate created it with another mode
            return read_tail(self.path, self._file)
        except (LogDamaged, OSError):
            self.close()
            raise

    def _begin(self, tail: Tail, now: datetime) -> None:
        """Write the first line of a file."""
        if self._head is None:
            self._head = _newest_end(self.path)
        if self._head is None:
            log = secrets.token_hex(16)
            line = genesis(log, now, tail.torn)
            self._head = Head(log, 0, NO_HASH)
        else:
            line = self._head.continued(now, tail.torn)
        self._write(line, tail)
        if line.kind is LineKind.GENESIS:
            self._journal.send(f"{BEGUN}: {self._head.log} in {self.path}, as no file of an earlier one is beside it")
        with OpenDirectory.at(self.path.parent) as directory:
            directory.sync()

    def _rotate(self, now: datetime) -> None:
        assert self._head is not None  # a line was written
        with OpenDirectory.at(self.path.parent) as directory:
            directory.rename(self.path.name, f"{self.path.stem}-{self._head.seq:012d}{self.path.suffix}")
            directory.sync()
        self.close()
        self._prepared(now)

    def _write(self, line: Line, after: Tail | None = None) -> None:
        """Write a line; after a torn one together with the newline that ends it."""
        is_after_part = after is not None and after.torn and not after.torn.endswith(b"\n")
        self._write_bytes(b"\n" + line.encode() if is_after_part else line.encode())
        assert self._head is not None  # callers have set it
        self._head = self._head.moved(line)

    def _write_bytes(self, data: bytes) -> None:
        assert self._file is not None  # opened by `_prepared`
        written = os.write(self._file.fileno(), data)
        if written != len(data):
            # the disk is full: the next record finds a torn line, and says so
            raise OSError(f"only {written} of {len(data)} bytes could be written to {self.path}")
        os.fsync(self._file.fileno())
        self._size += written


def files_of(path: Path) -> tuple[Path, ...]:
    """The files of a log: the one that is written, and those beside it that rotation has renamed.

    That puts a number or a date behind the name or before its suffix, with "." or "-" between.
    Other names are of other things: a copy that an operator keeps, or the log of another machine,
    which this one must not continue with. What has a lock of its own is a log of its own.
    """
    stem = re.escape(path.stem)
    suffix = re.escape(path.suffix)
    rotated = re.compile(rf"({stem}{suffix}{_TURN}|{stem}{_TURN}{suffix})(\.gz)?")
    beside = (one for one in path.parent.iterdir() if one == path or rotated.fullmatch(one.name))
    files = (one for one in beside if one.is_file() and (one == path or not one.is_symlink()))
    return tuple(sorted(one for one in files if one == path or not _lock_of(one).exists()))


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _newest_end(path: Path) -> Head | None:
    """Where the log continues: of several logs in these files it is the one that was written last,
    however long another is.
    """
    ends = [end for one in files_of(path) if one != path and (end := read_end(one)) is not None]
    if not ends:
        return None
    _, newest = max(ends, key=lambda end: end[0])
    return max((head for _, head in ends if head.log == newest.log), key=lambda head: head.seq)
