"""How wide tables may be."""

import io
import sys

import pytest
from rich.text import Text

from proxy.commands.terminal.console import table_console
from proxy.commands.terminal.tables import titled_table


class Output(io.StringIO):
    """What may say that it is a terminal."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.mark.parametrize(("is_terminal", "width"), [(True, 90), (False, 160)])
def test_terminal_says_how_wide_it_is_and_a_file_is_told(
    monkeypatch: pytest.MonkeyPatch, width: int, *, is_terminal: bool
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setattr(sys, "stdout", Output(is_terminal=is_terminal))
    assert table_console(160).width == width


@pytest.mark.parametrize("ends", [False, True])
def test_no_line_of_a_file_ends_in_blanks(monkeypatch: pytest.MonkeyPatch, *, ends: bool) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    output = Output(is_terminal=False)
    monkeypatch.setattr(sys, "stdout", output)
    table = titled_table("Title", "name", "rest")
    table.add_row("a", "")
    console = table_console(40)
    console.print(table)
    console.print(Text("b  "), end="" if ends else "\n")
    assert output.getvalue() == "\nTitle\nname  rest\na\nb" + ("" if ends else "\n")
