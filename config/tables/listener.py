"""The shape of `[listener.NAME]`. Pure."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, PlainValidator, model_validator

from config.tables.limits import ListenerLimitsConfig
from config.tables.tcp import Alpn, ListenerProtocol, Passthrough, UpstreamByName
from config.values.addresses import Refused
from config.values.kinds import BindAddress, Network, Table, one_or_a_list

REJECT = "reject"
"""`ListenerConfig.default`: refuse an unknown or missing server name (`unrecognized_name`)."""

Groups = tuple[str, ...] | tuple[tuple[str, ...], ...]


class PqPolicy(StrEnum):
    """Whether clients must agree a key with a post-quantum group."""

    OFF = "off"
    PREFER = "prefer"
    REPORT = "report"
    REQUIRE = "require"


class SecurityLevel(StrEnum):
    """Groups and cipher suites of a listener; `CRITICAL` and `QUANTUM_SAFE` imply `REQUIRE`."""

    STANDARD = "standard"
    HIGH = "high"
    CRITICAL = "critical"
    QUANTUM_SAFE = "quantum-safe"

    @property
    def requires_pq(self) -> bool:
        """Whether no classical group is negotiable at this level."""
        return self in {SecurityLevel.CRITICAL, SecurityLevel.QUANTUM_SAFE}


class ProxyProtocol(StrEnum):
    """Whether connections begin with a PROXY header. There is no choice by the bytes that come: a
    client could then name any address.
    """

    REQUIRE = "require"


class HttpProtocol(StrEnum):
    """A version of HTTP, by its name in ALPN (RFC 7301 section 6, RFC 9113 section 3.1)."""

    HTTP_2 = "h2"
    HTTP_1 = "http/1.1"


class ClientAddressFrom(StrEnum):
    """The field by which a trusted peer names its client, in lower case."""

    X_FORWARDED_FOR = "x-forwarded-for"
    FORWARDED = "forwarded"


HTTP_BY_DEFAULT: Final = (HttpProtocol.HTTP_2, HttpProtocol.HTTP_1)
"""`ListenerConfig.http` where the file says nothing."""


def _parse_http(value: object) -> tuple[HttpProtocol, ...]:
    allowed = 'a list of "h2" and "http/1.1", the preferred one first, or of one of them'
    if not isinstance(value, list | tuple) or not value:
        raise Refused(allowed)
    if not all(isinstance(one, str) and one in set(HttpProtocol) for one in value):
        raise Refused(allowed)
    if len(set(value)) < len(value):
        raise Refused("each protocol once")
    return tuple(HttpProtocol(one) for one in value)


def _parse_groups(value: object) -> Groups | None:
    if value is None:
        return None
    allowed = 'a list of group names such as ["X25519MLKEM768", "X25519"], or a list of such lists, none of them empty'
    if not isinstance(value, list | tuple) or not value:
        raise Refused(allowed)
    if all(isinstance(entry, str) and entry for entry in value):
        return tuple(value)
    if not all(isinstance(entry, list | tuple) and entry for entry in value):
        raise Refused(allowed)
    if not all(isinstance(name, str) and name for entry in value for name in entry):
        raise Refused(allowed)
    return tuple(tuple(entry) for entry in value)


class ListenerConfig(Table):
    """`[listener.NAME]`: addresses that share one TLS policy.

    `groups` is kept as written: a flat tuple of names, or a tuple of tuples; None takes the list of
    `level`. `http` are the offered versions of HTTP, the preferred one first.
    `weaker_signatures` takes credentials below a level that asks for more. `default` is
    `REJECT` or the name of an identity. With `protocol` "tcp" the bytes of a connection go to the
    upstream that `upstream_by_name` has for its server name, or to `upstream`. `alpn` are the
    protocols that such a listener offers. `passthrough` are server names whose TLS is not opened,
    and where it goes. Forwarding headers are believed from `trusted_peers` only;
    `client_address_from` is the one that names the client. With `proxy_protocol` only
    `header_senders` may connect, each time with a PROXY header first, which names the client.
    Limits on single clients do not hold for those in `exempt`. `http3` serves HTTP/3 as well, on
    the UDP ports of `bind`; `http3_port` is what clients are told, None for the port of the first.
    """

    bind: Annotated[tuple[BindAddress, ...], one_or_a_list("0.0.0.0:443"), Field(min_length=1)]
    pq: PqPolicy = PqPolicy.PREFER
    level: SecurityLevel = SecurityLevel.STANDARD
    groups: Annotated[Groups | None, PlainValidator(_parse_groups)] = None
    http: Annotated[tuple[HttpProtocol, ...], PlainValidator(_parse_http)] = HTTP_BY_DEFAULT
    protocol: ListenerProtocol = ListenerProtocol.HTTP
    upstream: str | None = None
    upstream_by_name: UpstreamByName = Field(default_factory=dict)
    alpn: Alpn = ()
    alpn_required: bool = Field(default=False, strict=True)
    passthrough: Passthrough = Field(default_factory=dict)
    weaker_signatures: bool = Field(default=False, strict=True)
    default: str = REJECT
    trusted_peers: tuple[Network, ...] = ()
    proxy_protocol: ProxyProtocol | None = None
    proxy_protocol_from: tuple[Network, ...] = ()
    client_address_from: ClientAddressFrom = ClientAddressFrom.X_FORWARDED_FOR
    exempt: tuple[Network, ...] = ()
    http3: bool = Field(default=False, strict=True)
    http3_port: int | None = Field(default=None, ge=1, le=65_535, strict=True)
    limits: ListenerLimitsConfig = Field(default_factory=ListenerLimitsConfig)

    @model_validator(mode="after")
    def _header_has_senders(self) -> Self:
        if self.proxy_protocol is not None and not self.header_senders:
            raise Refused(
                "proxy_protocol_from with the addresses of the balancers that send PROXY headers",
                found="proxy_protocol without proxy_protocol_from: any client could name any address",
                about=("proxy_protocol", "proxy_protocol_from", "trusted_peers"),
            )
        if self.proxy_protocol is None and self.proxy_protocol_from:
            raise Refused(
                'proxy_protocol = "require" as well: without it no header is understood',
                found="proxy_protocol_from without proxy_protocol",
                about=("proxy_protocol", "proxy_protocol_from"),
            )
        return self

    @model_validator(mode="after")
    def _http3_has_a_place(self) -> Self:
        if self.http3 and self.proxy_protocol is not None:
            raise Refused(
                "a listener of its own for http3: a PROXY header has no place in QUIC",
                found="http3 together with proxy_protocol",
                about=("http3", "proxy_protocol"),
            )
        if self.http3_port is not None and not self.http3:
            raise Refused(
                "http3 = true as well: it is the port that clients are told for it",
                found="http3_port without http3",
                about=("http3", "http3_port"),
            )
        if self.http3 and self.passthrough:
            raise Refused(
                "a listener of its own for http3: QUIC is not passed through",
                found="http3 together with passthrough",
                about=("http3", "passthrough"),
            )
        return self

    @property
    def header_senders(self) -> tuple[Network, ...]:
        """Who may send PROXY headers: those of the key of its own, else all `trusted_peers`."""
        return self.proxy_protocol_from or self.trusted_peers

    @property
    def binds_signatures(self) -> bool:
        """Whether all who prove something here sign by ML-DSA-87: their keys and their issuers."""
        return self.level is SecurityLevel.QUANTUM_SAFE and not self.weaker_signatures

    @property
    def tcp_upstreams(self) -> frozenset[str]:
        """The upstreams that connections of this listener go to."""
        if self.protocol is not ListenerProtocol.TCP:
            return frozenset()
        for_all = () if self.upstream is None else (self.upstream,)
        return frozenset((*self.upstream_by_name.values(), *for_all))

    @property
    def opens_tls(self) -> bool:
        """Whether the listener proves an identity to clients: not if all of them are passed on."""
        return self.protocol is ListenerProtocol.HTTP or bool(self.tcp_upstreams)
