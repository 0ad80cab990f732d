"""Which clients the policy `require` would refuse, by listener: under which name they come, from
which network, and with which user agent. Pure.

An operator reads it before switching the policy on. One connection counts once. Names, networks and
user agents are never labels of metrics, because clients choose them: each is kept in a summary of
bounded size with a known error. Each day has summaries of its own, so that the parent can keep days
apart (`adoption`). A worker remembers the latest two days: the parent reads more often than that.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeVar

from proxy.figures.heavy_hitters import HeavyHitters, merge_heavy_hitters
from proxy.figures.snapshot import ListenerCountRow, Summaries

KINDS: Final = ("names", "networks", "agents")
"""The summaries of a listener on a day."""
KEPT: Final = 64
"""The capacity of a summary: short enough to read to the end. Every client with more than 1.6 % of
the connections is listed."""
# The day that a worker counts, and the day before until the parent has read the end of it.
_KEPT_DAYS: Final = 2
# The user agent of a browser has 110 to 130 characters; the first ones distinguish it.
_SHOWN_CHARACTERS: Final = 120
_NETWORK_BITS: Final = {4: 24, 6: 48}
_UNKNOWN: Final = "-"
_DAY: Final = 86_400
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()

OfDay = TypeVar("OfDay")
Days = dict[str, dict[str, Summaries]]


def _one_day() -> str:
    return "1970-01-01"


class BreakingClients:
    """Counts clients that offer none of our quantum-safe groups."""

    __slots__ = ("_connections", "_days", "_today")

    def __init__(self, today: Callable[[], str] = _one_day) -> None:
        """`today` is the day in UTC, as ISO 8601 writes it."""
        self._today = today
        self._days: dict[str, dict[str, _Summaries]] = {}
        self._connections: Counter[str] = Counter()

    def add(self, listener: str, name: str | None, address: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Count a connection by name, address, and the headers of its first request."""
        day = self._today()
        listeners = self._days.get(day)
        if listeners is None:
            listeners = self._days[day] = {}
            self._days = latest(self._days)
        summaries = listeners.get(listener)
        if summaries is None:
            summaries = listeners[listener] = _Summaries()
        self._connections[listener] += 1
        summaries.names.add(_printable(name or ""))
        summaries.networks.add(client_network(address))
        summaries.agents.add(user_agent(headers))

    def rows(self) -> list[ListenerCountRow]:
        return [{"listener": name, "count": count} for name, count in sorted(self._connections.items())]

    def snapshot(self) -> Days:
        return {
            day: {listener: one.snapshot() for listener, one in listeners.items()}
            for day, listeners in self._days.items()
        }


class _Summaries:
    """Those of one listener on one day."""

    __slots__ = KINDS

    def __init__(self) -> None:
        self.names = HeavyHitters(KEPT)
        self.networks = HeavyHitters(KEPT)
        self.agents = HeavyHitters(KEPT)

    def snapshot(self) -> Summaries:
        return {"names": self.names.snapshot(), "networks": self.networks.snapshot(), "agents": self.agents.snapshot()}


def merge_breaking(snapshots: Sequence[Days]) -> Days:
    """Merge the snapshots of workers. The latest two days of all are left."""
    days = latest(dict.fromkeys(day for one in snapshots for day in one))
    return {day: merge_listeners([one[day] for one in snapshots if day in one]) for day in days}


def merge_listeners(found: Sequence[Mapping[str, Summaries]]) -> dict[str, Summaries]:
    listeners = dict.fromkeys(listener for one in found for listener in one)
    return {listener: merge_kinds([one[listener] for one in found if listener in one]) for listener in listeners}


def merge_kinds(found: Sequence[Summaries]) -> Summaries:
    """Merge summaries by kind, at least one of each."""
    return {
        "names": merge_heavy_hitters([one["names"] for one in found]),
        "networks": merge_heavy_hitters([one["networks"] for one in found]),
        "agents": merge_heavy_hitters([one["agents"] for one in found]),
    }


def latest(days: Mapping[str, OfDay]) -> dict[str, OfDay]:
    """The days that a worker still remembers."""
    return {day: days[day] for day in sorted(days)[-_KEPT_DAYS:]}


def day_of(now: float) -> str:
    """The day in UTC of a moment in UNIX seconds, as ISO 8601 writes it."""
    return date.fromordinal(_FIRST_DAY + int(now // _DAY)).isoformat()


def client_network(address: str) -> str:
    """Return the /24 or /48 network of an address: the size that a provider gives a site."""
    parsed: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    # by its text: ip_network(1) would be 0.0.0.1, not ::1
    return str(ip_network((str(parsed), _NETWORK_BITS[parsed.version]), strict=False))


def user_agent(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The first `User-Agent`, shortened, in printable ASCII that a terminal can show."""
    for name, value in headers:
        if name.lower() == b"user-agent":
            return _printable(value[:_SHOWN_CHARACTERS].decode("ascii", "replace"))
    return _UNKNOWN


def _printable(text: str) -> str:
    return "".join(one if " " <= one <= "~" else "?" for one in text[:_SHOWN_CHARACTERS]) or _UNKNOWN
