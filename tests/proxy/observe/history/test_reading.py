"""What the history reads of a scrape, and what has happened between two of them."""

from dataclasses import replace

import pytest

from proxy.figures.histogram import REQUEST_SECONDS
from proxy.observe.counts.merging import Retained
from proxy.observe.history.reading import Distribution, HistoryReading, added, reading, sample
from tests.fakes_admin import NOW, fed, scrape, worker

EMPTY = HistoryReading(NOW, {}, {}, {}, {})


def counts(*pairs: tuple[int, int]) -> list[int]:
    """The counts of a histogram of requests, by the places of its buckets."""
    found = [0] * (len(REQUEST_SECONDS) + 1)
    for place, count in pairs:
        found[place] = count
    return found


class TestReading:
    """Of a scrape."""

    def test_counts_of_all_workers_are_added(self) -> None:
        found = reading(scrape(worker(0, fed()), worker(1, fed(2))))
        assert found.at == NOW
        assert found.counts["handshakes/hybrid"] == 18
        assert found.counts["handshakes/hybrid_after_retry"] == 3
        assert found.counts["handshakes/client_cannot"] == 9
        assert found.counts["handshakes/refused"] == 3
        assert found.counts["groups/X25519MLKEM768"] == 21, "a refused handshake has no group"
        assert (found.counts["sessions/resumed"], found.counts["sessions/full"]) == (3, 27)
        assert found.counts["requests/2xx"] == 9
        assert (found.counts["protocols/http/1.1"], found.counts["protocols/h2"]) == (24, 0)
        assert (found.counts["protocols/websocket"], found.counts["protocols/tcp"]) == (9, 18)
        assert (found.counts["bytes/from_client"], found.counts["bytes/to_client"]) == (16_200, 123_000)
        assert found.failures["strict", "pq_policy"] == 3
        assert found.levels["open/connections"] == 8
        assert found.levels["open/websockets"] == 4
        assert found.levels["open/relays"] == 2
        assert found.levels["processes/memory"] == 122_000_001
        assert sum(found.distributions["latency"].counts) == 21
        assert sum(found.distributions["handshake"].counts) == 30
        assert sum(found.distributions["signing plexi"].counts) == 3

    def test_workers_that_ended_count_and_hold_nothing_open(self) -> None:
        retained = Retained()
        retained.keep(worker(0, fed()).snapshot)
        found = reading(scrape(worker(1, fed()), retained=retained))
        assert found.counts["handshakes/hybrid"] == 12
        assert found.levels["open/connections"] == 4

    def test_time_that_workers_computed_is_added(self) -> None:
        workers = [replace(worker(slot, fed()), cpu_seconds=1.5) for slot in (0, 1)]
        assert reading(scrape(*workers)).counts["processes/cpu"] == 3.0


class TestSample:
    """Between two readings."""

    def test_counts_are_rates_and_levels_are_the_later_ones(self) -> None:
        earlier = replace(EMPTY, counts={"requests/2xx": 100.0, "requests/5xx": 3.0}, levels={"open/connections": 9.0})
        later = HistoryReading(
            NOW + 10, {"requests/2xx": 350.0, "requests/5xx": 3.0}, {"open/connections": 4.0}, {}, {}
        )
        assert sample(earlier, later) == {"requests/2xx": 25.0, "open/connections": 4.0}

    def test_count_that_fell_is_no_negative_rate(self) -> None:
        earlier = replace(EMPTY, counts={"processes/cpu": 100.0})
        assert sample(earlier, replace(EMPTY, at=NOW + 10, counts={"processes/cpu": 1.0})) == {}

    def test_quantiles_are_those_of_the_values_that_came_between(self) -> None:
        before = Distribution(REQUEST_SECONDS, counts((12, 50)))
        after = Distribution(REQUEST_SECONDS, counts((1, 100), (12, 50)))
        earlier = replace(EMPTY, distributions={"latency": before})
        found = sample(earlier, replace(EMPTY, at=NOW + 10, distributions={"latency": after}))
        assert found["latency/p50"] == pytest.approx(0.00175)
        assert found["latency/p99"] == pytest.approx(0.002485)

    def test_distribution_that_is_new_counts_as_it_is(self) -> None:
        after = Distribution(REQUEST_SECONDS, counts((0, 1)))
        found = sample(EMPTY, replace(EMPTY, at=NOW + 10, distributions={"signing new": after}))
        assert found["signing new/p50"] == 0.0005


class TestDistribution:
    """Its quantiles."""

    def test_without_values_there_is_none(self) -> None:
        assert Distribution(REQUEST_SECONDS, counts()).quantile(0.5) is None

    def test_above_the_last_bound_it_is_that_bound(self) -> None:
        assert Distribution(REQUEST_SECONDS, counts((len(REQUEST_SECONDS), 3))).quantile(0.5) == 30.0

    def test_histograms_are_added_by_bucket(self) -> None:
        assert added(REQUEST_SECONDS, [{"counts": counts((0, 1))}, {"counts": counts((0, 2), (3, 1))}]) == counts(
            (0, 3), (3, 1)
        )
