"""Which clients the policy `require` would refuse, by network and by user agent: whom to talk to before it is switched on. Pure.

One connection counts once. Networks and user agents are never labels of metrics, for clients choose them: both are kept in a
summary of bounded size, whose errors are known.
"""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

from proxy.figures.heavy_hitters import HeavyHitters, merge_heavy_hitters

# Enough for a report that a person reads to the end; of 64 every client with more than 1.6 % of the connections is listed.
_KEPT: Final = 64
# A browser's has 110 to 130 characters, and what tells it from others stands first.
_SHOWN_CHARACTERS: Final = 120
_NETWORK_BITS: Final = {4: 24, 6: 48}
_UNKNOWN: Final = "-"


class BreakingClients:
    """What was seen of clients without a quantum-safe group of ours."""

    __slots__ = ("_agents", "_networks")

    def __init__(self) -> None:
        """Nobody was seen."""
        self._networks = HeavyHitters(_KEPT)
        self._agents = HeavyHitters(_KEPT)

    def add(self, address: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Count a connection by its address and the headers of its first request."""
        self._networks.add(client_network(address))
        self._agents.add(user_agent(headers))

    def snapshot(self) -> dict[str, Any]:
        """Both summaries, for JSON."""
        return {"networks": self._networks.snapshot(), "agents": self._agents.snapshot()}


def merge_breaking(snapshots: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What several workers saw, together; at least one."""
    return {kind: merge_heavy_hitters([one[kind] for one in snapshots]) for kind in ("networks", "agents")}


def client_network(address: str) -> str:
    """The /24 or /48 that an address belongs to: what a site or a provider's customer has."""
    parsed: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    # by its text: as a number, ::1 would be taken for an IPv4 address
    return str(ip_network((str(parsed), _NETWORK_BITS[parsed.version]), strict=False))


def user_agent(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The first `User-Agent`, cut, in printable ASCII, so that it can be shown on a terminal."""
    for name, value in headers:
        if name.lower() == b"user-agent":
            shown = value[:_SHOWN_CHARACTERS].decode("ascii", "replace")
            return "".join(one if " " <= one <= "~" else "?" for one in shown) or _UNKNOWN
    return _UNKNOWN
