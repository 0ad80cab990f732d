"""The shape of `[upstream.NAME]` and of the tables in it. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Self

from pydantic import BeforeValidator, Field, PlainValidator, model_validator

from config.tables.listener import HttpProtocol
from config.tables.tcp import Alpn
from config.values.addresses import Refused, ServerAddress, parse_exact_name, parse_server
from config.values.durations import Seconds, WholeSeconds, time_field
from config.values.kinds import FilePath, Table, matching

# RFC 9110 section 5.6.2: names of header fields and of cookies are tokens.
_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}"
# RFC 9112 section 3.2.1, in ASCII: what a check asks for goes on the wire as it is written.
_CHECK_PATH: Final = r"/[!-\"$-~]{0,1023}"
_CHECK_PATH_ALLOWED: Final = 'a path that starts with "/", in ASCII, without blanks and fragment'
_COOKIE_ALLOWED: Final = "a name of letters, digits and hyphens; one that begins with __Host- is the safest"
_HASH_ON: Final = 'one of "address", "header:NAME", "cookie:NAME"'


class Balance(StrEnum):
    """How the server of a request is chosen among several."""

    LEAST_CONNECTIONS = "least-connections"
    ROUND_ROBIN = "round-robin"
    CONSISTENT_HASH = "consistent-hash"
    STICKY_COOKIE = "sticky-cookie"


class ProxyHeaderVersion(StrEnum):
    """The version of the PROXY headers that a server wants."""

    TEXT = "v1"
    BINARY = "v2"


class SameSite(StrEnum):
    """On which requests from other sites a browser sends a cookie (RFC 6265bis section 5.6.7)."""

    STRICT = "strict"
    LAX = "lax"
    NONE = "none"


class HashKind(StrEnum):
    ADDRESS = "address"
    HEADER = "header"
    COOKIE = "cookie"


@dataclass(frozen=True, slots=True)
class HashSource:
    """`hash_on`: a kind and, of a header or a cookie, its `name`."""

    kind: HashKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else str(self.kind)


def _parse_hash_on(value: object) -> HashSource:
    if isinstance(value, HashSource):
        return value
    if value == HashKind.ADDRESS:
        return HashSource(HashKind.ADDRESS)
    kind, _, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind not in {HashKind.HEADER, HashKind.COOKIE} or not re.fullmatch(_NAME, name):
        raise Refused(_HASH_ON)
    return HashSource(HashKind(kind), name)


def _parse_statuses(value: object) -> tuple[int, int]:
    match value:
        case [int(least), int(most)] if 100 <= least <= most <= 599:
            return least, most
    raise Refused("the first and the last status that are good, such as [200, 299], from 100 to 599")


def _as_table(value: object) -> object:
    if not isinstance(value, str | dict | ServerAddress | ServerConfig):
        raise Refused('an address such as "http://127.0.0.1:8000", or a table with an address and a weight')
    return {"address": value} if isinstance(value, str | ServerAddress) else value


class ServerConfig(Table):
    """One of `upstream.NAME.servers`: where it is, and its share of the requests in proportion to
    the others'.
    """

    identified_by: ClassVar[tuple[str, ...]] = ("address",)

    address: Annotated[ServerAddress, PlainValidator(parse_server)]
    weight: int = Field(default=1, ge=1, le=1_000, strict=True)


class CookieConfig(Table):
    """`[upstream.NAME.cookie]`: the signed cookie by which a client stays with its server.

    `secret` is the path of a file with at least 32 octets of key material; `name` None is made of
    the upstream's name.
    """

    secret: FilePath
    name: Annotated[str, matching(_NAME, _COOKIE_ALLOWED)] | None = None
    seconds: WholeSeconds = time_field("max_age", 86_400, least=1, most=31_536_000)
    same_site: SameSite = SameSite.LAX


class HealthConfig(Table):
    """`[upstream.NAME.health]`: each server is asked for `path` every `interval`, give or
    take a share of `jitter`.

    It is down after `fall` bad answers in a row, and up again after `rise` good ones. `statuses`
    are the first and the last status of a good answer; `host` None asks for the host of the
    address. Servers of a TCP listener have no path: a connection that succeeds is a good answer.
    """

    path: Annotated[str, matching(_CHECK_PATH, _CHECK_PATH_ALLOWED)] | None = None
    host: Annotated[str, PlainValidator(parse_exact_name)] | None = None
    interval_seconds: Seconds = time_field("interval", 5.0, most=86_400.0)
    jitter: float = Field(default=0.2, ge=0.0, le=0.9, strict=True, allow_inf_nan=False)
    timeout_seconds: Seconds = time_field("timeout", 2.0, most=600.0)
    rise: int = Field(default=2, ge=1, le=1_000, strict=True)
    fall: int = Field(default=3, ge=1, le=1_000, strict=True)
    statuses: Annotated[tuple[int, int], PlainValidator(_parse_statuses)] = (200, 299)


class EjectionConfig(Table):
    """`[upstream.NAME.ejection]`: when a server is left out for what it did to requests, and for
    how long.
    """

    connect_failures: int = Field(default=5, ge=1, le=1_000, strict=True)
    errors: int = Field(default=20, ge=1, le=10_000, strict=True)
    errors_seconds: Seconds = time_field("errors_within", 10.0, most=86_400.0)
    base_seconds: Seconds = time_field("base_time", 10.0, most=86_400.0)
    max_seconds: Seconds = time_field("max_time", 300.0, most=86_400.0)
    most_percent: int = Field(default=50, ge=0, le=99, strict=True)

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.max_seconds < self.base_seconds:
            found = "a max_time below base_time"
            raise Refused("a max_time of at least base_time", found=found, about=("base_time", "max_time"))
        return self


class UpstreamConfig(Table):
    """`[upstream.NAME]`: servers that answer the same requests, how one is chosen, how connections
    to each are kept.

    For https and tls servers: `ca` is a file of certificates to trust (None: those of the system),
    `server_name` the name asked for and verified (None: the host of the address), `certificate` and
    `key` what the proxy proves itself with. All counts are per server. `http`
    is what all servers speak; an https server has to choose "h2" by ALPN. `alpn` is what tls
    servers are offered. `health` None: servers are not asked how they are. `send_proxy_protocol`:
    each connection begins with a PROXY header of this version, and belongs to one connection of a
    client.
    """

    servers: Annotated[tuple[Annotated[ServerConfig, BeforeValidator(_as_table)], ...], Field(min_length=1)]
    http: HttpProtocol = HttpProtocol.HTTP_1
    balance: Balance = Balance.LEAST_CONNECTIONS
    hash_on: Annotated[HashSource, PlainValidator(_parse_hash_on)] | None = None
    cookie: CookieConfig | None = None
    slow_start_seconds: Seconds = time_field("slow_start", 0.0, least=0.0, most=3_600.0)
    retry_percent: float = Field(default=20.0, ge=0.0, le=100.0, strict=True, allow_inf_nan=False)
    retries_per_second: float = Field(default=10.0, ge=0.0, le=100_000.0, strict=True, allow_inf_nan=False)
    health: HealthConfig | None = None
    ejection: EjectionConfig = EjectionConfig()
    alpn: Alpn = ()
    ca: FilePath | None = None
    server_name: Annotated[str, PlainValidator(parse_exact_name)] | None = None
    certificate: FilePath | None = None
    key: FilePath | None = None
    send_proxy_protocol: ProxyHeaderVersion | None = None
    connections: int = Field(default=256, ge=1, le=1_000_000, strict=True)
    waiting: int = Field(default=256, ge=0, le=1_000_000, strict=True)
    websockets: int = Field(default=20_000, ge=1, le=10_000_000, strict=True)
    connect_seconds: Seconds = time_field("connect_timeout", 5.0, most=600.0)
    first_byte_seconds: Seconds = time_field("first_byte_timeout", 60.0, most=86_400.0)
    stall_seconds: Seconds = time_field("stall_timeout", 300.0, most=86_400.0)
    idle_seconds: Seconds = time_field("idle_timeout", 30.0, most=86_400.0)
    wait_seconds: Seconds = time_field("wait_timeout", 5.0, most=600.0)

    @property
    def has_tls(self) -> bool:
        """Whether any of the servers is reached by TLS."""
        return any(server.address.has_tls for server in self.servers)

    @property
    def is_without_http(self) -> bool:
        """Whether an address says that the servers do not speak HTTP."""
        return any(server.address.is_without_http for server in self.servers)

    @property
    def offered_protocols(self) -> tuple[str, ...]:
        """What servers are offered by ALPN."""
        return self.alpn if self.is_without_http else (self.http,)

    @model_validator(mode="after")
    def _tls_settings_fit(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            found = "key alone" if self.certificate is None else "certificate alone"
            raise Refused('both "certificate" and "key", or none of them', found=found, about=("certificate", "key"))
        for_tls = ("ca", "server_name", "certificate", "key")
        unused = [key for key in for_tls if getattr(self, key) is not None]
        if unused and not self.has_tls:
            allowed = "these keys only with an https:// or tls:// server"
            raise Refused(allowed, found=" and ".join(unused), about=("servers", *for_tls))
        return self

    @model_validator(mode="after")
    def _header_is_of_one_client(self) -> Self:
        if self.send_proxy_protocol is not None and self.http is HttpProtocol.HTTP_2:
            raise Refused(
                'http = "http/1.1": a connection of HTTP/2 carries requests of many clients, a PROXY header names one',
                found=f'send_proxy_protocol = "{self.send_proxy_protocol}" with http = "h2"',
                about=("send_proxy_protocol", "http"),
            )
        return self

    @model_validator(mode="after")
    def _servers_speak_alike(self) -> Self:
        if self.is_without_http:
            other = next((one.address for one in self.servers if one.address.scheme in {"http", "https"}), None)
            if other is not None:
                allowed = "servers that speak HTTP, or servers for TCP, not both"
                raise Refused(allowed, found=f"{other} together with a server for TCP", about=("servers",))
        if self.alpn and not any(one.address.scheme == "tls" for one in self.servers):
            raise Refused("alpn only with a tls:// server", found="alpn", about=("servers", "alpn"))
        return self

    @model_validator(mode="after")
    def _balance_has_what_it_needs(self) -> Self:
        for key, needed_by in (("hash_on", Balance.CONSISTENT_HASH), ("cookie", Balance.STICKY_COOKIE)):
            is_there = getattr(self, key) is not None
            is_needed = self.balance is needed_by
            if is_there and not is_needed:
                found = f'{key} with balance "{self.balance}"'
                raise Refused(f'{key} only with balance "{needed_by}"', found=found, about=("balance", key))
            if is_needed and not is_there:
                found = f'balance "{self.balance}" without {key}'
                allowed = (
                    f"hash_on, {_HASH_ON}" if key == "hash_on" else "a table [upstream.NAME.cookie] with its secret"
                )
                raise Refused(allowed, found=found, about=("balance", key))
        return self
