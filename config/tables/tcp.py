"""What a listener says about connections that it does not read as HTTP. Pure."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainValidator

from config.values.addresses import Refused, ServerAddress, parse_server
from config.values.kinds import ServerName

# RFC 7301 section 3.1: a name has 1 to 255 octets.
_LONGEST_PROTOCOL: Final = 255
# RFC 8737: this name belongs to the challenges of CAs, which the proxy answers by itself.
_CHALLENGE: Final = "acme-tls/1"
_ALPN: Final = 'a list of protocol names of 1 to 255 visible ASCII characters, such as ["irc"] or ["xmpp-client"]'


class ListenerProtocol(StrEnum):
    """What the proxy reads behind TLS: requests of HTTP, or nothing: bytes go both ways."""

    HTTP = "http"
    TCP = "tcp"


def _parse_alpn(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise Refused(_ALPN)
    for name in value:
        if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_PROTOCOL or not name.isascii():
            raise Refused(_ALPN)
        if not name.isprintable() or " " in name:
            raise Refused(_ALPN)
    if len(set(value)) < len(value):
        raise Refused("each protocol once")
    if _CHALLENGE in value:
        raise Refused(f'protocols without "{_CHALLENGE}", which the proxy answers by itself for its CAs')
    return tuple(value)


def _parse_passthrough_server(value: object) -> ServerAddress:
    allowed = 'an address such as "tcp://127.0.0.1:5349" or "unix:/run/turn.sock"'
    if isinstance(value, str) and not value.startswith(("tcp:", "unix:")):
        raise Refused(f"{allowed}: the client's own TLS goes to it as it is")
    server = parse_server(value)
    if server.scheme not in {"tcp", "unix"}:
        raise Refused(allowed)
    return server


def _parse_keys(value: object) -> object:
    """Refuse a name that stands twice, in two spellings: one of both would be lost."""
    if isinstance(value, dict):
        seen: set[str] = set()
        for name in value:
            lowered = str(name).lower()
            if lowered in seen:
                raise Refused("each name once, in lower case", found=f'"{lowered}" twice, in two spellings')
            seen.add(lowered)
    return value


Alpn = Annotated[tuple[str, ...], PlainValidator(_parse_alpn)]
"""Protocol names (RFC 7301), the preferred one first."""
PassthroughServer = Annotated[ServerAddress, PlainValidator(_parse_passthrough_server)]
UpstreamByName = Annotated[dict[ServerName, str], BeforeValidator(_parse_keys)]
Passthrough = Annotated[dict[ServerName, PassthroughServer], BeforeValidator(_parse_keys)]
"""Server name -> where its TLS goes."""
