"""The shape of `[fleet]`: the nodes that share secrets over etcd. Pure."""

from typing import Annotated, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from config.values.addresses import Refused, is_loopback
from config.values.kinds import ONE_OR_A_LIST, Name, OwnFilePath, Table, WebAddress, matching


class FleetConfig(Table):
    """`[fleet]`: `etcd` are the addresses of the members of etcd's cluster (none: this node is by
    itself), and `name` is what this node is called (None: as its host).

    `certificate` and `key` prove it to etcd, whose certificate `ca` has issued (None: one that the
    system trusts). Where etcd has users, this node is `user`, with the password in `password_file`.
    What the fleet has in etcd begins with `prefix`. With `auto_approve`, a node with an invitation
    joins without the approval of an operator, while this node leads.
    """

    lists_of_one: ClassVar[tuple[str, ...]] = ("etcd",)

    etcd: Annotated[tuple[WebAddress, ...], ONE_OR_A_LIST] = ()
    name: Name | None = None
    certificate: OwnFilePath | None = None
    key: OwnFilePath | None = None
    ca: OwnFilePath | None = None
    user: Name | None = None
    password_file: OwnFilePath | None = None
    prefix: Annotated[
        str, matching(r"(/[A-Za-z0-9._-]{1,64}){1,8}", "a path such as /plexigate, which nothing else in etcd has")
    ] = "/plexigate"
    auto_approve: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        for pair in (("certificate", "key"), ("user", "password_file")):
            given = [one for one in pair if getattr(self, one) is not None]
            if len(given) == 1:
                raise Refused(f'both "{pair[0]}" and "{pair[1]}"', found=f"{given[0]} alone", about=pair)
        for address in self.etcd:
            if address.startswith("http://") and not is_loopback(urlsplit(address).hostname or ""):
                raise Refused("https://, except for an etcd on this machine", found=address, about=("etcd",))
        return self
