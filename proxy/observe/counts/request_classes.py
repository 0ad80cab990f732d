"""Requests by the first digit of their status, and by their version of HTTP. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from proxy.figures.histogram import REQUEST_SECONDS, Histogram
from proxy.figures.snapshot import HistogramRow, ProtocolRequestRow

# As `ClientRecord.protocol` has them.
_HTTP_1: Final = "http/1.1"
HTTP_2: Final = "h2"
HTTP_3: Final = "h3"
# A status has three digits. 501 and 505 for malformed requests are not faults of a server, and are
# not counted as 5xx.
CLASSES: Final = 10
MALFORMED: Final = 0
SERVER_ERRORS: Final = 5


def class_name(hundreds: int) -> str:
    """How a class of statuses is called in metrics."""
    return "malformed" if hundreds == MALFORMED else f"{hundreds}xx"


def protocol_requests(listeners: Iterable[tuple[str, int, int, int]]) -> list[ProtocolRequestRow]:
    """How many requests there were. Takes a listener, all its requests, those of HTTP/2 and of 3.

    The others are HTTP/1.1. So a request of that is counted once. HTTP/3 is only listed where there
    was any.
    """
    rows: list[ProtocolRequestRow] = []
    for name, requests, http_2, http_3 in listeners:
        rows.append({"listener": name, "protocol": _HTTP_1, "count": requests - http_2 - http_3})
        rows.append({"listener": name, "protocol": HTTP_2, "count": http_2})
        if http_3:
            rows.append({"listener": name, "protocol": HTTP_3, "count": http_3})
    return rows


def protocol_seconds(routes: Iterable[Histogram], later: Mapping[str, Histogram]) -> list[HistogramRow]:
    """How long requests took. `routes` have all of them, `later` those of later versions."""
    http_1 = Histogram(REQUEST_SECONDS)
    for route in routes:
        http_1.counts = [one + other for one, other in zip(http_1.counts, route.counts, strict=True)]
        http_1.sum += route.sum
    for one in later.values():
        http_1.counts = [all_ - some for all_, some in zip(http_1.counts, one.counts, strict=True)]
        http_1.sum -= one.sum
    return [one.row(protocol=name) for name, one in ((_HTTP_1, http_1), *later.items()) if any(one.counts)]
