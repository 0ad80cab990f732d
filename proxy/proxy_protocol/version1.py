"""Reads version 1 of the PROXY protocol, one line of text. Pure. Specification, section 2.1."""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from proxy.proxy_protocol.header import Endpoints, HeaderFault, ProxyHeader, ProxyHeaderError, Relayed

LONGEST_LINE: Final = 107
"""Bytes with CRLF: "If the CRLF sequence is not found in the first 107 characters, the receiver
should declare the line invalid"."""
LINE_START: Final = b"PROXY "

# "Heading zeroes are not permitted", in addresses and in ports.
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = rf"({_OCTET}(?:\.{_OCTET}){{3}})"
_IPV6: Final = r"([0-9A-Fa-f:.]{2,45})"
_PORT: Final = r"(0|[1-9][0-9]{0,4})"
_LINE: Final = re.compile(rf"PROXY (?:TCP4 {_IPV4} {_IPV4}|TCP6 {_IPV6} {_IPV6}) {_PORT} {_PORT}", re.ASCII)
# "the receiver must ignore anything presented before the CRLF is found"; a control character in it
# is not part of a line of text.
_UNKNOWN: Final = re.compile(r"PROXY UNKNOWN(?: [ -~]*)?", re.ASCII)
_HIGHEST_PORT: Final = 65_535


def read_line(line: bytes) -> ProxyHeader:
    """Read a line, which comes without its CRLF. Raises `ProxyHeaderError`."""
    text = line.decode("latin-1")
    if _UNKNOWN.fullmatch(text):
        return ProxyHeader(Relayed.UNKNOWN)
    parts = _LINE.fullmatch(text)
    if parts is None:
        raise _malformed(text)
    source = parts[1]
    destination = parts[2]
    if source is None:
        source = _plain_address(parts[3], text)
        destination = _plain_address(parts[4], text)
    source_port = int(parts[5])
    destination_port = int(parts[6])
    if max(source_port, destination_port) > _HIGHEST_PORT:
        raise _malformed(text)
    return ProxyHeader(Relayed.CLIENT, Endpoints(source, source_port, destination, destination_port))


def shown_address(address: IPv6Address) -> str:
    """An address as text. An IPv4-mapped one (RFC 4291 section 2.5.5.2) becomes IPv4."""
    return str(address.ipv4_mapped or address)


def _plain_address(text: str, line: str) -> str:
    try:
        return shown_address(IPv6Address(text))
    except AddressValueError:
        raise _malformed(line) from None


def _malformed(text: str) -> ProxyHeaderError:
    # `ascii` leaves nothing in it that could end a line of the log
    allowed = '"PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT" or "PROXY UNKNOWN"'
    return ProxyHeaderError(HeaderFault.MALFORMED_LINE, ascii(text), allowed)
