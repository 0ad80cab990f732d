"""What is counted of a token, as a snapshot has it."""

from typing import TYPE_CHECKING, Any

from proxy.observe.counts.merging import Retained, merge
from proxy.signing.token_counters import TokenCounters
from tests.parts import part

if TYPE_CHECKING:
    from proxy.figures.snapshot import Snapshot


def test_row_has_every_number() -> None:
    counters = TokenCounters()
    counters.errors, counters.failovers, counters.hedges, counters.hedges_won = 1, 2, 3, 4
    counters.refusals, counters.probes, counters.probes_failed = 5, 6, 7
    assert counters.row("plexi") == {
        "token": "plexi",
        "errors": 1,
        "failovers": 2,
        "hedges": 3,
        "hedges_won": 4,
        "refusals": 5,
        "probes": 6,
        "probes_failed": 7,
    }


def test_histograms_are_its_own() -> None:
    one, other = TokenCounters(), TokenCounters()
    one.signing_seconds.observe(0.004)
    one.wait_seconds.observe(0.0002)
    assert sum(one.signing_seconds.counts) == sum(one.wait_seconds.counts) == 1
    assert sum(other.signing_seconds.counts) == 0


def test_of_several_workers_the_youngest_signature_counts() -> None:
    several: list[Snapshot] = [{"token_good": [{"token": "plexi", "youngest": age}]} for age in (3.0, 0.5, 7.0)]
    assert merge(several)["token_good"] == [{"token": "plexi", "youngest": 0.5}]


def test_nothing_of_a_worker_that_is_gone_is_told_as_going_on() -> None:
    retained = Retained()
    live: Any = {
        "token_good": [{"token": "plexi", "youngest": 0.5}],
        "token_figures": [{"token": "plexi", "queued": 3}],
        "token_states": [{"token": "plexi", "state": "open", "count": 1}],
    }
    retained.keep(part({**live, "tokens": [TokenCounters().row("plexi")]}))
    assert not live.keys() & retained.snapshot.keys()
    assert "tokens" in retained.snapshot


def test_signatures_are_counted_by_key() -> None:
    counters = TokenCounters()
    counters.signed("chat", is_good=True)
    counters.signed("chat", is_good=False)
    counters.signed("files", is_good=True)
    assert counters.key_rows() == [
        {"key": "chat", "done": 1, "failed": 1},
        {"key": "files", "done": 1, "failed": 0},
    ]
