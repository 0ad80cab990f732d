"""How requests went, by route and by version of HTTP, for the status document. Pure."""

from collections.abc import Mapping, Sequence
from math import isinf
from typing import Final

from proxy.api.status import ProtocolRow, RouteRow
from proxy.figures.histogram import REQUEST_SECONDS, quantile
from proxy.figures.snapshot import Rows

_HALF = 0.5
_LATE = 0.99
_LAST_BOUND: Final = REQUEST_SECONDS[-1]


def route_figures(rows: Mapping[str, Rows]) -> list[RouteRow]:
    """One entry for each route that had a request; `-` are the requests without a route.

    `p50_seconds` and `p99_seconds` are upper bounds: half of the requests, or 99 of 100, were not
    slower. They are None without a request, and 30 also stands for more. WebSockets do not count.
    """
    statuses: dict[str, dict[str, int]] = {}
    for row in rows.get("requests", ()):
        statuses.setdefault(row["route"], {})[row["status"]] = row["count"]
    seconds = {row["route"]: row["counts"] for row in rows.get("request_seconds", ())}
    websockets = {row["route"]: row["open"] for row in rows.get("websockets", ())}
    return [
        {
            "route": route,
            "requests": counts,
            "websockets_open": websockets.get(route, 0),
            "p50_seconds": _bounded(seconds.get(route, ()), _HALF),
            "p99_seconds": _bounded(seconds.get(route, ()), _LATE),
        }
        for route, counts in sorted(statuses.items())
    ]


def protocol_figures(rows: Mapping[str, Rows]) -> list[ProtocolRow]:
    """One entry for each version of HTTP: how many requests, and how long they took."""
    return [
        {
            "protocol": row["protocol"],
            "requests": sum(row["counts"]),
            "p50_seconds": _bounded(row["counts"], _HALF),
            "p99_seconds": _bounded(row["counts"], _LATE),
        }
        for row in rows.get("protocol_seconds", ())
    ]


def _bounded(counts: Sequence[int], share: float) -> float | None:
    found = quantile(REQUEST_SECONDS, counts, share)
    return _LAST_BOUND if found is not None and isinf(found) else found
