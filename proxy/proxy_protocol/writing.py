"""Writes the PROXY header of a connection to a server. Pure. Specification, sections 2.1 and 2.2.

Version 2 carries what version 1 has no place for: how the client's TLS was negotiated, and the name
that it asked for. All of it is below 1 KiB, less than a segment of TCP: "the sender must ensure
that all the protocol header is sent at once".
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, assert_never

from config.tables.upstream import ProxyHeaderVersion
from proxy.proxy_protocol.crc32c import crc32c
from proxy.proxy_protocol.header import Endpoints
from proxy.proxy_protocol.tlvs import Tlv
from proxy.proxy_protocol.version2 import SIGNATURE

_LOCAL: Final = 0x20  # version 2, and the command
_PROXY: Final = 0x21
_UNSPEC: Final = 0x00
_TCP_IPV4: Final = 0x11
_TCP_IPV6: Final = 0x21
_CLIENT_SSL: Final = 0x01
_CERTIFICATE_NOW: Final = 0x02
_CERTIFICATE_IN_SESSION: Final = 0x04
_VERIFIED: Final = bytes(4)
_NOT_VERIFIED: Final = b"\0\0\0\1"  # "non-zero otherwise", also without a certificate
_LONGEST_NAME: Final = 64  # characters of a common name, RFC 5280 appendix A.1: ub-common-name


@dataclass(frozen=True, slots=True)
class DescribedTls:
    """What a header of version 2 says about the TLS connection of a client."""

    version: str
    cipher: str
    group: str
    """Of the key exchange, by its name at IANA; empty if there was none."""
    is_resumed: bool = False
    has_certificate: bool = False
    """Whether the client has shown a verified certificate, now or when the session began."""
    common_name: str = ""
    """Of the subject of that certificate."""


@dataclass(frozen=True, slots=True)
class DescribedConnection:
    """The connection of a client, as PROXY headers describe it to servers."""

    endpoints: Endpoints | None
    """Both ends; None if they are not those of TCP."""
    server_name: str = ""
    """What the client asked for; empty if it named none."""
    protocol: str = ""
    """What the client speaks, by its name in ALPN."""
    tls: DescribedTls | None = None
    """What was negotiated; None for a connection whose TLS we do not end."""
    unique_id: bytes = b""
    """By which a balancer in front of us knows it."""


def proxy_header(version: ProxyHeaderVersion, told: DescribedConnection) -> bytes:
    """The header for a connection that is made for a client."""
    match version:
        case ProxyHeaderVersion.TEXT:
            return _line(told.endpoints)
        case ProxyHeaderVersion.BINARY:
            return _binary(_PROXY, told.endpoints, _extensions(told))
        case _:  # pragma: no cover  mypy proves it
            assert_never(version)


def own_header(version: ProxyHeaderVersion, endpoints: Endpoints | None) -> bytes:
    """The header for a connection of our own, such as a health check.

    Version 1 has no such command. There "it SHOULD build a valid PROXY line which it will fill with
    a getsockname()/getpeername() pair", as some servers refuse UNKNOWN: these are `endpoints`.
    """
    return _line(endpoints) if version is ProxyHeaderVersion.TEXT else _binary(_LOCAL, None, b"")


def _line(endpoints: Endpoints | None) -> bytes:
    if endpoints is None:
        return b"PROXY UNKNOWN\r\n"
    family = "TCP4"
    source = endpoints.source
    destination = endpoints.destination
    if _has_ipv6(endpoints):
        family, source, destination = "TCP6", _as_ipv6(source), _as_ipv6(destination)
    line = f"PROXY {family} {source} {destination} {endpoints.source_port} {endpoints.destination_port}\r\n"
    return line.encode("ascii")


def _has_ipv6(endpoints: Endpoints) -> bool:
    return ":" in endpoints.source or ":" in endpoints.destination


def _as_ipv6(address: str) -> str:
    # a client behind another balancer may have another family than we: one header has one family
    return address if ":" in address else f"::ffff:{address}"


def _binary(command: int, endpoints: Endpoints | None, extensions: bytes) -> bytes:
    family = _UNSPEC
    addresses = b""
    if endpoints is not None:
        family = _TCP_IPV4
        source = endpoints.source
        destination = endpoints.destination
        if _has_ipv6(endpoints):
            family, source, destination = _TCP_IPV6, _as_ipv6(source), _as_ipv6(destination)
        addresses = b"%b%b%b%b" % (
            ip_address(source).packed,
            ip_address(destination).packed,
            endpoints.source_port.to_bytes(2, "big"),
            endpoints.destination_port.to_bytes(2, "big"),
        )
    block = addresses + extensions + _tlv(Tlv.CRC32C, bytes(4))
    header = b"%b%c%c%b%b" % (SIGNATURE, command, family, len(block).to_bytes(2, "big"), block)
    return header[:-4] + crc32c(header).to_bytes(4, "big")


def _extensions(told: DescribedConnection) -> bytes:
    return b"%b%b%b%b" % (
        _tlv(Tlv.ALPN, told.protocol.encode("ascii")),
        _tlv(Tlv.AUTHORITY, told.server_name.encode("ascii")),
        _tlv(Tlv.UNIQUE_ID, told.unique_id),
        b"" if told.tls is None else _tlv(Tlv.SSL, _ssl(told.tls)),
    )


def _ssl(tls: DescribedTls) -> bytes:
    client = _CLIENT_SSL
    verify = _NOT_VERIFIED
    name = b""
    if tls.has_certificate:
        client |= _CERTIFICATE_IN_SESSION
        if not tls.is_resumed:
            client |= _CERTIFICATE_NOW
        verify = _VERIFIED
        name = tls.common_name[:_LONGEST_NAME].encode()
    return b"%c%b%b%b%b%b" % (
        client,
        verify,
        _tlv(Tlv.SSL_VERSION, tls.version.encode("ascii")),
        _tlv(Tlv.SSL_CN, name),
        _tlv(Tlv.SSL_CIPHER, tls.cipher.encode("ascii")),
        _tlv(Tlv.SSL_GROUP, tls.group.encode("ascii")),
    )


def _tlv(kind: Tlv, value: bytes) -> bytes:
    """Write one. An empty value gives no TLV: there is nothing to say."""
    return b"%c%b%b" % (kind.value, len(value).to_bytes(2, "big"), value) if value else b""
