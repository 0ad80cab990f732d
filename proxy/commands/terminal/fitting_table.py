"""A table that cuts nothing where a terminal is narrow: what somebody has to copy out of it must be there to its last letter."""

from dataclasses import dataclass
from itertools import chain

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

# Wider than any table: for asking what one needs.
_UNBOUNDED = 10_000


@dataclass(frozen=True, slots=True)
class FittingTable:
    """A table of words, or where it does not fit, a block of lines for each row, below what stands in its first column.

    A column that is `no_wrap` keeps its width; the words of another one may stand below each other before the table is given up.
    """

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Either of both."""
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


def _text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))
