"""The counts of a worker: their types are those of what a worker has counted."""

from proxy.figures.snapshot import Snapshot, rows_of
from proxy.observe.counts.relay_counters import RelayCounters
from tests.fakes_admin import fed
from tests.parts import differences


def test_counts_are_as_their_types_say() -> None:
    counters = fed()
    counters.token("plexi").signed("chat", is_good=True)
    listener = counters.listener("public")
    for kind in (listener.tcp, listener.passthrough):
        _relayed(kind)
    snapshot = counters.snapshot()
    assert list(differences(snapshot, Snapshot)) == []
    assert [family for family, rows in snapshot.items() if not rows] == []


def _relayed(counters: RelayCounters) -> None:
    counters.connections += 1
    counters.ends["client"] += 1
    counters.groups["X25519"] += 1


def test_rows_are_found_by_the_name_of_their_family() -> None:
    rows: Snapshot = {"swaps": [{"count": 2}]}
    assert rows_of(rows, "swaps") == [{"count": 2}]
    assert rows_of(rows, "log") == ()
