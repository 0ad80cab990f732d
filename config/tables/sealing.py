"""The shape of `[sealing]` and `[backup]`: the key that encrypts what must be stored on disk, and
who opens backups of that. Pure.
"""

from datetime import timedelta
from typing import Self

from pydantic import Field, model_validator

from config.tables.hsm import OptionalOwnKey
from config.values.addresses import Refused
from config.values.durations import Duration
from config.values.kinds import OwnFilePath, Table, WrittenPath


class SealingConfig(Table):
    """`[sealing]`: `key` is one in a token, or the file that `plexigate hsm init --key-file` made;
    None seals nothing.

    In `directory` (None: the state directory) lie the keys below it and the secret of session
    tickets. Each of these keys seals for `rotate_after`, and opens for as long again at least.
    """

    key: OptionalOwnKey = None
    directory: WrittenPath | None = None
    rotate_after: Duration = timedelta(days=90)

    @model_validator(mode="after")
    def _seals_something(self) -> Self:
        if self.directory is not None and self.key is None:
            raise Refused("a key beside it, which seals what is there", found="no key", about=("directory", "key"))
        return self


class BackupConfig(Table):
    """`[backup]`: backups go to `directory` (None: a person names the file of each). The recovery
    shares of the sealing key open them, and the private keys of `recipients`, which are files with
    public keys.

    Of the backups of this configuration the newest `keep` stay. An alert is sent when the newest is
    older than `alert_after`.
    """

    directory: WrittenPath | None = None
    recipients: tuple[OwnFilePath, ...] = ()
    keep: int = Field(default=14, ge=1, le=10_000, strict=True)
    alert_after: Duration = timedelta(days=2)
