"""How the requests of each route went in the last minutes. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Final

from proxy.api.overview import RoutesSection, RouteSummary
from proxy.figures.histogram import REQUEST_SECONDS
from proxy.observe.history.reading import Distribution, added
from proxy.observe.scrape import Scrape

# The page shows those with most requests: no person reads a table of thousands.
MOST_ROUTES: Final = 50


@dataclass(slots=True)
class RouteReading:
    """The counts of one route. `statuses` are those of requests by class, such as `5xx`."""

    statuses: Counter[str] = field(default_factory=Counter)
    open: int = 0
    seconds: Distribution = field(default_factory=lambda: Distribution(REQUEST_SECONDS, added(REQUEST_SECONDS, ())))

    @property
    def requests(self) -> int:
        return self.statuses.total()


def route_readings(scrape: Scrape) -> dict[str, RouteReading]:
    """The counts of the routes with most requests. `-` are the requests without a route."""
    found: dict[str, RouteReading] = {}
    for snapshot in scrape.snapshots:
        for row in snapshot.get("requests", ()):
            found.setdefault(row["route"], RouteReading()).statuses[row["status"]] += row["count"]
    kept = dict(nlargest(MOST_ROUTES, sorted(found.items()), key=lambda one: one[1].requests))
    for snapshot in scrape.snapshots:
        for seconds in snapshot.get("request_seconds", ()):
            if (route := kept.get(seconds["route"])) is not None:
                counts = added(REQUEST_SECONDS, ({"counts": route.seconds.counts}, seconds))
                route.seconds = Distribution(REQUEST_SECONDS, counts)
        for websockets in snapshot.get("websockets", ()):
            if (route := kept.get(websockets["route"])) is not None:
                route.open += websockets["open"]
    return kept


def routes_since(
    oldest: tuple[float, Mapping[str, RouteReading]] | None, at: float, readings: Mapping[str, RouteReading]
) -> RoutesSection:
    """What has happened on each route since the oldest kept reading, as a document.

    `routes` have their requests of `seconds` by class, `total` since the start, latencies in
    seconds (None without a request), and open WebSockets. Without a kept reading `seconds` is None,
    and all counts are since the start.
    """
    before, earlier = oldest or (None, {})
    return {
        "seconds": None if before is None else round(at - before, 1),
        "most": MOST_ROUTES,
        "routes": [_document(name, one, earlier.get(name)) for name, one in sorted(readings.items())],
    }


def _document(name: str, now: RouteReading, before: RouteReading | None) -> RouteSummary:
    seconds = now.seconds.since(None if before is None else before.seconds)
    statuses = now.statuses - (Counter() if before is None else before.statuses)
    return {
        "route": name,
        "requests": dict(sorted(statuses.items())),
        "total": dict(sorted(now.statuses.items())),
        "p50": seconds.quantile(0.5),
        "p99": seconds.quantile(0.99),
        "websockets": now.open,
    }
