"""What workers count becomes totals of what is new."""

from typing import Any

from certs.audit.entries import HandshakeTotal
from proxy.supervisor.secrets.signature_totals import SignatureTotals


def snapshot(done: int, failed: int = 0, of_identity: int = 0) -> Any:
    rows = [{"key": "b", "done": done, "failed": failed}, {"key": "a", "done": 0, "failed": 0}]
    return {"key_signatures": rows, "signing_seconds": [{"identity": "chat", "counts": [of_identity, 1], "sum": 0.5}]}


def test_what_is_new_is_told_once() -> None:
    totals = SignatureTotals()
    assert totals.take(1, "worker 0", snapshot(3, 1)) == (
        HandshakeTotal("worker 0", "b", 3, 1),
        HandshakeTotal("worker 0", "identity chat", 1, 0),
    )
    assert totals.take(1, "worker 0", snapshot(3, 1)) == ()
    assert totals.take(1, "worker 0", snapshot(5, 1)) == (HandshakeTotal("worker 0", "b", 2, 0),)


def test_each_worker_counts_for_itself_and_a_new_one_begins_anew() -> None:
    totals = SignatureTotals()
    totals.take(1, "worker 0", snapshot(3))
    assert totals.take(2, "worker 0", snapshot(1))[0] == HandshakeTotal("worker 0", "b", 1, 0)
    totals.forget(1)
    assert totals.take(1, "worker 0", snapshot(3))[0] == HandshakeTotal("worker 0", "b", 3, 0)


def test_a_worker_that_has_signed_nothing_tells_nothing() -> None:
    assert SignatureTotals().take(1, "worker 0", {}) == ()
