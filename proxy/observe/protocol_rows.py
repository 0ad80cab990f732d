"""Requests by version of HTTP, for the snapshot of the counters. Pure.

The others than those of HTTP/2 are HTTP/1.1. So a request of that is counted once.
"""

from collections.abc import Iterable
from typing import Any, Final

from proxy.figures.histogram import REQUEST_SECONDS, Histogram

# As `ClientRecord.protocol` has them.
_HTTP_1: Final = "http/1.1"
_HTTP_2: Final = "h2"


def protocol_requests(listeners: Iterable[tuple[str, int, int]]) -> list[dict[str, str | int]]:
    """How many requests there were. Takes a listener, all of its requests, and those of HTTP/2."""
    return [
        {"listener": name, "protocol": protocol, "count": count}
        for name, requests, http_2 in listeners
        for protocol, count in ((_HTTP_1, requests - http_2), (_HTTP_2, http_2))
    ]


def protocol_seconds(routes: Iterable[Histogram], http_2: Histogram) -> list[dict[str, Any]]:
    """How long requests took. `routes` have all of them, and `http_2` has those of HTTP/2."""
    http_1 = Histogram(REQUEST_SECONDS)
    for route in routes:
        http_1.counts = [one + other for one, other in zip(http_1.counts, route.counts, strict=True)]
        http_1.sum += route.sum
    http_1.counts = [one - other for one, other in zip(http_1.counts, http_2.counts, strict=True)]
    http_1.sum -= http_2.sum
    return [one.row(protocol=name) for name, one in ((_HTTP_1, http_1), (_HTTP_2, http_2)) if any(one.counts)]
