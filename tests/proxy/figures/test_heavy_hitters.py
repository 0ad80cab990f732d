"""The summary of frequent keys: its three promises, for one and for merged ones, whatever is added."""

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy.figures.heavy_hitters import HeavyHitters, merge_heavy_hitters

CAPACITY = 4
STREAMS = st.lists(st.sampled_from("aaaabbbccdefghij"), max_size=120)


def summary(keys: str | list[str]) -> Any:
    hitters = HeavyHitters(CAPACITY)
    for key in keys:
        hitters.add(key)
    assert hitters.total == len(keys)
    return hitters.snapshot()


def keeps_its_promises(found: Any, keys: list[str]) -> None:
    true = Counter(keys)
    assert found["total"] == len(keys)
    assert len(found["entries"]) <= CAPACITY
    bound = len(keys) / CAPACITY
    for key, count, error in found["entries"]:
        assert count - error <= true[key] <= count
        assert error <= bound
    listed = {key for key, _, _ in found["entries"]}
    assert {key for key, count in true.items() if count > bound} <= listed
    counts = [count for _, count, _ in found["entries"]]
    assert counts == sorted(counts, reverse=True)


def test_few_keys_are_counted_exactly() -> None:
    assert summary("abacab") == {"capacity": 4, "total": 6, "entries": [["a", 3, 0], ["b", 2, 0], ["c", 1, 0]]}


def test_a_new_key_takes_the_place_and_the_count_of_the_least_frequent() -> None:
    assert summary("aaabbccd" + "e")["entries"] == [["a", 3, 0], ["b", 2, 0], ["c", 2, 0], ["e", 2, 1]]


def test_a_flood_of_made_up_keys_does_not_push_out_what_is_frequent() -> None:
    keys = ["honest" if number % 3 == 0 else f"made-up-{number}" for number in range(3_000)]
    found = summary(keys)
    keeps_its_promises(found, keys)
    assert found["entries"][0][0] == "honest"


@given(STREAMS)
def test_promises_hold_for_one(keys: list[str]) -> None:
    keeps_its_promises(summary(keys), keys)


@given(st.lists(STREAMS, min_size=1, max_size=5))
def test_promises_hold_for_merged_ones(streams: list[list[str]]) -> None:
    found = merge_heavy_hitters([summary(keys) for keys in streams])
    keeps_its_promises(found, [key for keys in streams for key in keys])


@given(STREAMS, STREAMS, STREAMS)
def test_promises_hold_for_what_was_merged_twice_and_came_as_json(a: list[str], b: list[str], c: list[str]) -> None:
    first = json.loads(json.dumps(merge_heavy_hitters([summary(a), summary(b)])))
    keeps_its_promises(merge_heavy_hitters([first, summary(c)]), a + b + c)
