"""The consoles of standard output and standard error: as wide as the terminal; in a file or pipe,
as wide as the caller says."""

import re
from typing import Any

from rich.console import Console

_BLANKS_AT_END = re.compile(r"[ \t]+$", re.MULTILINE)


class _FileConsole(Console):
    """Leaves out the blanks with which rich fills lines up: what reads a pipe compares lines."""

    def print(self, *objects: Any, **options: Any) -> None:
        with self.capture() as captured:
            super().print(*objects, **options)
        self.file.write(_BLANKS_AT_END.sub("", captured.get()))


def table_console(file_columns: int | None = None) -> Console:
    """Return standard output. If it is not a terminal, it is `file_columns` wide. Without them
    lines break as rich breaks them: at 80, or at COLUMNS of the environment."""
    console = Console()
    return console if console.is_terminal else _FileConsole(width=file_columns)


def error_console() -> Console:
    """Return standard error, with the width of `table_console` without columns."""
    console = Console(stderr=True)
    return console if console.is_terminal else _FileConsole(stderr=True)
