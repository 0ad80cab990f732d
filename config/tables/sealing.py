"""The shape of `[sealing]`, `[backup]` and `[fleet]`: the key that encrypts what must be stored on
disk, who opens backups of that, and the nodes that share some of it. Pure.
"""

from datetime import timedelta
from typing import Annotated, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from config.tables.hsm import OptionalOwnKey
from config.values.addresses import Refused, is_loopback
from config.values.durations import Duration
from config.values.kinds import ONE_OR_A_LIST, Name, OwnFilePath, Table, WebAddress, WrittenPath, matching


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


class FleetConfig(Table):
    """`[fleet]`: `etcd` are the addresses of the members of etcd's cluster (none: this node is by
    itself), and `name` is what this node is called.

    `certificate` and `key` prove it to etcd, whose certificate `ca` has issued (None: one that the
    system trusts). What the fleet has in etcd begins with `prefix`.
    """

    lists_of_one: ClassVar[tuple[str, ...]] = ("etcd",)

    etcd: Annotated[tuple[WebAddress, ...], ONE_OR_A_LIST] = ()
    name: Name | None = None
    certificate: OwnFilePath | None = None
    key: OwnFilePath | None = None
    ca: OwnFilePath | None = None
    prefix: Annotated[
        str, matching(r"(/[A-Za-z0-9._-]{1,64}){1,8}", "a path such as /plexigate, which nothing else in etcd has")
    ] = "/plexigate"

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.etcd and self.name is None:
            raise Refused("a name beside it, which no other node has", found="no name", about=("etcd", "name"))
        if (self.certificate is None) != (self.key is None):
            alone = "certificate" if self.key is None else "key"
            raise Refused('both "certificate" and "key"', found=f"{alone} alone", about=("certificate", "key"))
        for address in self.etcd:
            if address.startswith("http://") and not is_loopback(urlsplit(address).hostname or ""):
                raise Refused("https://, except for an etcd on this machine", found=address, about=("etcd",))
        return self
