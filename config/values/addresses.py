"""Names and addresses as an operator writes them, parsed once into values.

Every `parse_*` takes the text of the configuration and answers the value, or raises `Refused` with
what would have been allowed. Nothing here resolves or opens anything.
"""

import re
import unicodedata
from collections.abc import Container
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal
from urllib.parse import SplitResult, urlsplit

# A label of a host name: letters, digits, inner hyphens, at most 63 octets (RFC 1035 2.3.4, RFC
# 1123 2.1).
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Names of upstream servers are looked up, never certified: container networks use underscores in
# them.
_SERVER_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST_NAME = 253  # octets without the root's dot (RFC 1035 2.3.4)
_LONGEST_SOCKET_PATH = 107  # octets: sun_path holds 108 with its final NUL (unix(7))
_MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291 section 2.5.5.2
_WEB_ADDRESS = re.compile(r"https?://[!-?A-~]+")  # printable, without "@"
_DEFAULT_PORTS = {"http": 80, "https": 443}
# They have no port of their own: each protocol over TCP has another one.
_WITHOUT_HTTP = frozenset({"tcp", "tls"})

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class Refused(ValueError):
    """A value of the configuration that cannot be used.

    `allowed` says what could stand there instead. Where a whole table is refused, `found` tells
    what is wrong with it, and `about` which of its keys the verdict rests on.
    """

    def __init__(self, allowed: str, *, found: str | None = None, about: tuple[str, ...] = ()) -> None:
        super().__init__(allowed)
        self.allowed = allowed
        self.found = found
        self.about = about


@dataclass(frozen=True, slots=True)
class Bind:
    """An address and TCP port to listen on; port 0 lets the system choose."""

    host: IPAddress
    port: int

    def __str__(self) -> str:
        return f"{_bracketed(str(self.host))}:{self.port}"

    def overlaps(self, other: "Bind") -> bool:
        """Whether a connection could be meant for both; port 0 is another port each time."""
        is_same_port = self.port == other.port != 0 and self.host.version == other.host.version
        return is_same_port and (self.host == other.host or self.host.is_unspecified or other.host.is_unspecified)


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where an upstream server listens: `host` and `port`, or the `path` of a Unix socket.

    `tcp` and `tls` are for listeners with protocol "tcp". A Unix socket has no TLS, and is for
    either protocol.
    """

    scheme: Literal["http", "https", "tcp", "tls", "unix"]
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.scheme == "unix" else f"{self.scheme}://{self.authority}"

    @property
    def has_tls(self) -> bool:
        """Whether the proxy speaks TLS with the server."""
        return self.scheme in ("https", "tls")

    @property
    def is_without_http(self) -> bool:
        """Whether the scheme says that the server does not speak HTTP."""
        return self.scheme in _WITHOUT_HTTP

    @property
    def authority(self) -> str:
        """Host of a request to the server itself (RFC 9110 7.2); localhost for a Unix socket."""
        if self.scheme == "unix":
            return "localhost"
        port = "" if self.port == _DEFAULT_PORTS.get(self.scheme) else f":{self.port}"
        return f"{_bracketed(self.host)}{port}"


def parse_bind(value: object) -> Bind:
    if isinstance(value, Bind):
        return value
    allowed = 'an address and a port, such as "0.0.0.0:443" or "[::]:443"'
    if not isinstance(value, str):
        raise Refused(allowed)
    host, colon, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    address = parse_ip(host[1:-1] if bracketed else host)
    if not colon or address is None or bracketed != (address.version == 6):
        raise Refused(f"{allowed}; a name is not resolved here")
    number = _port(port)
    if number is None:
        raise Refused("a port from 0 to 65535 (0 lets the system choose) behind the address")
    return Bind(address, number)


def parse_server(value: object) -> ServerAddress:
    """Parse `http://host[:port]`, `https://host[:port]`, `tcp://host:port`, `tls://host:port` or
    `unix:/path`.
    """
    if isinstance(value, ServerAddress):
        return value
    if not isinstance(value, str):
        raise Refused(_SERVER_ALLOWED)
    if value.startswith("unix:"):
        return _unix_server(value.removeprefix("unix:"))
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise Refused(_SERVER_ALLOWED) from None
    host = _server_host(url.hostname or "")
    scheme = _SCHEMES.get(url.scheme)
    if scheme is None or host is None or url.netloc.endswith(":") or port == 0:
        raise Refused(_SERVER_ALLOWED)
    if not _is_bare(url, value):
        raise Refused("scheme, host and port only, no user name, path or query: a request keeps its own target")
    if port is None and scheme in _WITHOUT_HTTP:
        raise Refused(f'a port behind the host, such as "{scheme}://{_bracketed(host)}:6667"')
    return ServerAddress(scheme, host, port or _DEFAULT_PORTS[scheme])


_SERVER_ALLOWED = (
    'an address such as "http://127.0.0.1:8000", "https://chat.internal" or "unix:/run/chat.sock", '
    'for a listener with protocol "tcp" also "tcp://127.0.0.1:6667" or "tls://irc.internal:6697"'
)
_SCHEMES: dict[str, Literal["http", "https", "tcp", "tls"]] = {
    "http": "http",
    "https": "https",
    "tcp": "tcp",
    "tls": "tls",
}


def parse_web_address(value: str) -> str:
    """Read the address of a document, which a client of HTTP and a certificate can have."""
    try:
        url = urlsplit(value)
        if _WEB_ADDRESS.fullmatch(value) and url.hostname and url.port != 0:
            return value
    except ValueError:
        pass  # a port or an IPv6 address that is none
    raise Refused("an address in ASCII that begins with https:// or http://, without user and password")


def parse_network(value: object) -> IPNetwork:
    """Parse `10.0.0.0/8`, `2001:db8::/32` or a single address, none of them IPv4-mapped."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    allowed = 'a network such as "10.0.0.0/8", or one address'
    if not isinstance(value, str) or "%" in value:
        raise Refused(allowed)
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise Refused(allowed) from None
    address = parse_ip(value.partition("/")[0])
    if address != network.network_address:
        raise Refused(f'a network without host bits: "{network}", or the one address "{address}"')
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        # a client is compared by its IPv4 address: this network would never have one
        mapped = IPv4Address(int(network.network_address) & 0xFFFFFFFF)
        raise Refused(f'the same network as IPv4: "{IPv4Network((mapped, network.prefixlen - _MAPPED.prefixlen))}"')
    return network


