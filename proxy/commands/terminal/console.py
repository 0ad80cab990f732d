"""The console for tables: as wide as the terminal; in a file or pipe, as wide as the caller
says."""

from rich.console import Console


def table_console(file_columns: int) -> Console:
    """Return standard output. It is `file_columns` wide if it is not a terminal: rich would cut at
    80."""
    console = Console()
    return console if console.is_terminal else Console(width=file_columns)
