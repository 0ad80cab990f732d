"""The report of `plexigate doctor standards` for an operator."""

from collections.abc import Iterator
from typing import Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from config.values.problems import printable
from proxy.doctor.standards.assessment import Assessment, Conformity
from proxy.doctor.standards.report import StandardReport, counts
from proxy.doctor.standards.standards import DISCLAIMER

_STYLES: Final = {
    Conformity.MET: "green",
    Conformity.NOT_MET: "bold red",
    Conformity.NOT_USED: "dim",
}


def print_standards(report: StandardReport, console: Console) -> None:
    for one in _shown(report):
        console.print(one)


def _shown(report: StandardReport) -> Iterator[RenderableType]:
    yield Text(DISCLAIMER, "italic")
    if not report.has_running_proxy:
        yield Text("No running proxy answers: what only it can show is left out.", "yellow")
    if not report.has_configuration:
        yield Text("No configuration was read: what only it can show is left out.", "yellow")
    for standard, rows in report.standards:
        yield Text.assemble("\n", (standard.title, "bold"), "  ", (_counted(counts(rows)), "dim"))
        for row in rows:
            yield from _row(row)
    yield Text(f"\n{_counted(report.counts)}", "bold")


def _row(row: Assessment) -> Iterator[RenderableType]:
    yield Text.assemble("  ", (f"{row.verdict:<16}", _STYLES[row.verdict]), (row.clause, "bold"))
    table = Table.grid("", Column(overflow="fold"), padding=(0, 2))
    table.add_row(Text("asks", "dim"), Text(row.requirement))
    table.add_row(Text("found", "dim"), Text(printable(row.found)))
    table.add_row(Text("where", "dim"), Text(row.where))
    if row.remedy:
        table.add_row(Text("do", "dim"), Text(row.remedy))
    yield Padding(table, (0, 0, 0, 18), expand=False)


def _counted(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in numbers.items() if number)
