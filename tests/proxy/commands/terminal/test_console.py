"""How wide tables may be."""

import io
import sys

import pytest

from proxy.commands.terminal.console import table_console


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
