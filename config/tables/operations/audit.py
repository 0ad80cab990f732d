"""The shape of `[audit]`: the log of key operations, and the key of its checkpoints. Pure."""

from typing import Self

from pydantic import Field, model_validator

from config.tables.hsm import OptionalOwnKey
from config.values.addresses import Refused
from config.values.durations import Seconds, time_field
from config.values.kinds import Table, WrittenPath


class AuditConfig(Table):
    """`[audit]`: `file` None keeps no log.

    A checkpoint is made after `checkpoint_lines`, signed by `checkpoint_key` (None: unsigned).
    Handshakes are written as totals for each key every `totals_interval`. At `rotate_bytes` the
    file is renamed and a new one begun (0: logrotate does it). `queue_lines` may wait for the disk;
    further lines are lost, and counted.
    """

    file: WrittenPath | None = None
    checkpoint_key: OptionalOwnKey = None
    checkpoint_lines: int = Field(default=1_000, ge=1, le=1_000_000, strict=True)
    totals_seconds: Seconds = time_field("totals_interval", 300.0, most=86_400.0)
    rotate_bytes: int = Field(default=67_108_864, ge=0, le=1_099_511_627_776, strict=True)
    queue_lines: int = Field(default=10_000, ge=1, le=1_000_000, strict=True)

    @model_validator(mode="after")
    def _signs_something(self) -> Self:
        if self.checkpoint_key is not None and self.file is None:
            raise Refused("audit.file, whose lines the key signs", found="no file", about=("checkpoint_key", "file"))
        return self
