"""Problems of a configuration, for a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from config.values.problems import Problem, printable


def print_problems(problems: Sequence[Problem], console: Console) -> None:
    """Print each problem: severity, place, what was found, what is allowed."""
    for problem in problems:
        style = "bold red" if problem.is_error else "bold yellow"
        console.print(Text.assemble((str(problem.severity), style), "  ", (problem.key or problem.file, "bold")))
        table = Table.grid("", "", Column(overflow="fold"), padding=(0, 2))  # a path that is cut is of no use
        table.add_row("", Text("in", "dim"), Text(problem.place))
        table.add_row("", Text("found", "dim"), Text(printable(problem.found)))
        table.add_row("", Text("allowed" if problem.is_error else "better", "dim"), Text(printable(problem.allowed)))
        console.print(table)
