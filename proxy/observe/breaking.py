"""Which clients the policy `require` would refuse, by network and by user agent. Pure.

An operator reads it before switching the policy on. One connection counts once. Networks and user
agents are never labels of metrics, because clients choose them: both are kept in a summary of
bounded size with a known error.
"""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

from proxy.figures.heavy_hitters import HeavyHitters, merge_heavy_hitters

# Short enough to read to the end. With 64 entries every client with more than 1.6 % of the
# connections is listed.
_KEPT: Final = 64
# The user agent of a browser has 110 to 130 characters; the first ones distinguish it.
_SHOWN_CHARACTERS: Final = 120
_NETWORK_BITS: Final = {4: 24, 6: 48}
_UNKNOWN: Final = "-"


class BreakingClients:
    """Counts clients that offer none of our quantum-safe groups."""

    __slots__ = ("_agents", "_networks")

    def __init__(self) -> None:
        """The counts begin empty."""
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
    """Merge the snapshots of workers, at least one."""
    return {kind: merge_heavy_hitters([one[kind] for one in snapshots]) for kind in ("networks", "agents")}


def client_network(address: str) -> str:
    """Return the /24 or /48 network of an address: the size that a site or a customer of a provider
    has."""
    parsed: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    # by its text: ip_network(1) would be 0.0.0.1, not ::1
    return str(ip_network((str(parsed), _NETWORK_BITS[parsed.version]), strict=False))


def user_agent(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the first `User-Agent`, shortened, in printable ASCII, so that a terminal can show
    it."""
    for name, value in headers:
        if name.lower() == b"user-agent":
            shown = value[:_SHOWN_CHARACTERS].decode("ascii", "replace")
            return "".join(one if " " <= one <= "~" else "?" for one in shown) or _UNKNOWN
    return _UNKNOWN
