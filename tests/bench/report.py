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
    limit: float

    @classmethod
    def of(cls, title: str, unit: str, limit: float, rounds: Sequence[Round]) -> "Row":
        """Summarise the rounds."""
        return cls(
            title,
            unit,
            median(each.nginx for each in rounds),
            median(each.plexigate for each in rounds),
            median(each.plexigate / each.nginx for each in rounds),
            limit,
        )

    @property
    def is_within_limit(self) -> bool:
        """Whether Plexigate costs no more than it may."""
        return self.ratio <= self.limit


def table(rows: Sequence[Row]) -> str:
    """The rows in columns, for a terminal of 100 columns."""
    width = max(len(row.title) for row in rows)
    lines = [f"{'':{width}}  {'':7}  {'nginx':>8}  {'plexigate':>9}  {'ratio':>6}  {'limit':>6}"]
    for row in rows:
        numbers = f"{row.nginx:>8.1f}  {row.plexigate:>9.1f}  {row.ratio:>5.2f}x  {row.limit:>5.2f}x"
        lines.append(f"{row.title:{width}}  {row.unit:7}  {numbers}  {'ok' if row.is_within_limit else 'OVER'}")
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> str:
    """The rows as one JSON document."""
    return json.dumps({"rows": [{**asdict(row), "ok": row.is_within_limit} for row in rows]}, indent=2)
