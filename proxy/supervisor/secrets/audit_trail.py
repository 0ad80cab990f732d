"""The audit log as the parent writes it: code that uses a key reports it here and goes on at once.

Theory of operation. Entries go through a bounded queue to one thread. It writes them in order and
signs checkpoints, and may wait for the disk and the token. A full disk stops no other work: the
thread tries again while the queue fills. Entries that find the queue full are lost and counted. The
log of the process says so, and this log too as soon as it can be written again.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from certs.audit.configured import audit_log_of
from certs.audit.entries import Action, Entry, KeyOperation, Outcome
from certs.audit.journal import SYSLOG, SyslogJournal
from certs.audit.log import BEGUN, AuditLog
from certs.audit.tail import LogDamaged
from certs.files.file_lock import StillLocked
from config.loading.loaded import ConfigFile
from config.tables.hsm import HsmConfig
from config.tables.operations.audit import AuditConfig
from config.values.problems import ConfigError, shown
from proxy.observe.events.audit import (
    AuditCheckpoint,
    AuditCheckpointUnsigned,
    AuditLogBegun,
    AuditLogFailed,
    AuditLogWrittenAgain,
)
from proxy.observe.events.event import Event

PARENT: Final = "parent"

Report = Callable[[Event], object]
"""Logs an event, from any thread."""

_RETRY_SECONDS: Final = 1.0
_FAILURES: Final = (OSError, StillLocked, LogDamaged, ValueError)
# For entries before the configuration is read: the opening of sealed keys.
_QUEUE_BEFORE: Final = 1_000
_MOST_UNREPORTED: Final = 100


@dataclass(slots=True)
class AuditFigures:
    """Counts of lines, for the metrics."""

    written: int = 0
    lost: int = 0
    errors: int = 0
    """Attempts to write that failed."""
    unsigned: int = 0
    """Checkpoints that the key could not sign."""


class AuditTrail:
    """The only audit trail of the process. Without `[audit] file` it drops all entries."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.figures = AuditFigures()
        self._report: Report | None = None
        self._unreported: deque[Event] = deque(maxlen=_MOST_UNREPORTED)
        self._reporting = threading.Lock()
        self._clock = clock
        self._queue: queue.Queue[tuple[Entry, datetime] | None] = queue.Queue()
        self._room = _QUEUE_BEFORE
        self._log: AuditLog | None = None
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()
        self._is_keeping = True

    # -- any thread

    def report(self, event: Event) -> None:
        """Log an event, as soon as the process has a log."""
        with self._reporting:
            if self._report is None:
                self._unreported.append(event)
            else:
                self._report(event)

    def report_to(self, report: Report) -> None:
        """The process has a log from now on. Earlier events go to it now."""
        with self._reporting:
            self._report = report
            while self._unreported:
                report(self._unreported.popleft())

    def tell(self, entry: Entry) -> None:
        """Queue an entry. Never waits."""
        if not self._is_keeping:
            return
        if self._queue.qsize() >= self._room:
            self.figures.lost += 1
            return
        self._queue.put((entry, self._clock()))

    def operation(self, action: Action, key: str, outcome: Outcome, detail: str = "") -> None:
        self.tell(KeyOperation(PARENT, action, key, outcome, detail))

    def as_row(self) -> dict[str, int]:
        """The figures, for the metrics. Empty without an audit log."""
        return {} if self._thread is None else asdict(self.figures)

    # -- the life of the process

    def open(self, file: ConfigFile, audit: AuditConfig, hsm: HsmConfig | None) -> None:
        """Begin to write. Raises `ConfigError` for a file that is no log or cannot be written."""
        self._log = audit_log_of(file, audit, hsm, _Journals(self))
        if self._log is None:
            self._is_keeping = False
            self._queue = queue.Queue()
            return
        try:
            self._log.open(self._clock())
        except _FAILURES as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            found = f"{shown(audit.file)}, which cannot be written: {reason}"
            allowed = (
                "a file that the user who starts the proxy may append to or make, and that no other program writes"
            )
            raise ConfigError([file.error(("audit", "file"), found, allowed)]) from None
        self._room = audit.queue_lines
        self._thread = threading.Thread(target=self._write_all, args=(self._log,), name="audit", daemon=True)
        self._thread.start()

    def close(self, seconds: float) -> bool:
        """Write the queue and a last checkpoint. Tells whether `seconds` were enough."""
        if self._thread is None:
            return True
        self._queue.put(None)
        self._hurry.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    # -- the thread

    def _write_all(self, log: AuditLog) -> None:
        self._checkpoint(log)
        while (told := self._queue.get()) is not None:
            self._write(log, *told)
            if log.is_checkpoint_due:
                self._checkpoint(log)
        self._checkpoint(log)  # also over entries of commands
        log.close()

    def _write(self, log: AuditLog, entry: Entry, now: datetime) -> None:
        has_failed = False
        lost_before = self.figures.lost
        while True:
            try:
                log.append(entry, now)
            except _FAILURES as error:
                self.figures.errors += 1
                if not has_failed:
                    self._say_failure(error)
                has_failed = True
                if isinstance(error, ValueError) or self._hurry.wait(_RETRY_SECONDS):
                    self.figures.lost += 1  # the entry can never be written, or the process ends
                    return
            else:
                self.figures.written += 1
                break
        if has_failed:
            self._recovered(log, self.figures.lost - lost_before)

    def _recovered(self, log: AuditLog, lost: int) -> None:
        self.report(AuditLogWrittenAgain(lost))
        if lost:
            detail = f"{lost} lines, while the log could not be written"
            self._write(log, KeyOperation(PARENT, Action.LOSE, "audit log", Outcome.FAILED, detail), self._clock())

    def _checkpoint(self, log: AuditLog) -> None:
        try:
            checkpoint = log.checkpoint(self._clock())
        except _FAILURES as error:
            self.figures.errors += 1
            self._say_failure(error)
        else:
            if checkpoint.reason:
                self.figures.unsigned += 1
                self.report(AuditCheckpointUnsigned(checkpoint.reason))

    def _say_failure(self, error: Exception) -> None:
        self.report(AuditLogFailed(str(error)))


class _Journals:
    """Copies checkpoints and the beginning of a log to the log of the process.

    They also go to the journal of the system, if there is one.
    """

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail
        self._system = SyslogJournal(fallback=_Nowhere()) if SYSLOG.exists() else _Nowhere()

    def send(self, text: str) -> None:
        if text.startswith(BEGUN):
            self._trail.report(AuditLogBegun(text))
        else:
            self._trail.report(AuditCheckpoint(text))
        self._system.send(text)


class _Nowhere:
    """Copies nowhere else: the log of the process is enough."""

    def send(self, text: str) -> None:
        del text
