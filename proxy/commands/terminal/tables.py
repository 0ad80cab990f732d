"""The one look of tables: no lines, dim headers, two blanks between columns.

A `FittingTable` never cuts a value in a narrow terminal: an operator can copy every value from it.
"""

from dataclasses import dataclass
from itertools import chain

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

# Wider than any table: for measuring the width that a table needs.
_UNBOUNDED = 10_000


def plain_table(*columns: str | Column) -> Table:
    """Make a table. A column whose name begins with `>` is aligned right."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        if isinstance(column, str):
            table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
        else:
            table.columns.append(column)
    return table


def titled_table(title: str, *columns: str) -> Table:
    """The same below a title."""
    table = plain_table(*columns)
    table.title = f"\n{title}"
    table.title_justify = table.caption_justify = "left"
    table.title_style = "bold"
    return table


@dataclass(frozen=True, slots=True)
class FittingTable:
    """A table of words. If it does not fit, each row is shown as a block of lines below its first
    column.

    A column with `no_wrap` keeps its width. The words of other columns may wrap before the table
    becomes blocks.
    """

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unbounded = options.update(width=_UNBOUNDED, max_width=_UNBOUNDED)
        for column in self.table.columns:
            if column.no_wrap:
                cells = chain([column.header], column.cells)
                column.min_width = max(console.measure(cell, options=unbounded).maximum for cell in cells)
        if console.measure(self.table, options=unbounded).minimum <= options.max_width:
            yield self.table
            return
        first, *others = self.table.columns
        for name, *values in zip(first.cells, *(column.cells for column in others), strict=True):
            yield _text(name)
            block = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2))
            for column, value in zip(others, values, strict=True):
                if _text(value):
                    block.add_row(column.header, _text(value))
            yield Padding(block, (0, 0, 0, 2), expand=False)


def unwrapped(*columns: str | Column) -> Table:
    """A table in which columns that are given by their name alone do not wrap."""
    return plain_table(*(Column(one, no_wrap=True) if isinstance(one, str) else one for one in columns))


def _text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))
