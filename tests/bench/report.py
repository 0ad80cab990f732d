"""What was measured, as a table for people or JSON for machines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

OURS = "plexigate"
COLUMNS = ("nginx", "haproxy", OURS)

Round = Mapping[str, float]
"""One measurement of each contender, one right after the other."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    key: str
    title: str
    unit: str
    rounds: Sequence[Round]
    wanted: float | None
    """Of the ratio, at most."""
    most: float | None = None
    """What Plexigate may need, whatever others do. Where `wanted` is None too, the row only tells."""
    is_wanted_each_time: bool = False
    """Whether each round has to keep `wanted`, and not their median alone."""
    note: str = ""

    def figure(self, name: str) -> float:
        """The median of a contender's rounds."""
        return median(each[name] for each in self.rounds)

    @property
    def contenders(self) -> list[str]:
        """Their names, in the order of the table."""
        return sorted(self.rounds[0], key=lambda name: COLUMNS.index(name) if name in COLUMNS else -1)

    @property
    def yardstick(self) -> str:
        """The better of the others."""
        return min((name for name in self.contenders if name != OURS), key=self.figure)

    @property
    def ratios(self) -> list[float]:
        """Ours against the yardstick, round by round."""
        return [each[OURS] / each[self.yardstick] for each in self.rounds]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios, which noise moves least."""
        return median(self.ratios)

    @property
    def is_within_limit(self) -> bool:
        """Whether Plexigate costs no more than it may."""
        judged = max(self.ratios) if self.is_wanted_each_time else self.ratio
        return (self.wanted is None or judged <= self.wanted) and (self.most is None or self.figure(OURS) <= self.most)

    @property
    def bound(self) -> str:
        """What it may cost, for people."""
        if self.wanted is not None:
            return f"{self.wanted:.2f}x" if self.wanted >= 1 else f"{self.wanted:.3f}x"
        return "" if self.most is None else f"{self.most:.1f}"

    @property
    def verdict(self) -> str:
        """For people, too."""
        if not self.bound:
            return ""
        return "ok" if self.is_within_limit else "OVER"


def table(head: Mapping[str, str], rows: Sequence[Row]) -> str:
    """Where and what was measured, the rows in columns for a terminal of 120, and their notes below them."""
    width = max(len(row.title) for row in rows)
    names = "".join(f"  {name:>9}" for name in COLUMNS)
    said = ", ".join(
        value if name in {"date", "code", "machine"} else f"{name} {value}" for name, value in head.items()
    )
    lines = [said, "", f"{'':{width}}  {'':6}{names}  {'ratio':>6}  {'min-max':>9}  {'wanted':>6}"]
    for row in rows:
        figures = "".join(f"  {row.figure(one):>9.1f}" if one in row.contenders else f"  {'':9}" for one in COLUMNS)
        spread = f"{min(row.ratios):.2f}-{max(row.ratios):.2f}"
        numbers = f"{figures}  {row.ratio:>5.2f}x  {spread:>9}  {row.bound:>6}"
        lines.append(f"{row.title:{width}}  {row.unit:6}{numbers}  {row.verdict}".rstrip())
    lines += ["", f"ratio: {OURS} against the better of the others; median of the rounds, and their least and largest"]
    for row in rows:
        others = [f"{name} {row.figure(name):.1f}" for name in row.contenders if name not in COLUMNS]
        if others or row.note:
            lines.append(f"{row.title}: {'; '.join([*others, *([row.note] if row.note else [])])}")
    return "\n".join(lines)


def markdown(head: Mapping[str, str], rows: Sequence[Row]) -> str:
    """The rows as docs/performance.md has them."""
    lines = [", ".join(f"{name} {value}" for name, value in head.items()), ""]
    lines += [
        "| | nginx | HAProxy | Plexigate | ratio (least - largest) | wanted |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        unit = row.unit.removesuffix(" CPU").removesuffix(" ins")
        others = [f" ({name} {row.figure(name):.1f} {unit})" for name in row.contenders if name not in COLUMNS]
        cells = [
            f"{row.figure(one):,.{0 if row.figure(one) >= 100 else 1}f} {unit}" if one in row.contenders else ""
            for one in COLUMNS
        ]
        wanted = row.bound.removesuffix("x") + ("" if row.is_within_limit else ", missed")
        ratio = f"{row.ratio:.2f} ({min(row.ratios):.2f} - {max(row.ratios):.2f})"
        lines.append(f"| {' | '.join([row.title + ''.join(others), *cells, ratio, wanted])} |")
    return "\n".join([*lines, "", *(f"- {row.title}: {row.note}" for row in rows if row.note)])


def as_json(head: Mapping[str, object], rows: Sequence[Row]) -> str:
    """Where and what was measured, and the rows, as one JSON document."""
    return json.dumps({"measured": head, "rows": [_document(row) for row in rows]}, indent=2)


def _document(row: Row) -> dict[str, object]:
    return {
        "key": row.key,
        "title": row.title,
        "unit": row.unit,
        "medians": {name: row.figure(name) for name in row.contenders},
        "spread": {
            name: [min(each[name] for each in row.rounds), max(each[name] for each in row.rounds)]
            for name in row.contenders
        },
        "yardstick": row.yardstick,
        "ratio": row.ratio,
        "ratio_spread": [min(row.ratios), max(row.ratios)],
        "wanted": row.wanted,
        "most": row.most,
        "note": row.note,
        "ok": row.is_within_limit,
    }
