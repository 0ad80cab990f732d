"""The clients with most requests lately, in bounded memory. Pure.

A client counts by its network: an IPv4 address, a /64 of IPv6. `Counters` adds one request in
sixteen, so the figures are shares, and a flood of invented addresses costs little. A share of more
than 1.6 percent is always listed (`HeavyHitters`).
"""

from collections.abc import Sequence
from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Final

from proxy.figures.heavy_hitters import HeavyHitters, merge_heavy_hitters
from proxy.figures.snapshot import Recent

if TYPE_CHECKING:
    from proxy.api.overview import BusyRow

KEPT: Final = 64
"""The capacity of a summary."""
EVERY: Final = 16
"""One request of this number is sampled."""
WINDOW_SECONDS: Final = 150.0
"""The figures are of the last two such windows, the second of which is not over yet."""
_IPV6_BITS: Final = 64


class BusiestClients:
    """Counts the requests of a worker by client."""

    def __init__(self) -> None:
        self._since = 0.0
        self._until = 0.0
        self._now = HeavyHitters(KEPT)
        self._before = HeavyHitters(KEPT)

    def add(self, client: str, time: float) -> None:
        """Count a request of this address. `time` is in UNIX seconds."""
        self._move(time)
        self._until = time
        self._now.add(client if ":" not in client else _network(client))

    def snapshot(self) -> Recent:
        """The summary of both windows, for JSON; `until` is the time of its latest request."""
        return {**merge_heavy_hitters([self._before.snapshot(), self._now.snapshot()]), "until": self._until}

    def _move(self, time: float) -> None:
        # the clock of the machine may have been set back
        if 0.0 <= time - self._since < WINDOW_SECONDS:
            return
        is_next = WINDOW_SECONDS <= time - self._since < 2 * WINDOW_SECONDS
        self._before = self._now if is_next else HeavyHitters(KEPT)
        self._now = HeavyHitters(KEPT)
        self._since = time


def busiest(snapshots: Sequence[Recent], now: float, most: int) -> "list[BusyRow]":
    """The clients with most requests of all workers lately: `client`, and its `share` of all
    requests. `now` is in UNIX seconds."""
    recent = [one for one in snapshots if now - one["until"] < 2 * WINDOW_SECONDS]
    if not recent:
        return []
    merged = merge_heavy_hitters(recent)
    return [{"client": key, "share": count / merged["total"]} for key, count, _ in merged["entries"][:most]]


def _network(address: str) -> str:
    return str(IPv6Network((address.partition("%")[0], _IPV6_BITS), strict=False))
