"""The shape of `[backup]`: where backups go, who can open them, how many are kept. Pure."""

from datetime import timedelta

from pydantic import Field

from config.values.durations import Duration
from config.values.kinds import OwnFilePath, Table, WrittenPath


class BackupConfig(Table):
    """`[backup]`: backups go to `directory` (None: a person names the file of each). The recovery
    shares of the sealing key open them, and the private keys of `recipients`, which are files with
    public keys.

    Of the backups of this machine the newest `keep` stay. An alert is sent when the newest is older
    than `alert_after`.
    """

    directory: WrittenPath | None = None
    recipients: tuple[OwnFilePath, ...] = ()
    keep: int = Field(default=14, ge=1, le=10_000, strict=True)
    alert_after: Duration = timedelta(days=2)
