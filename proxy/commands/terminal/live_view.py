"""A view that is drawn again in the terminal repeatedly, until Ctrl-C."""

from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.live import Live


def live_view(console: Console, drawn: Callable[[], RenderableType], wait: Callable[[], None]) -> None:
    """Draw now and after each `wait`. `KeyboardInterrupt` of either ends it without an error.

    It takes the whole screen; what was there before comes back at the end.
    """
    with Live(console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                live.update(drawn(), refresh=True)
                wait()
        except KeyboardInterrupt:
            pass
