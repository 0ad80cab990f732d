"""Which addresses count as one client, and whether an address is in a list of networks."""

import socket
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Networks = tuple[IPv4Network | IPv6Network, ...]

EXEMPT: Final = b""
"""Stands for the network of a client to which the limits on single clients do not apply."""

_PREFIX_BYTES: Final = 8
# Compiled code looks up what a module has by its name, each time.
_octets: Final = socket.inet_pton
_IPV4: Final = socket.AF_INET
_IPV6: Final = socket.AF_INET6
_MAPPED_PREFIX: Final = bytes(10) + b"\xff\xff"


def network_of(address: str) -> bytes:
    """The octets that count as one client: all four of IPv4, a /64 of IPv6.

    A single host has a whole /64 to choose addresses from. An IPv4-mapped IPv6 address (RFC 4291
    section 2.5.5.2), as a socket for both families shows it, counts as IPv4.
    """
    if ":" not in address:
        return _octets(_IPV4, address)
    octets = _octets(_IPV6, address)
    return octets[12:] if octets.startswith(_MAPPED_PREFIX) else octets[:_PREFIX_BYTES]


def is_in(peer: str, networks: Networks) -> bool:
    """Whether an address is in one of the networks."""
    address = ip_address(peer)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any((mapped or address) in network for network in networks)
