"""What was measured, as a table for people or JSON for machines."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement of each, taken one right after the other."""

    nginx: float
    plexigate: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the medians of its rounds, and the median of their ratios, which noise moves least."""

    title: str
    unit: str
    nginx: float
    plexigate: float
    ratio: float
    limit: float | None
    """Of the ratio."""
    most: float | None = None
    """What Plexigate may need, whatever nginx does. Where there is no limit either, the row only tells."""
    note: str = ""

    @classmethod
    def of(
        cls,
        title: str,
        unit: str,
        limit: float | None,
        rounds: Sequence[Round],
        *,
        most: float | None = None,
        note: str = "",
    ) -> "Row":
        """Summarise the rounds."""
        return cls(
            title,
            unit,
            median(each.nginx for each in rounds),
            median(each.plexigate for each in rounds),
            median(each.plexigate / each.nginx for each in rounds),
            limit,
            most,
            note,
        )

    @property
    def is_within_limit(self) -> bool:
        """Whether Plexigate costs no more than it may."""
        return (self.limit is None or self.ratio <= self.limit) and (self.most is None or self.plexigate <= self.most)

    @property
    def bound(self) -> str:
        """What it may cost, for people."""
        if self.limit is not None:
            return f"{self.limit:.2f}x"
        return "" if self.most is None else f"{self.most:.1f}"

    @property
    def verdict(self) -> str:
        """For people, too."""
        if not self.bound:
            return ""
        return "ok" if self.is_within_limit else "OVER"


def table(rows: Sequence[Row]) -> str:
    """The rows in columns, for a terminal of 100 columns."""
    width = max(len(row.title) for row in rows)
    lines = [f"{'':{width}}  {'':7}  {'nginx':>8}  {'plexigate':>9}  {'ratio':>6}  {'limit':>6}"]
    for row in rows:
        numbers = f"{row.nginx:>8.1f}  {row.plexigate:>9.1f}  {row.ratio:>5.2f}x  {row.bound:>6}"
        line = f"{row.title:{width}}  {row.unit:7}  {numbers}  {row.verdict}{row.note and f'  ({row.note})'}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> str:
    """The rows as one JSON document."""
    return json.dumps({"rows": [{**asdict(row), "ok": row.is_within_limit} for row in rows]}, indent=2)
