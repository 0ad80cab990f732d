"""A view that is drawn repeatedly."""

import io

import pytest
from rich.console import Console

from proxy.commands.terminal.live_view import live_view


class Person:
    """Waits a few times, then presses Ctrl-C."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.drawn = 0

    def draw(self) -> str:
        self.drawn += 1
        return "view " + "abc"[self.drawn - 1]

    def wait(self) -> None:
        self.patience -= 1
        if self.patience < 0:
            raise KeyboardInterrupt


def terminal() -> tuple[Console, io.StringIO]:
    output = io.StringIO()
    return Console(file=output, force_terminal=True, width=40, height=10), output


def test_it_is_drawn_until_ctrl_c_and_gives_the_screen_back() -> None:
    console, output = terminal()
    person = Person(2)
    live_view(console, person.draw, person.wait)
    assert person.drawn == 3
    text = output.getvalue()
    assert text.index("view a") < text.index("view b") < text.index("view c")
    assert text.startswith("\x1b[?1049h")
    assert "\x1b[?1049l" in text[text.index("view c") :]


def test_error_of_a_drawing_ends_it_and_gives_the_screen_back() -> None:
    console, output = terminal()

    def fail() -> str:
        raise ValueError("no answer")

    with pytest.raises(ValueError, match="no answer"):
        live_view(console, fail, lambda: None)
    assert "\x1b[?1049l" in output.getvalue()
