"""Adds up the counts of several workers. Pure.

A snapshot has families of rows (`Counters.snapshot`). In a row a text is a label and a number is a
count. Rows with the same labels are added; lists of numbers (the buckets of a histogram) are added
element by element.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeVar, cast

from proxy.figures.snapshot import Counts, Row, ServerCounts, ServerTotalsRow, Snapshot, rows_of
from proxy.observe.counts.breaking import merge_breaking

# Gauges: they end with their worker.
_GAUGES: Final = frozenset({"open", "held", "streams_open"})
_LIVE_FAMILIES: Final = frozenset({"token_figures", "token_states", "token_good"})
# The page reads it of each worker, by `busiest`.
_PER_WORKER: Final = frozenset({"busiest"})
# Merged by their minimum, not by their sum.
_AGES: Final = frozenset({"youngest"})

_TOTALS: Final = ServerTotalsRow.__annotations__.keys()

RowT = TypeVar("RowT", bound=Row)


def merge(snapshots: Sequence[Snapshot]) -> Counts:
    """Add snapshots. A family may be missing in some of them."""
    merged: dict[str, object] = {}
    for family in dict.fromkeys(family for snapshot in snapshots for family in snapshot):
        if family in _PER_WORKER:
            continue
        if family == "breaking":
            merged[family] = merge_breaking([one["breaking"] for one in snapshots if "breaking" in one])
        else:
            merged[family] = merge_rows([row for one in snapshots for row in rows_of(one, family)])
    return cast("Counts", merged)


def merge_rows(rows: Sequence[RowT]) -> list[RowT]:
    merged: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for row in rows:
        labels = tuple((key, value) for key, value in row.items() if isinstance(value, str))
        into = merged.get(labels)
        if into is None:
            merged[labels] = dict(row)
        else:
            _add(into, row)
    return [cast("RowT", merged[labels]) for labels in sorted(merged)]


def _add(into: dict[str, Any], row: Row) -> None:
    for key, value in row.items():
        match value:
            case str():
                pass
            case list():
                into[key] = [one + other for one, other in zip(into[key], value, strict=True)]
            case _ if key in _AGES:
                into[key] = min(into[key], value)
            case _:
                into[key] += value


def server_totals(servers: Sequence[ServerCounts]) -> list[ServerTotalsRow]:
    """Return the statistics that only grow, by upstream and server."""
    return merge_rows(
        [cast("ServerTotalsRow", {key: value for key, value in one.items() if key in _TOTALS}) for one in servers]
    )


class Retained:
    """Keeps the counts of workers that ended: no counter falls when one is replaced."""

    def __init__(self) -> None:
        self._inherited: Counts = {}
        self._kept: Counts = {}

    def inherit(self, snapshot: Counts) -> None:
        """Begin with the counts of an older process, which an upgrade has replaced."""
        self._inherited = snapshot

    def keep(self, snapshot: Snapshot, servers: Sequence[ServerCounts] = ()) -> None:
        """Add the last snapshot of a worker that ended, and the last statistics of its servers."""
        counted = {
            family: rows if family == "breaking" else _without_gauges(rows_of(snapshot, family))
            for family, rows in snapshot.items()
            if family not in _LIVE_FAMILIES | _PER_WORKER
        }
        totals: Counts = {"servers": server_totals(servers)}
        self._kept = merge([self._kept, cast("Snapshot", counted), totals])

    @property
    def snapshot(self) -> Counts:
        """Return the kept and the inherited counts, for `Scrape.retained`."""
        return merge([self._inherited, self._kept]) if self._inherited else self._kept

    @property
    def own(self) -> Counts:
        """Return the kept counts of this process alone."""
        return self._kept

    def total(self, live: Sequence[Snapshot]) -> Counts:
        """Add the kept counts and the snapshots of live workers."""
        return merge([self.snapshot, *live])


def _without_gauges(rows: Sequence[Row]) -> Sequence[Row]:
    return [{key: 0 if key in _GAUGES else value for key, value in row.items()} for row in rows]
