"""How requests went, by route and by version of HTTP."""

from typing import Any

from proxy.figures.histogram import REQUEST_SECONDS, Histogram
from proxy.observe.request_figures import protocol_figures, route_figures


def seconds(*values: float) -> list[int]:
    histogram = Histogram(REQUEST_SECONDS)
    for value in values:
        histogram.observe(value)
    return histogram.counts


def test_route_has_its_statuses_and_the_bounds_of_its_latencies() -> None:
    rows: dict[str, list[Any]] = {
        "requests": [
            {"route": "b", "status": "2xx", "count": 99},
            {"route": "b", "status": "5xx", "count": 1},
            {"route": "a", "status": "4xx", "count": 1},
        ],
        "request_seconds": [{"route": "b", "counts": seconds(*[0.004] * 98, 0.3, 0.4)}],
        "websockets": [{"route": "b", "open": 3, "count": 9}],
    }
    a, b = route_figures(rows)
    assert b == {
        "route": "b",
        "requests": {"2xx": 99, "5xx": 1},
        "websockets_open": 3,
        "p50_seconds": 0.005,
        "p99_seconds": 0.5,
    }
    assert (a["route"], a["p50_seconds"], a["websockets_open"]) == ("a", None, 0)


def test_more_than_the_last_bound_is_shown_as_the_last_bound() -> None:
    (figures,) = protocol_figures({"protocol_seconds": [{"protocol": "h2", "counts": seconds(99.0)}]})
    assert figures == {"protocol": "h2", "requests": 1, "p50_seconds": 30.0, "p99_seconds": 30.0}


def test_before_the_first_answer_of_a_worker_there_is_nothing() -> None:
    assert (route_figures({}), protocol_figures({})) == ([], [])
