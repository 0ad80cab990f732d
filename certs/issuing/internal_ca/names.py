"""Which names an authority may certify, and how that is written into its certificate (RFC 5280
4.2.1.10). Pure.
"""

from collections.abc import Iterable
from ipaddress import ip_network

from cryptography import x509

from config.values.addresses import parse_ip

# A type of name of which nothing is permitted or excluded would be permitted as a whole.
_ALL_ADDRESSES = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def is_permitted(name: str, permitted: Iterable[str]) -> bool:
    """Whether a name is one of `permitted`, or below one of the DNS names in it; a wildcard there
    stands for all below it.
    """
    subtrees = tuple(permitted)
    if not subtrees:
        return True
    if parse_ip(name) is not None:
        return name in subtrees
    host = name.removeprefix("*.")
    return any(host == subtree or host.endswith(f".{subtree}") for subtree in map(_subtree, subtrees))


def name_constraints(permitted: Iterable[str]) -> x509.NameConstraints | None:
    """The extension for an authority of these names, None where it may certify all."""
    names = tuple(dict.fromkeys(map(_subtree, permitted)))
    if not names:
        return None
    allowed: list[x509.GeneralName] = []
    excluded: list[x509.GeneralName] = []
    for name in names:
        address = parse_ip(name)
        allowed.append(x509.DNSName(name) if address is None else x509.IPAddress(ip_network(address)))
    if not any(isinstance(one, x509.IPAddress) for one in allowed):
        excluded += [x509.IPAddress(network) for network in _ALL_ADDRESSES]
    if not any(isinstance(one, x509.DNSName) for one in allowed):
        excluded.append(x509.DNSName(""))
    return x509.NameConstraints(allowed, excluded or None)


def _subtree(name: str) -> str:
    return name.removeprefix("*.")
