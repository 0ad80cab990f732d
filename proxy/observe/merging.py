"""Adds up the counts of several workers. Pure.

A snapshot has families of rows (`Counters.snapshot`). In a row a text is a label and a number is a
count. Rows with the same labels are added; lists of numbers (the buckets of a histogram) are added
element by element.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from proxy.observe.breaking import merge_breaking

# Gauges: they end with their worker.
_GAUGES: Final = frozenset({"open", "held", "streams_open"})
_LIVE_FAMILIES: Final = frozenset({"token_figures", "token_states", "token_good"})
# The page reads it of each worker, by `busiest`.
_PER_WORKER: Final = frozenset({"busiest"})
# Merged by their minimum, not by their sum.
_AGES: Final = frozenset({"youngest"})
# The statistics of a server that only grow, and their labels.
_SERVER_TOTALS: Final = (
    *("requests", "failures", "ejections", "wait_seconds"),
    *("http2_requests", "http2_goaways", "http2_refused"),
)
_SERVER_LABELS: Final = ("upstream", "server")

Row = Mapping[str, Any]


def merge(snapshots: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add snapshots. A family may be missing in some of them."""
    merged: dict[str, Any] = {}
    for family in dict.fromkeys(family for snapshot in snapshots for family in snapshot):
        if family in _PER_WORKER:
            continue
        found = [snapshot[family] for snapshot in snapshots if family in snapshot]
        if family == "breaking":
            merged[family] = merge_breaking(found)
        else:
            merged[family] = merge_rows([row for rows in found for row in rows])
    return merged


def merge_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Add the rows that have the same labels."""
    merged: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for row in rows:
        labels = tuple((key, value) for key, value in row.items() if isinstance(value, str))
        into = merged.get(labels)
        if into is None:
            merged[labels] = dict(row)
        else:
            _add(into, row)
    return [merged[labels] for labels in sorted(merged)]


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


def server_totals(servers: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the statistics that only grow, by upstream and server."""
    return merge_rows([{key: server[key] for key in (*_SERVER_LABELS, *_SERVER_TOTALS)} for server in servers])


class Retained:
    """Keeps the counts of workers that ended. Without them a counter would fall when a worker is
    replaced."""

    def __init__(self) -> None:
        """The counts begin empty."""
        self._inherited: Mapping[str, Any] = {}
        self._kept: dict[str, Any] = {}

    def inherit(self, snapshot: Mapping[str, Any]) -> None:
        """Begin with the counts of an older process, which an upgrade has replaced."""
        self._inherited = snapshot

    def keep(self, snapshot: Mapping[str, Any], servers: Sequence[Row] = ()) -> None:
        """Add the last snapshot of a worker that ended, and the last statistics of its servers
        (`ServerStatistics`)."""
        counted = {
            family: rows if family == "breaking" else _without_gauges(rows)
            for family, rows in snapshot.items()
            if family not in _LIVE_FAMILIES | _PER_WORKER
        }
        self._kept = merge([self._kept, counted, {"servers": server_totals(servers)}])

    @property
    def snapshot(self) -> Mapping[str, Any]:
        """Return the kept and the inherited counts, for `Scrape.retained`."""
        return merge([self._inherited, self._kept]) if self._inherited else self._kept

    @property
    def own(self) -> Mapping[str, Any]:
        """Return the kept counts of this process alone."""
        return self._kept

    def total(self, live: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Add the kept counts and the snapshots of live workers."""
        return merge([self.snapshot, *live])


def _without_gauges(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{key: 0 if key in _GAUGES else value for key, value in row.items()} for row in rows]
