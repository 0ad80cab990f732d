"""Merging: rows add up by their labels, and what is counted never falls when workers come and
go."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.observe.counts.breaking import BreakingClients
from proxy.observe.counts.merging import Retained, merge, merge_rows, server_totals
from tests.parts import part


def test_rows_with_the_same_labels_are_added() -> None:
    rows = [
        {"route": "b", "count": 1},
        {"route": "a", "count": 2, "seconds": 0.5},
        {"route": "a", "count": 3, "seconds": 0.25},
    ]
    assert merge_rows(rows) == [{"route": "a", "count": 5, "seconds": 0.75}, {"route": "b", "count": 1}]
    assert rows[1] == {"route": "a", "count": 2, "seconds": 0.5}


def test_histograms_are_added_bucket_by_bucket() -> None:
    rows = [{"counts": [1, 0, 2], "sum": 1.5}, {"counts": [0, 4, 1], "sum": 2.0}]
    assert merge_rows(rows) == [{"counts": [1, 4, 3], "sum": 3.5}]
    assert rows[0]["counts"] == [1, 0, 2]


def test_histograms_of_different_buckets_are_no_sum() -> None:
    with pytest.raises(ValueError, match="zip"):
        merge_rows([{"counts": [1, 0]}, {"counts": [1]}])


def test_a_family_that_only_one_has_is_kept() -> None:
    assert merge(part([{"a": [{"count": 1}]}, {"b": [{"count": 2}]}])) == {"a": [{"count": 1}], "b": [{"count": 2}]}
    assert merge([]) == {}


def test_who_would_break_is_merged_by_its_own_rule() -> None:
    breaking = BreakingClients(lambda: "2026-11-28")
    breaking.add("public", None, "192.0.2.1", [])
    merged = merge([{"breaking": breaking.snapshot()}, {}, {"breaking": breaking.snapshot()}])
    assert merged["breaking"]["2026-11-28"]["public"]["networks"]["entries"] == [["192.0.2.0/24", 2, 0]]


def test_the_counts_of_the_process_before_are_kept_apart() -> None:
    retained = Retained()
    retained.inherit(part({"requests": [{"route": "a", "count": 2}]}))
    retained.keep(part({"requests": [{"route": "a", "count": 3}]}))
    assert retained.snapshot["requests"] == [{"route": "a", "count": 5}]
    assert retained.own["requests"] == [{"route": "a", "count": 3}]
    assert retained.total(part([{"requests": [{"route": "a", "count": 1}]}])) == part(
        {"requests": [{"route": "a", "count": 6}], "servers": []}
    )


SERVER: Any = {
    "upstream": "chat",
    "server": "http://a:1",
    "state": "up",
    "open": 3,
    "idle": 1,
    "dialling": 0,
    "waiting": 2,
    "requests": 10,
    "websockets": 1,
    "failures": 2,
    "ejections": 1,
    "wait_seconds": 0.5,
    "streams_open": 4,
    "http2_requests": 8,
    "http2_goaways": 1,
    "http2_refused": 0,
}


def test_of_servers_the_totals_are_added_whatever_state_each_worker_saw() -> None:
    assert server_totals([SERVER, SERVER | {"state": "ejected", "requests": 5}]) == [
        {
            "upstream": "chat",
            "server": "http://a:1",
            "requests": 15,
            "failures": 4,
            "ejections": 2,
            "wait_seconds": 1.0,
            "http2_requests": 16,
            "http2_goaways": 2,
            "http2_refused": 0,
        }
    ]


def test_of_a_worker_that_is_gone_counts_stay_and_gauges_do_not() -> None:
    retained = Retained()
    assert retained.snapshot == {}
    breaking = BreakingClients(lambda: "2026-11-28")
    breaking.add("public", None, "192.0.2.1", [])
    retained.keep(
        {"connections": [{"listener": "public", "accepted": 7, "open": 3}], "breaking": breaking.snapshot()}, [SERVER]
    )
    retained.keep({"connections": [{"listener": "public", "accepted": 1, "open": 1}]})
    retained.keep({"response_buffer": [{"held": 5_000, "shortages": 4}]})
    live = {"connections": [{"listener": "public", "accepted": 2, "open": 2}]}
    total = retained.total([json.loads(json.dumps(live))])
    assert total["connections"] == [{"listener": "public", "accepted": 10, "open": 2}]
    assert total["response_buffer"] == [{"held": 0, "shortages": 4}]
    assert total["breaking"]["2026-11-28"]["public"]["agents"]["total"] == 1
    assert total["servers"] == retained.snapshot["servers"] == server_totals([SERVER])


@dataclass
class Worker:
    """A process that counts."""

    count: int = 0
    buckets: list[int] = field(default_factory=lambda: [0, 0])
    open: int = 0

    def snapshot(self) -> Any:
        return {
            "requests": [{"route": "/", "count": self.count}] if self.count else [],
            "request_seconds": [{"route": "/", "counts": list(self.buckets), "sum": float(sum(self.buckets))}],
            "connections": [{"listener": "public", "accepted": self.count, "open": self.open}],
        }


class Restarts(RuleBasedStateMachine):
    """Workers count, die and come again; the total is always what was counted."""

    def __init__(self) -> None:
        super().__init__()
        self.retained = Retained()
        self.workers = [Worker(), Worker()]
        self.counted = 0

    @rule(slot=st.integers(0, 1), bucket=st.integers(0, 1))
    def count(self, slot: int, bucket: int) -> None:
        self.workers[slot].count += 1
        self.workers[slot].open += 1
        self.workers[slot].buckets[bucket] += 1
        self.counted += 1

    @rule(slot=st.integers(0, 1))
    def restart(self, slot: int) -> None:
        self.retained.keep(self.workers[slot].snapshot())
        self.workers[slot] = Worker()

    @invariant()
    def nothing_is_lost(self) -> None:
        total = self.retained.total([worker.snapshot() for worker in self.workers])
        assert sum(row["count"] for row in total["requests"]) == self.counted
        assert sum(sum(row["counts"]) for row in total["request_seconds"]) == self.counted
        (connections,) = total["connections"]
        assert connections["accepted"] == self.counted
        assert connections["open"] == sum(worker.open for worker in self.workers)


TestRestarts = Restarts.TestCase
