"""The shape of the configuration file: one model for each table, every value parsed.

Pure: nothing here touches a file. Paths stay text, relative to the configuration file
(`ConfigFile.resolve`). What spans several tables stands in `crosschecks`.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import Discriminator, Field, PlainValidator, Tag, model_validator

from config.routes.error_pages import ErrorPages
from config.routes.route import RouteConfig
from config.tables.client_certificates import ClientCertificateMode, ClientCertificatesConfig
from config.tables.ct import CtConfig
from config.tables.fleet import FleetConfig
from config.tables.hsm import HsmConfig, Keys, TokenConfig
from config.tables.issuers import AcmeIssuerConfig, AnyIssuerConfig
from config.tables.limits import LimitsConfig, ListenerLimitsConfig, RateConfig, RatePer
from config.tables.listener import REJECT, HttpProtocol, ListenerConfig, PqPolicy, SecurityLevel
from config.tables.operations.admin import AdminConfig
from config.tables.operations.alerts import AlertRepeatConfig, AlertsConfig
from config.tables.operations.audit import AuditConfig
from config.tables.operations.log import LogConfig, LogFormat
from config.tables.payload import (
    PayloadConfig,
    PayloadEnvelope,
    PayloadMode,
    RingConfig,
    SessionsConfig,
    SessionSuite,
)
from config.tables.plain import PlainConfig
from config.tables.rotation import (
    InternalIssuerConfig,
    IssuedCredential,
    IssuedCredentialConfig,
    RotationConfig,
    issued_credentials,
)
from config.tables.sealing import BackupConfig, SealingConfig
from config.tables.upstream import CookieConfig, EjectionConfig, HealthConfig, ServerConfig, UpstreamConfig
from config.values.addresses import Bind, Refused, ServerAddress
from config.values.durations import Seconds, time_field
from config.values.kinds import TAG_PREFIX, DirectoryPath, FilePath, Name, ServerName, Table, matching
from config.values.problems import Location

__all__ = [
    "MOST_WORKERS",
    "REJECT",
    "AcmeIssuerConfig",
    "AdminConfig",
    "AlertRepeatConfig",
    "AlertsConfig",
    "AuditConfig",
    "BackupConfig",
    "Bind",
    "ClientCertificateMode",
    "ClientCertificatesConfig",
    "Config",
    "CookieConfig",
    "CredentialConfig",
    "CredentialPreference",
    "EjectionConfig",
    "FleetConfig",
    "HealthConfig",
    "HsmConfig",
    "HttpProtocol",
    "IdentityConfig",
    "InternalIssuerConfig",
    "IssuedCredential",
    "IssuedCredentialConfig",
    "LimitsConfig",
    "ListenerConfig",
    "ListenerLimitsConfig",
    "LogConfig",
    "LogFormat",
    "OpensslConfig",
    "PayloadConfig",
    "PayloadEnvelope",
    "PayloadMode",
    "PlainConfig",
    "PqPolicy",
    "RateConfig",
    "RatePer",
    "RingConfig",
    "RotationConfig",
    "RouteConfig",
    "SealingConfig",
    "SecurityLevel",
    "ServerAddress",
    "ServerConfig",
    "SessionSuite",
    "SessionsConfig",
    "TokenConfig",
    "UpstreamConfig",
]

MOST_WORKERS = 64
"""More processes than that share too little: a machine with more cores gets this many."""

PAGE_UPSTREAM = "admin page"
"""The name of the upstream behind routes with `admin_page`: the parent process."""
PAGE_CONNECTIONS = 16
"""Requests for the admin page that a worker has in flight. A viewer has one that does not end."""

_PROVIDER = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_PROVIDER_ALLOWED = 'the name of an OpenSSL provider, such as "oqsprovider", without directory or ending'
# What useradd(8) takes.
_Account = Annotated[
    str, matching(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?", "a name of the system's user or group database")
]


class CredentialPreference(StrEnum):
    """Which credential of an identity a client gets that accepts several."""

    CLASSICAL = "classical"
    MLDSA = "mldsa"


class CredentialConfig(Table):
    """`[[identity.NAME.credential]]`: the path of a certificate chain (PEM, leaf first), and where
    its private key is.

    `key` has one entry, or the same key in several tokens: in the order of preference, or to be
    used in turn if `spread`.
    """

    lists_of_one: ClassVar[tuple[str, ...]] = ("key",)

    certificate: FilePath
    key: Keys
    spread: bool = Field(default=False, strict=True)


_WITH_FILES = f"{TAG_PREFIX}files"
_ISSUED = f"{TAG_PREFIX}issued"


def _kind_of_credential(value: object) -> str:
    if isinstance(value, dict):
        return _ISSUED if "issuer" in value else _WITH_FILES
    return _ISSUED if isinstance(value, IssuedCredentialConfig) else _WITH_FILES


AnyCredentialConfig = Annotated[
    Annotated[CredentialConfig, Tag(_WITH_FILES)] | Annotated[IssuedCredentialConfig, Tag(_ISSUED)],
    Discriminator(_kind_of_credential),
]


class IdentityConfig(Table):
    """`[identity.NAME]`: a server as clients know it: its names and what it proves them with.

    In the file either `certificate` and `key` (and `spread`) stand, or `credential` tables; read
    `credentials`, which is the same for both. `names` are in the form of `parse_server_name`.
    """

    lists_of_one: ClassVar[tuple[str, ...]] = ("key",)

    names: Annotated[tuple[ServerName, ...], Field(min_length=1)]
    certificate: FilePath | None = None
    key: Keys | None = None
    spread: bool = Field(default=False, strict=True)
    credential: tuple[AnyCredentialConfig, ...] = ()
    prefer: CredentialPreference = CredentialPreference.CLASSICAL
    client_certificates: ClientCertificatesConfig | None = None

    @property
    def credentials(self) -> tuple[CredentialConfig | IssuedCredential, ...]:
        """The credentials of this identity in the order of the file, one for each certificate;
        never empty.
        """
        return tuple(one for _, one in self.placed_credentials)

    @property
    def placed_credentials(self) -> tuple[tuple[Location, CredentialConfig | IssuedCredential], ...]:
        """The same, each with the place of its table below that of the identity."""
        if self.certificate is not None and self.key is not None:
            return (((), CredentialConfig(certificate=self.certificate, key=self.key, spread=self.spread)),)
        placed: list[tuple[Location, CredentialConfig | IssuedCredential]] = []
        issued = self.issued
        for index, one in enumerate(self.credential):
            found = [one] if isinstance(one, CredentialConfig) else [made for made in issued if made.index == index]
            placed += ((("credential", index), each) for each in found)
        return tuple(placed)

    @property
    def issued(self) -> tuple[IssuedCredential, ...]:
        """Those whose keys are made here."""
        return tuple(issued_credentials(self.credential))

    @model_validator(mode="after")
    def _has_one_kind_of_credential(self) -> Self:
        allowed = 'either both "certificate" and "key", or [[identity.NAME.credential]] tables'
        about = ("certificate", "key", "credential")
        if self.spread and self.credential:
            found = "spread together with credential tables"
            raise Refused(
                "spread in the credential whose keys it is about", found=found, about=("spread", "credential")
            )
        single = [key for key in ("certificate", "key") if getattr(self, key) is not None]
        if single and self.credential:
            raise Refused(allowed, found=" and ".join([*single, "credential"]), about=about)
        if len(single) == 1 or not (single or self.credential):
            raise Refused(allowed, found=f"{single[0]} alone" if single else "none of them", about=about)
        return self


class OpensslConfig(Table):
    """`[openssl]`: further providers, and the directory of their modules (None: OpenSSL's)."""

    providers: tuple[Annotated[str, matching(_PROVIDER, _PROVIDER_ALLOWED)], ...] = ()
    module_path: DirectoryPath | None = None


def _parse_workers(value: object) -> int | None:
    if value in ("auto", None):
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_WORKERS:
        raise Refused(f'"auto" (one for each core that this process may use) or a number from 1 to {MOST_WORKERS}')
    return value


class Config(Table):
    """A whole configuration file.

    `workers` None is one for each core. `user` and `group` of the workers, None for those of the
    parent. `watch`: whether a change of the file, or of one that it names, reloads by itself.
    `reload_timeout`: how long the preparation of a reload may take before it is given up.
    `error_pages`: files for the errors that the proxy answers itself, by status.
    """

    workers: Annotated[int | None, PlainValidator(_parse_workers)] = None
    user: _Account | None = None
    group: _Account | None = None
    watch: bool = Field(default=False, strict=True)
    reload_seconds: Seconds = time_field("reload_timeout", 30.0, most=3_600.0)
    listener: dict[Name, ListenerConfig] = Field(default_factory=dict)
    identity: dict[Name, IdentityConfig] = Field(default_factory=dict)
    upstream: dict[Name, UpstreamConfig] = Field(default_factory=dict)
    route: tuple[RouteConfig, ...] = ()
    error_pages: ErrorPages = Field(default_factory=dict)
    hsm: HsmConfig | None = None
    sealing: SealingConfig = SealingConfig()
    audit: AuditConfig = AuditConfig()
    ct: CtConfig = CtConfig()
    backup: BackupConfig = BackupConfig()
    fleet: FleetConfig = FleetConfig()
    issuer: dict[Name, AnyIssuerConfig] = Field(default_factory=dict)
    plain: PlainConfig = PlainConfig()
    rotation: RotationConfig = RotationConfig()
    alerts: AlertsConfig = AlertsConfig()
    openssl: OpensslConfig = OpensslConfig()
    limits: LimitsConfig = LimitsConfig()
    payload: PayloadConfig = PayloadConfig()
    log: LogConfig = LogConfig()
    admin: AdminConfig = AdminConfig()

    @property
    def is_quantum_safe(self) -> bool:
        """Whether any listener has that level: then what is stored should not be weaker."""
        return any(one.level is SecurityLevel.QUANTUM_SAFE for one in self.listener.values())

    @property
    def tcp_upstreams(self) -> frozenset[str]:
        """The upstreams whose servers get the bytes of clients as they are, by their names here."""
        used = {name for listener in self.listener.values() for name in listener.tcp_upstreams}
        passed = {str(server) for listener in self.listener.values() for server in listener.passthrough.values()}
        return frozenset(used | passed)

    @property
    def all_upstreams(self) -> dict[str, UpstreamConfig]:
        """Every upstream by its name; one for each server of a passthrough has its address as name.

        The admin page has one too. No `[upstream.NAME]` can have such a name.
        """
        passed = {server for listener in self.listener.values() for server in listener.passthrough.values()}
        of_passthrough = {str(one): UpstreamConfig(servers=(ServerConfig(address=one),)) for one in passed}
        return {**self.upstream, **dict(sorted(of_passthrough.items())), **self._page_upstream}

    @property
    def _page_upstream(self) -> dict[str, UpstreamConfig]:
        socket = self.admin.page_socket
        if socket is None or all(route.admin_page is None for route in self.route):
            return {}
        address = ServerAddress("unix", path=socket)
        return {
            PAGE_UPSTREAM: UpstreamConfig(
                servers=(ServerConfig(address=address),), connections=PAGE_CONNECTIONS, waiting=PAGE_CONNECTIONS
            )
        }
