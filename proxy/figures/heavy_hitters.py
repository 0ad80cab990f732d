"""The most frequent of many keys in bounded memory: the Space-Saving summary. Pure.

Theory of operation (Metwally, Agrawal, El Abbadi 2005). `capacity` keys are kept with a count. A
new key without a place replaces the least frequent one and takes over its count; the part that
belonged to other keys is its `error`. After `total` additions, every summary, also a merged one,
has these properties:

- the true count of a listed key is between `count - error` and `count`;
- no error is above `total / capacity`;
- every key that was added more than `total / capacity` times is listed.

So a client that sends thousands of invented keys can push out rare keys, but never frequent ones.
Summaries merge by adding; a key that one of them does not list may have had the least count of that
one (Agarwal and others 2012, Cafaro and others 2016).
"""

from collections.abc import Sequence
from typing import Any

from proxy.figures.snapshot import Summary


class HeavyHitters:
    """A summary of the keys that were added."""

    def __init__(self, capacity: int) -> None:
        """`capacity` is the number of keys that are kept."""
        self._capacity = capacity
        self._entries: dict[str, list[int]] = {}
        self.total = 0
        """Number of additions."""

    def add(self, key: str) -> None:
        """Count a key. A listed one costs a look-up; another one a search through all entries."""
        self.total += 1
        entry = self._entries.get(key)
        if entry is not None:
            entry[0] += 1
        elif len(self._entries) < self._capacity:
            self._entries[key] = [1, 0]
        else:
            least = min(self._entries, key=lambda one: self._entries[one][0])
            count = self._entries.pop(least)[0]
            self._entries[key] = [count + 1, count]

    def snapshot(self) -> Summary:
        """Return the summary for JSON: entries of key, count and error, the most frequent first."""
        entries = [[key, count, error] for key, (count, error) in self._entries.items()]
        return {"capacity": self._capacity, "total": self.total, "entries": sorted(entries, key=_rank)}


def merge_heavy_hitters(snapshots: Sequence[Summary]) -> Summary:
    """Merge summaries, at least one, all of the same capacity."""
    capacity = snapshots[0]["capacity"]
    # the count that a key may have in each summary that does not list it
    floors = [one["entries"][-1][1] if len(one["entries"]) == capacity else 0 for one in snapshots]
    tables = [{key: (count, error) for key, count, error in one["entries"]} for one in snapshots]
    entries = []
    for key in dict.fromkeys(key for table in tables for key in table):
        found = [table.get(key, (floor, floor)) for table, floor in zip(tables, floors, strict=True)]
        entries.append([key, sum(count for count, _ in found), sum(error for _, error in found)])
    return {
        "capacity": capacity,
        "total": sum(one["total"] for one in snapshots),
        "entries": sorted(entries, key=_rank)[:capacity],
    }


def _rank(entry: list[Any]) -> tuple[int, str]:
    return -entry[1], entry[0]
