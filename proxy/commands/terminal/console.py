"""Where commands print their tables: a terminal as it is, a file or pipe as wide as the widest table."""

from rich.console import Console


def table_console(file_columns: int) -> Console:
    """Standard output; `file_columns` wide where it is no terminal, as rich would else cut to 80."""
    console = Console()
    return console if console.is_terminal else Console(width=file_columns)
