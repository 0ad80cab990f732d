"""Events of the audit log. Pure."""

from dataclasses import dataclass

from proxy.observe.events.event import Event, Level


@dataclass(frozen=True, slots=True)
class AuditLogBegun(Event):
    """A new audit log begins, because its directory has no earlier file of it.

    At the first start this is expected. Later it means that the previous files were moved or
    deleted: find out who did it.
    """

    event = "audit_log_begun"
    level = Level.WARNING

    detail: str
    """Identifier and path of the log."""

    def sentence(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True)
class AuditCheckpoint(Event):
    """A checkpoint of the audit log. Keep it elsewhere: with it `plexigate audit verify` finds out
    if the end of the log was cut off."""

    event = "audit_checkpoint"
    level = Level.INFORMATION

    checkpoint: str
    """Identifier of the log, number of lines and hash of the last one, with the signature if there
    is one."""

    def sentence(self) -> str:
        return self.checkpoint


@dataclass(frozen=True, slots=True)
class AuditCheckpointUnsigned(Event):
    """The key of the audit log did not sign a checkpoint. The checkpoint is written without a
    signature.

    Check the token of `audit.checkpoint_key`.
    """

    event = "audit_checkpoint_unsigned"
    level = Level.WARNING

    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"the checkpoint of the audit log is not signed: {self.detail}"


@dataclass(frozen=True, slots=True)
class AuditLogFailed(Event):
    """A line of the audit log could not be written. Lines are queued and written later; lines that
    do not fit in the queue are lost.

    Check the disk of `audit.file`.
    """

    event = "audit_log_failed"
    level = Level.ACTION

    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"the audit log cannot be written: {self.detail}"


@dataclass(frozen=True, slots=True)
class AuditLogWrittenAgain(Event):
    """The audit log can be written again. The audit log itself says how many lines are missing."""

    event = "audit_log_written_again"
    level = Level.INFORMATION

    lost: int
    """Lines that were lost meanwhile."""

    def sentence(self) -> str:
        return f"the audit log is written again; {self.lost} lines are lost"


@dataclass(frozen=True, slots=True)
class AuditLogLate(Event):
    """The process ends before the audit log is complete: the last lines or the last checkpoint are
    missing.

    Check the disk of `audit.file` and the token that signs checkpoints.
    """

    event = "audit_log_late"
    level = Level.ACTION

    def sentence(self) -> str:
        return "the audit log could not be finished in time"
