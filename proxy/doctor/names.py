"""Whether the names of the identities lead to this machine, as the resolver here sees it."""

import errno
import socket
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from typing import Final

from certs.acme.client.deadline import Overdue
from config.schema import Config
from config.values.addresses import IPAddress, parse_ip
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge
from proxy.doctor.side_by_side import side_by_side

_NAMES: Final = Judge("names")
_SECONDS: Final = 4.0
_ADD_IT: Final = "Add an A or AAAA record with the address that clients reach this machine by."

Resolve = Callable[[str], Sequence[IPAddress]]
"""The addresses of a name. Raises `socket.gaierror`."""


def resolved(name: str) -> Sequence[IPAddress]:
    """Ask the resolver of this system. Raises `socket.gaierror`."""
    found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def is_of_this_machine(address: IPAddress) -> bool:
    """Whether this machine has the address: a socket can be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((str(address), 0))
        except OSError as error:
            return error.errno not in {errno.EADDRNOTAVAIL, errno.EINVAL}
    return True


def asked_names(config: Config) -> Sequence[str]:
    """Each DNS name of an identity once, a wildcard included."""
    names = dict.fromkeys(name for one in config.identity.values() for name in one.names)
    return [name for name in names if parse_ip(name) is None]


def name_findings(names: Sequence[str], resolve: Resolve, is_ours: Callable[[IPAddress], bool]) -> Iterator[Finding]:
    exact = [name for name in names if not name.startswith("*.")]
    for name in [name for name in names if name.startswith("*.")]:
        yield _NAMES.skipped(name, "a wildcard stands for any number of names")
    for name, answer in side_by_side(exact, resolve, _SECONDS):
        match answer:
            case Overdue():
                yield _NAMES.unknown(name, f"the resolver gave {answer}", "Check /etc/resolv.conf and its servers.")
            case socket.gaierror(errno=socket.EAI_AGAIN):
                yield _NAMES.unknown(name, "the resolver cannot answer now", "Check /etc/resolv.conf and its servers.")
            case Exception():
                text = "the resolver of this machine knows no address for it"
                yield _NAMES.warning(name, text, f"{_ADD_IT} If clients ask another DNS, ask that one: dig {name}.")
            case _:
                yield _of_addresses(name, answer, is_ours)


def _of_addresses(name: str, addresses: Sequence[IPAddress], is_ours: Callable[[IPAddress], bool]) -> Finding:
    ours = [str(one) for one in addresses if is_ours(one)]
    others = [str(one) for one in addresses if str(one) not in ours]
    if not others:
        return _NAMES.ok(name, f"{', '.join(ours)}, of this machine")
    if ours:
        found = f"it also points to {', '.join(others)}, which this machine does not have (it has {', '.join(ours)})"
        remedy = "Remove the record, if no other machine serves this name there."
    else:
        found = f"it points to {', '.join(others)}, which this machine does not have"
        remedy = f"Behind NAT or a load balancer that is right, if that address leads here. Else: {_ADD_IT}"
    return _NAMES.warning(name, found, remedy)


def _names(examined: Examined) -> Iterator[Finding]:
    yield from name_findings(asked_names(examined.loaded.config), resolved, is_of_this_machine)


NAMES: Final = (Checkup("names", Area.NETWORK, _names, seconds=20.0),)
