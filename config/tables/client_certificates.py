"""The shape of `client_certificates` of an identity. Pure."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar

from config.values.durations import Duration
from config.values.kinds import ONE_OR_A_LIST, FilePath, Table, WebAddress


class ClientCertificateMode(StrEnum):
    REQUIRE = "require"
    """A client without one gets no connection."""
    OPTIONAL = "optional"
    """A client without one is served, but not by routes that demand one."""


class UnknownRevocation(StrEnum):
    """What happens to a client whose authority has no current list."""

    REFUSE = "refuse"
    ACCEPT = "accept"
    """It is served, unless the last list that was there has its certificate."""


class ClientCertificatesConfig(Table):
    """`client_certificates` of `[identity.NAME]`: whose certificates its clients may show.

    `ca` are the authorities that issue them. `crl` are the certificates that these have revoked.
    Both are PEM files. `crl_url` are addresses of such lists, which are fetched again after
    `crl_refresh`. Without `crl` and `crl_url` revocation is not checked.
    """

    lists_of_one: ClassVar[tuple[str, ...]] = ("crl_url",)

    ca: FilePath
    mode: ClientCertificateMode = ClientCertificateMode.REQUIRE
    crl: FilePath | None = None
    crl_url: Annotated[tuple[WebAddress, ...], ONE_OR_A_LIST] = ()
    crl_refresh: Duration = timedelta(hours=1)
    crl_unknown: UnknownRevocation = UnknownRevocation.REFUSE

    @property
    def checks_revocation(self) -> bool:
        return self.crl is not None or bool(self.crl_url)
