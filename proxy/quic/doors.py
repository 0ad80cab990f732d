"""Where listeners serve HTTP/3, and what is published of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from config.schema import ClientCertificateMode, Config, HttpProtocol
from config.values.addresses import Bind, parse_bind, parse_ip

_LOOPBACK: Final = {4: "127.0.0.1", 6: "::1"}
_HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class Http3Door:
    """Where a listener serves HTTP/3: the address to try it at, by which server name.

    `name` is empty where clients send none. `port` is the UDP port that they reach.
    """

    address: tuple[str, int]
    port: int
    name: str


def http3_doors(config: Config, addresses: Mapping[str, Sequence[str]]) -> dict[str, Http3Door]:
    """The first door of each listener with `http3`, by the addresses in use of each listener."""
    doors = {}
    for name, listener in config.listener.items():
        in_use = addresses.get(name)
        if listener.http3 and in_use:
            bind = parse_bind(in_use[0])
            doors[name] = Http3Door(_reached(bind), listener.http3_port or bind.port, _server_name(config))
    return doors


def _reached(bind: Bind) -> tuple[str, int]:
    return _LOOPBACK[bind.host.version] if bind.host.is_unspecified else str(bind.host), bind.port


def _server_name(config: Config) -> str:
    """The first name, if possible of an identity that takes clients without a certificate."""
    found = ""
    for identity in config.identity.values():
        clients = identity.client_certificates
        # RFC 6066 section 3: a client sends no address as server name
        name = next((one for one in identity.names if parse_ip(one) is None), "")
        if clients is None or clients.mode is not ClientCertificateMode.REQUIRE:
            return name.replace("*", "check")
        found = found or name.replace("*", "check")
    return found


def https_records(config: Config, listener: str, port: int) -> list[str]:
    """The DNS records that tell browsers of HTTP/3 before their first request (RFC 9460)."""
    settings = config.listener[listener]
    protocols = ["h3", "h2"] if HttpProtocol.HTTP_2 in settings.http else ["h3"]
    alpn = f'alpn="{",".join(protocols)}"'
    names = dict.fromkeys(name for one in config.identity.values() for name in one.names if parse_ip(name) is None)
    if port == _HTTPS_PORT:
        return [f"{name}. 300 IN HTTPS 1 . {alpn}" for name in names]
    # RFC 9460 section 9.1: another port is a part of the name, in front of which no wildcard stands
    exact = (name for name in names if not name.startswith("*"))
    return [f"_{port}._https.{name}. 300 IN HTTPS 1 {name}. {alpn}" for name in exact]
