"""Why clients were refused lately."""

import pytest

from proxy.observe.history.reading import HistoryReading
from proxy.observe.history.refusals import MOST_REFUSALS, Refusals


def at(seconds: float, **counts: int) -> HistoryReading:
    """A reading with these failures of the listener `public`."""
    return HistoryReading(seconds, {}, {}, {}, {("public", reason): count for reason, count in counts.items()})


def test_reasons_that_have_grown_are_listed_the_latest_first() -> None:
    refusals = Refusals()
    refusals.note(at(0.0, pq_policy=3), at(10.0, pq_policy=3, timeout=2))
    refusals.note(at(10.0, pq_policy=3, timeout=2), at(20.0, pq_policy=7, timeout=1))
    assert refusals.listed() == [
        {"at": 20.0, "listener": "public", "reason": "pq_policy", "area": "tls", "count": 4},
        {"at": 10.0, "listener": "public", "reason": "timeout", "area": "tls", "count": 2},
    ]


@pytest.mark.parametrize(
    ("reason", "area"),
    [
        ("not_tls", "tls"),
        ("tls_record_flood", "tls"),
        ("connections_per_address", "limits"),
        ("http2_rapid_reset", "limits"),
        ("malformed_request", "http"),
        ("request_rate", "http"),
        ("upstream", "server"),
        ("client_left", "client"),
        ("given_up", "client"),
    ],
)
def test_each_reason_has_its_area(reason: str, area: str) -> None:
    refusals = Refusals()
    refusals.note(at(0.0), at(10.0, **{reason: 1}))
    assert [one["area"] for one in refusals.listed()] == [area]


def test_only_so_many_are_kept() -> None:
    refusals = Refusals()
    for number in range(MOST_REFUSALS + 5):
        refusals.note(at(0.0), at(float(number), timeout=1))
    assert len(refusals.listed()) == MOST_REFUSALS
    assert refusals.listed()[-1]["at"] == 5.0
    refusals.clear()
    assert refusals.listed() == []
