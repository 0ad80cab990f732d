"""How far a command that takes long has come: on a terminal alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str, size: int | None) -> Iterator[Callable[[int], None]]:
    """Show bytes as they are told, of `size` where that is known, on standard error."""
    # imported here: without a terminal it is not needed
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from proxy.commands.terminal.console import error_console

    console = error_console()
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(what, total=size)
        yield lambda count: shown.advance(task, count)
