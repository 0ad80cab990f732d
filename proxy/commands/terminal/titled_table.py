"""The one look of tables: no lines, dim headers, two blanks between columns."""

from rich.table import Column, Table


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
