"""Requests by the first digit of their status, and by their version of HTTP. Pure."""

from collections.abc import Iterable
from typing import Final

from proxy.figures.histogram import REQUEST_SECONDS, Histogram
from proxy.figures.snapshot import HistogramRow, ProtocolRequestRow

# As `ClientRecord.protocol` has them.
_HTTP_1: Final = "http/1.1"
HTTP_2: Final = "h2"
# A status has three digits. 501 and 505 for malformed requests are not faults of a server, and are
# not counted as 5xx.
CLASSES: Final = 10
MALFORMED: Final = 0
SERVER_ERRORS: Final = 5


def class_name(hundreds: int) -> str:
    """How a class of statuses is called in metrics."""
    return "malformed" if hundreds == MALFORMED else f"{hundreds}xx"


def protocol_requests(listeners: Iterable[tuple[str, int, int]]) -> list[ProtocolRequestRow]:
    """How many requests there were. Takes a listener, all of its requests, and those of HTTP/2.

    The others are HTTP/1.1. So a request of that is counted once.
    """
    return [
        {"listener": name, "protocol": protocol, "count": count}
        for name, requests, http_2 in listeners
        for protocol, count in ((_HTTP_1, requests - http_2), (HTTP_2, http_2))
    ]


def protocol_seconds(routes: Iterable[Histogram], http_2: Histogram) -> list[HistogramRow]:
    """How long requests took. `routes` have all of them, and `http_2` has those of HTTP/2."""
    http_1 = Histogram(REQUEST_SECONDS)
    for route in routes:
        http_1.counts = [one + other for one, other in zip(http_1.counts, route.counts, strict=True)]
        http_1.sum += route.sum
    http_1.counts = [one - other for one, other in zip(http_1.counts, http_2.counts, strict=True)]
    http_1.sum -= http_2.sum
    return [one.row(protocol=name) for name, one in ((_HTTP_1, http_1), (HTTP_2, http_2)) if any(one.counts)]
