"""The shape of `client_certificates` of an identity. Pure."""

from enum import StrEnum

from config.values.kinds import FilePath, Table


class ClientCertificateMode(StrEnum):
    REQUIRE = "require"
    """A client without one gets no connection."""
    OPTIONAL = "optional"
    """A client without one is served, but not by routes that demand one."""


class ClientCertificatesConfig(Table):
    """`client_certificates` of `[identity.NAME]`: whose certificates its clients may show.

    `ca` are the authorities that issue them. `crl` are the certificates that these have revoked;
    None: revocation is not checked. Both are PEM files.
    """

    ca: FilePath
    mode: ClientCertificateMode = ClientCertificateMode.REQUIRE
    crl: FilePath | None = None
