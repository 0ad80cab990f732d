"""`plexigate password`: the line that it writes, and what it refuses."""

import getpass
import io
import sys
from contextlib import nullcontext

import pytest
import typer
from typer.testing import CliRunner

from proxy.auth.users import parse_users
from proxy.commands.cli import app
from proxy.commands.password import password


def test_line_of_standard_input_becomes_the_line_of_a_user() -> None:
    result = CliRunner().invoke(app, ["password", "ada"], input="correct horse\r\nrest\n")
    assert result.exit_code == 0
    assert "horse" not in result.output
    assert parse_users(result.stdout.encode()).accepts("ada", b"correct horse")


@pytest.mark.parametrize(
    ("name", "given", "message", "status"),
    [
        ("a:b", "correct horse", 'the name "a:b"; allowed: a name of up to 64 ASCII letters', 2),
        ("ada", "", "a password of 0 octets; allowed: from 8 to 1_024", 1),
        ("ada", "short", "a password of 5 octets", 1),
        ("ada", "x" * 1_025, "a password of 1025 octets", 1),
    ],
)
def test_what_it_refuses(name: str, given: str, message: str, status: int) -> None:
    result = CliRunner().invoke(app, ["password", name], input=given)
    assert result.exit_code == status
    assert message in result.stderr
    assert result.stdout == ""


class Keyboard(io.StringIO):
    """Standard input that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("again", ["correct horse", "correct hose"])
def test_terminal_is_asked_twice(
    again: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    is_taken = again == "correct horse"
    typed = ["correct horse", again]
    monkeypatch.setattr(sys, "stdin", Keyboard())
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: typed.pop(0))
    with nullcontext() if is_taken else pytest.raises(typer.Exit):
        password("ada")
    output = capsys.readouterr()
    assert output.out.startswith("ada:$argon2id$") is is_taken
    assert ("the two passwords differ" in output.err) is not is_taken


def test_without_standard_input_there_is_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(typer.Exit):
        password("ada")