def parse_server_name(value: object) -> str:
    """Parse a name that a certificate is asked for: `chat.example.org`, `*.chat.example.org` or an
    IP address.

    The answer is in the form in which names are compared: lower case, A-labels, an IPv6 address
    compressed and without brackets.
    """
    if not isinstance(value, str):
        raise Refused('a DNS name such as "chat.example.org" or "*.chat.example.org", or an IP address')
    address = parse_ip(value)
    if address is not None:
        return str(address)
    suffix = value.removeprefix("*.").lower()
    _require_host_name(suffix)
    return f"*.{suffix}" if value.startswith("*.") else suffix


def parse_exact_name(value: object) -> str:
    """Parse a server name without a wildcard."""
    name = parse_server_name(value)
    if name.startswith("*."):
        raise Refused("one exact name, without a wildcard")
    return name


def name_matches(pattern: str, name: str) -> bool:
    """Whether a parsed server name covers `name`: equal, or its wildcard stands for exactly one
    label (RFC 9525 6.3).
    """
    return pattern in (name, wildcard_of(name))


def wildcard_of(name: str) -> str:
    """The wildcard that covers a parsed server name."""
    return f"*.{name.partition('.')[2]}"


def is_covered(host: str, names: Container[str]) -> bool:
    """Whether one of parsed server names covers `host` (lower case, without port); for many names,
    see `name_matches`.
    """
    return host in names or wildcard_of(host) in names


def parse_ip(text: str) -> IPAddress | None:
    """Answer the address that `text` is, without brackets or zone, or None."""
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether a host, as an address has it, is this machine."""
    address = parse_ip(host.strip("[]"))
    return host == "localhost" if address is None else address.is_loopback


def _require_host_name(name: str) -> None:
    if not name.isascii():
        raise Refused(f'the A-label form of the name: "{_a_labels(name)}" if this is what is meant')
    if name.endswith("."):
        raise Refused(f'the name without its final dot: "{name.rstrip(".")}"')
    if "*" in name:
        raise Refused('an exact name, or one "*." in front that stands for one label')
    if name.startswith("[") or ":" in name or "/" in name:
        raise Refused("the name alone: no scheme, port, path or brackets")
    labels = name.split(".")
    if len(name) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise Refused(
            "a DNS name: labels of letters, digits and inner hyphens, 63 octets each and 253 together at most"
        )
    if labels[-1].isdigit():
        raise Refused("a DNS name, whose last label is not a number, or a complete IP address")


def _a_labels(name: str) -> str:
    """Convert U-labels to A-labels (RFC 5891 4.4), without the checks of a registry: a proposal,
    never used as a name.
    """
    labels = unicodedata.normalize("NFC", name.lower()).split(".")
    return ".".join(label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in labels)


def _unix_server(path: str) -> ServerAddress:
    if not path.startswith("/") or path.startswith("//") or "\0" in path or len(path.encode()) > _LONGEST_SOCKET_PATH:
        raise Refused(
            f'"unix:" and an absolute path of at most {_LONGEST_SOCKET_PATH} octets, such as "unix:/run/chat.sock"'
        )
    return ServerAddress("unix", path=path)


def _server_host(host: str) -> str | None:
    address = parse_ip(host)
    if address is not None:
        return str(address)
    is_name = len(host) <= _LONGEST_NAME and all(map(_SERVER_LABEL.fullmatch, host.split(".")))
    return host if is_name and not host.rpartition(".")[2].isdigit() else None


def _is_bare(url: SplitResult, text: str) -> bool:
    # urlsplit silently drops tabs and newlines and does not tell an empty query from none: the text
    # itself must end with the host.
    return "@" not in url.netloc and text.lower() == f"{url.scheme}://{url.netloc}".lower()


def _port(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= 5
    return int(text) if is_number and int(text) <= 65_535 else None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
