"""The figures of a scrape that the history keeps, and what has happened between two scrapes. Pure.

A series has a name of two parts, such as `requests/2xx`: what is counted, and which of it. Second
parts are names of the configuration, of the code or of OpenSSL, as the labels of the metrics are.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from proxy.figures.histogram import HANDSHAKE_SECONDS, LAG_SECONDS, REQUEST_SECONDS, SIGNING_SECONDS, Bounds
from proxy.figures.snapshot import Row, Rows, rows_of
from proxy.observe.scrape import Scrape

Counts = Sequence[int]

_REFUSED: Final = "refused"
_SHARES: Final = {"p50": 0.5, "p99": 0.99}
# A configuration may name more; each of them is a series for a day.
_MOST_TOKENS: Final = 8


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram: the upper bounds of its buckets, and their counts. The last has no bound."""

    bounds: Bounds
    counts: Counts

    def since(self, earlier: "Distribution | None") -> "Distribution":
        """The values that came after `earlier`."""
        if earlier is None:
            return self
        counts = [max(0, one - other) for one, other in zip(self.counts, earlier.counts, strict=True)]
        return Distribution(self.bounds, counts)

    def quantile(self, share: float) -> float | None:
        """About the value that `share` (0 to 1) of the values do not exceed. None without values.

        Within a bucket the values are taken as evenly spread. Above the last bound it is that
        bound.
        """
        wanted = share * sum(self.counts)
        seen = 0
        if not wanted:
            return None
        for (low, high), count in zip(pairwise((0.0, *self.bounds)), self.counts, strict=False):
            if count and seen + count >= wanted:
                return low + (high - low) * (wanted - seen) / count
            seen += count
        return self.bounds[-1]


@dataclass(frozen=True, slots=True)
class HistoryReading:
    """What a scrape tells. `at` is in UNIX seconds, `counts` only grow, `levels` rise and fall."""

    at: float
    counts: Mapping[str, float]
    levels: Mapping[str, float]
    distributions: Mapping[str, Distribution]
    failures: Mapping[tuple[str, str], int]
    """How often a listener had a reason to refuse or to give up."""


def reading(scrape: Scrape) -> HistoryReading:
    """Take the figures of all workers together, those that have ended included."""

    def rows(family: str) -> Iterator[Row]:
        return (row for snapshot in scrape.snapshots for row in rows_of(snapshot, family))

    handshakes = list(rows("handshakes"))
    finished = [row for row in handshakes if row["outcome"] != _REFUSED]
    resumed = sum(row["count"] for row in finished if row["resumed"] == "true")
    counts: dict[str, float] = {
        **_sums("requests", rows("listener_requests"), "status"),
        **_sums("handshakes", handshakes, "outcome"),
        **_sums("groups", finished, "group"),
        "sessions/resumed": resumed,
        "sessions/full": sum(row["count"] for row in finished) - resumed,
        **_sums("protocols", rows("protocol_requests"), "protocol"),
        **_sums("protocols", rows("relays"), "kind", "connections"),
        "protocols/websocket": sum(row["count"] for row in rows("websockets")),
        "processes/cpu": sum(worker.cpu_seconds for worker in scrape.workers),
        **_bytes(rows),
    }
    failures: Counter[tuple[str, str]] = Counter()
    for row in rows("failures"):
        failures[row["listener"], row["reason"]] += row["count"]
    return HistoryReading(
        scrape.now,
        counts,
        {
            "open/connections": sum(row["open"] for row in rows("connections")),
            "open/websockets": sum(row["open"] for row in rows("websockets")),
            "open/relays": sum(row["open"] for row in rows("relays")),
            "processes/memory": sum(worker.rss_bytes for worker in scrape.workers),
        },
        dict(_distributions(rows("request_seconds"), rows("handshake_seconds"), rows("loop_lag")))
        | dict(_of_tokens(list(rows("token_signing_seconds")))),
        failures,
    )


def _bytes(rows: Callable[[str], Iterator[Row]]) -> dict[str, float]:
    """Bytes of clients: bodies, WebSockets with their frames, relays; no heads, no TLS."""
    bodies = list(rows("bytes"))
    sockets = list(rows("websocket_traffic"))
    relays = list(rows("relay_bytes"))

    def relayed(direction: str) -> int:
        return sum(row["bytes"] for row in (*sockets, *relays) if row["direction"] == direction)

    return {
        "bytes/from_client": sum(row["request"] for row in bodies) + relayed("from_client"),
        "bytes/to_client": sum(row["response"] for row in bodies) + relayed("to_client"),
    }


def _sums(prefix: str, rows: Iterable[Row], label: str, value: str = "count") -> Counter[str]:
    found: Counter[str] = Counter()
    for row in rows:
        found[f"{prefix}/{row[label]}"] += row[value]
    return found


def _distributions(*families: Iterable[Row]) -> Iterator[tuple[str, Distribution]]:
    kinds = ("latency", REQUEST_SECONDS), ("handshake", HANDSHAKE_SECONDS), ("lag", LAG_SECONDS)
    for (name, bounds), rows in zip(kinds, families, strict=True):
        yield name, Distribution(bounds, added(bounds, rows))


def _of_tokens(rows: Rows) -> Iterator[tuple[str, Distribution]]:
    for token in sorted({row["token"] for row in rows})[:_MOST_TOKENS]:
        counts = added(SIGNING_SECONDS, [row for row in rows if row["token"] == token])
        yield f"signing {token}", Distribution(SIGNING_SECONDS, counts)


def added(bounds: Bounds, rows: Iterable[Row]) -> Counts:
    """Add the buckets of histograms with these bounds."""
    counts = [0] * (len(bounds) + 1)
    for row in rows:
        counts = [one + other for one, other in zip(counts, row["counts"], strict=True)]
    return counts


def sample(earlier: HistoryReading, later: HistoryReading) -> dict[str, float]:
    """What has happened between two readings, by series.

    Counts become rates per second, distributions become `/p50` and `/p99` in seconds, levels are
    those of the later reading. What did not happen has no entry. The caller sees to it that time
    has passed.
    """
    seconds = later.at - earlier.at
    # a worker that has not answered yet may have taken its counts with it
    grown = {name: max(0.0, count - earlier.counts.get(name, 0.0)) for name, count in later.counts.items()}
    found = {name: count / seconds for name, count in grown.items() if count}
    found |= {name: float(level) for name, level in later.levels.items()}
    for name, distribution in later.distributions.items():
        between = distribution.since(earlier.distributions.get(name))
        for part, share in _SHARES.items():
            value = between.quantile(share)
            if value is not None:
                found[f"{name}/{part}"] = value
    return found
