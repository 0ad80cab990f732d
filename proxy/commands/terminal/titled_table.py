"""The look of the tables of `plexigate status`."""

from rich.table import Table


def titled_table(title: str, *columns: str) -> Table:
    """Make a table. A column whose name begins with `>` is aligned right."""
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", header_style="dim")
    return table
