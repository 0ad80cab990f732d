"""The figures of the last line: sums over what the workers counted, in the words of the counters."""

from dataclasses import replace

from proxy.figures.totals import how_many, totals
from proxy.observe.counts.counters import Counters
from proxy.observe.counts.merging import merge
from proxy.observe.events.process import Stopped
from tests.parts import part
from tests.proxy.observe.counts.counting import CLASSICAL, HANDSHAKE, counters_of


def worker() -> Counters:
    """What one worker counted."""
    return counters_of((HANDSHAKE, replace(HANDSHAKE, is_resumed=True), CLASSICAL))


def test_totals_are_those_of_all_workers_without_the_details_of_handshakes() -> None:
    assert totals(merge([worker().snapshot(), worker().snapshot()])) == {
        "handshakes": [
            {"listener": "admin", "identity": "-", "outcome": "refused", "count": 2},
            {"listener": "public", "identity": "chat", "outcome": "client_cannot", "count": 2},
            {"listener": "public", "identity": "chat", "outcome": "hybrid", "count": 4},
        ],
        "failures": [
            {"listener": "public", "reason": "policy", "count": 4},
            {"listener": "public", "reason": "timeout", "count": 2},
        ],
        "requests": [
            {"listener": "public", "status": "1xx", "count": 2},
            {"listener": "public", "status": "2xx", "count": 4},
            {"listener": "public", "status": "4xx", "count": 4},
            {"listener": "public", "status": "5xx", "count": 2},
        ],
    }


def test_last_event_adds_them_up() -> None:
    sums = "6 requests; handshakes: 1 client_cannot, 2 hybrid, 1 refused; failures: 3"
    assert Stopped(**totals(worker().snapshot())).sentence() == f"stopped: {sums}"


def test_nothing_counted_is_nothing() -> None:
    for nothing in (part({}), Counters().snapshot()):
        assert totals(nothing) == {"handshakes": [], "failures": [], "requests": []}


def test_one_of_a_thing_is_no_plural() -> None:
    assert [how_many(count, "worker") for count in (0, 1, 2)] == ["0 workers", "1 worker", "2 workers"]
