"""Requests by status and by version of HTTP."""

from proxy.figures.histogram import REQUEST_SECONDS, Histogram
from proxy.observe.counts.request_classes import HTTP_2, HTTP_3, class_name, protocol_requests, protocol_seconds


def histogram(*values: float) -> Histogram:
    made = Histogram(REQUEST_SECONDS)
    for value in values:
        made.observe(value)
    return made


def test_what_is_not_http_2_is_http_1_1() -> None:
    http_1, http_2 = protocol_seconds([histogram(0.5, 0.004), histogram(2.0)], {HTTP_2: histogram(2.0)})
    assert (http_1["protocol"], sum(http_1["counts"]), round(http_1["sum"], 3)) == ("http/1.1", 2, 0.504)
    assert (http_2["protocol"], sum(http_2["counts"]), http_2["sum"]) == ("h2", 1, 2.0)


def test_version_without_a_request_is_not_listed() -> None:
    assert protocol_seconds([], {HTTP_2: histogram()}) == []
    assert [row["protocol"] for row in protocol_seconds([histogram(1.0)], {HTTP_2: histogram(1.0)})] == ["h2"]


def test_http_3_is_apart_from_both() -> None:
    rows = protocol_seconds([histogram(0.5, 1.0, 2.0)], {HTTP_2: histogram(1.0), HTTP_3: histogram(2.0)})
    assert [(row["protocol"], sum(row["counts"]), row["sum"]) for row in rows] == [
        ("http/1.1", 1, 0.5),
        ("h2", 1, 1.0),
        ("h3", 1, 2.0),
    ]


def test_requests_of_a_listener_are_divided() -> None:
    assert protocol_requests([("public", 7, 2, 1)])[-1] == {"listener": "public", "protocol": "h3", "count": 1}
    assert protocol_requests([("public", 7, 3, 0)]) == [
        {"listener": "public", "protocol": "http/1.1", "count": 4},
        {"listener": "public", "protocol": "h2", "count": 3},
    ]


def test_malformed_requests_are_a_class_of_their_own() -> None:
    assert [class_name(0), class_name(4)] == ["malformed", "4xx"]
