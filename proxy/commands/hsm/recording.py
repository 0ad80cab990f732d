"""Commands record their key operations in the audit log of the configuration, in the proxy's chain.

A lock between processes protects the log, so a command writes itself, whether the proxy runs or
not. An entry is on disk when the command reports its result; the next checkpoint of either process
covers it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from certs.hsm.errors import HsmError
from certs.sealing.errors import SealingError
from proxy.commands.hsm.sources import NotChosen

# loaded only by commands that have a log to write to
if TYPE_CHECKING:
    from certs.audit.log import AuditLog


class Recorder:
    """Writes audit entries in the name of this command's user; without a log it writes nothing."""

    def __init__(self, log: "AuditLog | None") -> None:
        self._log = log

    def __call__(self, action: str, key: str, outcome: str, detail: str = "") -> None:
        """Write an operation; `action` and `outcome` are values of the enums in
        `certs.audit.entries`.

        Raises NotChosen if the log cannot be written: every use of a key must be recorded.
        """
        if self._log is not None:
            from certs.audit.actors import command_line_actor
            from certs.audit.entries import Action, KeyOperation, Outcome
            from certs.audit.tail import LogDamaged
            from certs.files.file_lock import StillLocked

            entry = KeyOperation(command_line_actor(), Action(action), key, Outcome(outcome), detail)
            try:
                self._log.record(entry, now())
            except (OSError, StillLocked, LogDamaged) as error:
                raise NotChosen(f"audit log {self._log.path}: {error}") from None

    @contextmanager
    def operation(self, action: str, key: str) -> Iterator[None]:
        """Record how a block ends: done, refused, failed in the token, or given up by the user."""
        try:
            yield
        except NotChosen as error:
            self(action, key, "refused", str(error))
            raise
        except (HsmError, SealingError, OSError) as error:
            self(action, key, "failed", str(error))
            raise
        except (KeyboardInterrupt, EOFError, typer.Abort):
            self(action, key, "given up", "interrupted, or no answer to a question")
            raise
        self(action, key, "done")


@contextmanager
def recorded(config: Path | None, file: Path | None = None) -> Iterator[Recorder]:
    """Write to the log of a configuration, or to `file`; write nothing if neither names a log.

    The log is opened before the operation. Raises NotChosen if it cannot be opened.
    """
    log = _log(config, file)
    if log is None:
        yield Recorder(None)
        return
    from certs.audit.tail import LogDamaged
    from certs.files.file_lock import StillLocked

    try:
        try:
            log.open(now())
        except (OSError, StillLocked, LogDamaged) as error:
            raise NotChosen(f"audit log {log.path}: {error}") from None
        yield Recorder(log)
    finally:
        log.close()


def _log(config: Path | None, file: Path | None) -> "AuditLog | None":
    if file is None and config is None:
        return None
    from certs.audit.configured import audit_log_of
    from certs.audit.journal import NoteJournal, SyslogJournal
    from certs.audit.log import AuditLog, AuditRules
    from config.loading.loader import survey
    from config.values.problems import ConfigError

    journal = SyslogJournal(fallback=NoteJournal())
    if file is not None:
        return AuditLog(file, AuditRules(), None, journal)
    loaded = None if config is None else survey(config).loaded
    if loaded is None:
        return None
    try:
        return audit_log_of(loaded.file, loaded.config.audit, loaded.config.hsm, journal)
    except ConfigError as error:
        raise NotChosen("; ".join(map(str, error.problems))) from None


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a driver
