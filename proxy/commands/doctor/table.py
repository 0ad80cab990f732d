"""The report of `plexigate doctor` for an operator: by area, what is wrong first in each."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from config.values.problems import printable
from proxy.doctor.checkup import Result
from proxy.doctor.finding import Area, Finding, State
from proxy.doctor.report import counts

_STYLES: Final = {
    State.OK: "green",
    State.WARNING: "bold yellow",
    State.FAILURE: "bold red",
    State.UNKNOWN: "bold magenta",
    State.SKIPPED: "dim",
}
_WORST_FIRST: Final = (State.FAILURE, State.WARNING, State.UNKNOWN, State.SKIPPED, State.OK)
_SHOWN_IN_SHORT: Final = frozenset({State.FAILURE, State.WARNING, State.UNKNOWN})


def print_report(results: Sequence[Result], console: Console, *, shows_all: bool) -> None:
    """Print the report. In short, it names what is not ok, and counts the rest by area."""
    order = list(Area)
    by_area = sorted(results, key=lambda one: order.index(one.checkup.area))
    for area, group in groupby(by_area, key=lambda one: one.checkup.area):
        findings = [finding for result in group for finding in result.findings]
        findings.sort(key=lambda one: _WORST_FIRST.index(one.state))
        if findings:
            console.print(Text.assemble((f"\n{area}", "bold"), "  ", (_summary(findings), "dim")))
        for finding in findings:
            if shows_all or finding.state in _SHOWN_IN_SHORT:
                for part in _shown(finding):
                    console.print(part)
    console.print(Text(f"\n{_counted(counts(results))}", "bold"))


def _shown(finding: Finding) -> Iterator[RenderableType]:
    style = _STYLES[finding.state]
    yield Text.assemble("  ", (f"{finding.state:<8}", style), (finding.check, "bold"), "  ", printable(finding.subject))
    table = Table.grid("", Column(overflow="fold"), padding=(0, 2))  # a path that is cut is of no use
    table.add_row(Text("found", "dim"), Text(printable(finding.found)))
    if finding.remedy:
        table.add_row(Text("do", "dim"), Text(printable(finding.remedy)))
    yield Padding(table, (0, 0, 0, 10), expand=False)


def _summary(findings: Sequence[Finding]) -> str:
    return _counted({str(state): sum(one.state is state for one in findings) for state in State})


def _counted(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in numbers.items() if number)
