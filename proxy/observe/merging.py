"""What several workers counted, as one. Pure.

A snapshot has families of rows (`Counters.snapshot`). In a row text is a label and a number a count; rows with the same labels
are added, lists of numbers (the buckets of a histogram) place by place.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from proxy.observe.breaking import merge_breaking

# What is there at a moment: nothing of it is left when a worker is gone.
_GAUGES: Final = frozenset({"open", "held"})
_LIVE_FAMILIES: Final = frozenset({"token_figures", "token_states", "token_good"})
# Of which the smallest is told, not the sum.
_AGES: Final = frozenset({"youngest"})
# What of a server's statistics only grows, and under which labels.
_SERVER_TOTALS: Final = ("requests", "failures", "ejections", "wait_seconds")
_SERVER_LABELS: Final = ("upstream", "server")

Row = Mapping[str, Any]


def merge(snapshots: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add snapshots up; one may lack families that another one has."""
    merged: dict[str, Any] = {}
    for family in dict.fromkeys(family for snapshot in snapshots for family in snapshot):
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
    """What of the statistics of servers only grows, by upstream and server."""
    return merge_rows([{key: server[key] for key in (*_SERVER_LABELS, *_SERVER_TOTALS)} for server in servers])


class Retained:
    """What workers had counted that are gone: a counter that falls back when one is replaced would show traffic that was not."""

    def __init__(self) -> None:
        """Nobody is gone."""
        self._kept: dict[str, Any] = {}

    def keep(self, snapshot: Mapping[str, Any], servers: Sequence[Row] = ()) -> None:
        """Add the last snapshot of a worker that ended, and the last statistics of its servers (`ServerStatistics`)."""
        counted = {
            family: rows if family == "breaking" else _without_gauges(rows)
            for family, rows in snapshot.items()
            if family not in _LIVE_FAMILIES
        }
        self._kept = merge([self._kept, counted, {"servers": server_totals(servers)}])

    @property
    def snapshot(self) -> Mapping[str, Any]:
        """What is kept, for `Scrape.retained`."""
        return self._kept

    def total(self, live: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What was ever counted: by those who are gone, and by those whose snapshots these are."""
        return merge([self._kept, *live])


def _without_gauges(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{key: 0 if key in _GAUGES else value for key, value in row.items()} for row in rows]
