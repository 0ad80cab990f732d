"""The requests of each route in the last minutes."""

from dataclasses import replace

from proxy.observe.counts.counters import Counters
from proxy.observe.history.routes import MOST_ROUTES, route_readings, routes_since
from proxy.observe.scrape import Scrape
from tests.fakes_admin import NOW, REQUEST, fed, scrape, worker


def asked(*routes: tuple[str, int]) -> Scrape:
    """A proxy whose routes had so many requests."""
    counters = Counters(lambda: (0, 0))
    for route, count in routes:
        for _ in range(count):
            counters.request(replace(REQUEST, route=route))
    return scrape(worker(0, counters))


def test_counts_of_all_workers_are_added() -> None:
    found = route_readings(scrape(worker(0, fed()), worker(1, fed())))
    assert found["chat.test/"].statuses == {"1xx": 2, "2xx": 6, "3xx": 2, "4xx": 2, "5xx": 2}
    assert found["chat.test/"].requests == 14
    assert found["-"].statuses == {"4xx": 2}
    assert sum(found["chat.test/"].seconds.counts) == 12, "WebSockets have no latency"
    assert "chat.test/gateway" not in found, "it had no request"


def test_open_websockets_are_added() -> None:
    counters = fed()
    counters.request(replace(REQUEST, route="chat.test/gateway"))
    found = route_readings(scrape(worker(0, counters), worker(1, counters)))
    assert found["chat.test/gateway"].open == 4


def test_routes_with_most_requests_are_kept() -> None:
    found = route_readings(asked(*((f"route {number}", 1 + number % 7) for number in range(MOST_ROUTES + 20))))
    assert len(found) == MOST_ROUTES
    assert min(one.requests for one in found.values()) == 3


def test_without_an_earlier_reading_counts_are_since_the_start() -> None:
    found = routes_since(None, NOW, route_readings(asked(("a", 3))))
    assert found["seconds"] is None
    (route,) = found["routes"]
    assert (route["route"], route["requests"], route["total"]) == ("a", {"2xx": 3}, {"2xx": 3})


def test_counts_are_those_since_the_oldest_reading() -> None:
    oldest = NOW + 180, route_readings(asked(("a", 4)))
    found = routes_since(oldest, NOW + 430, route_readings(asked(("a", 10), ("b", 2))))
    assert found["seconds"] == 250.0
    first, second = found["routes"]
    assert (first["requests"], first["total"]) == ({"2xx": 6}, {"2xx": 10})
    assert second["requests"] == {"2xx": 2}


def test_quiet_route_has_no_latency() -> None:
    oldest = NOW, route_readings(asked(("a", 3)))
    (route,) = routes_since(oldest, NOW + 60, route_readings(asked(("a", 3))))["routes"]
    assert (route["requests"], route["p50"], route["p99"]) == ({}, None, None)
