"""Counters: what is counted, and under what."""

import json

from proxy.observe.counters import Counters


def counted() -> Counters:
    """Count a little of everything."""
    counters = Counters()
    for outcome in ("hybrid", "hybrid", "client_cannot"):
        counters.handshake("public", "chat", outcome)
    counters.handshake("admin", "-", "refused")
    for reason in ("policy", "timeout", "policy"):
        counters.failure("public", reason)
    for status in (200, 204, 404, 499, 502, 101):
        counters.request("public", status)
    return counters


def test_everything_is_counted_under_its_labels() -> None:
    assert counted().snapshot() == {
        "handshakes": [
            {"listener": "admin", "identity": "-", "outcome": "refused", "count": 1},
            {"listener": "public", "identity": "chat", "outcome": "client_cannot", "count": 1},
            {"listener": "public", "identity": "chat", "outcome": "hybrid", "count": 2},
        ],
        "failures": [
            {"listener": "public", "reason": "policy", "count": 2},
            {"listener": "public", "reason": "timeout", "count": 1},
        ],
        "requests": [
            {"listener": "public", "status": "1xx", "count": 1},
            {"listener": "public", "status": "2xx", "count": 2},
            {"listener": "public", "status": "4xx", "count": 2},
            {"listener": "public", "status": "5xx", "count": 1},
        ],
    }


def test_a_snapshot_is_json_and_does_not_change() -> None:
    counters = counted()
    snapshot = counters.snapshot()
    before = json.dumps(snapshot)
    counters.request("public", 200)
    assert json.dumps(snapshot) == before != json.dumps(counters.snapshot())


def test_nothing_counted_is_nothing_listed() -> None:
    assert Counters().snapshot() == {"handshakes": [], "failures": [], "requests": []}


def test_a_summary_adds_up() -> None:
    assert counted().summary() == "6 requests; handshakes: 1 client_cannot, 2 hybrid, 1 refused; failures: 3"
    assert Counters().summary() == "0 requests; handshakes: none; failures: 0"
