"""A command's module is imported when the command is used, and what the table says of it holds."""

import sys

import pytest
import typer
from typer.testing import CliRunner

from proxy.commands.command_table import CommandTable, Entry, group_of
from proxy.commands.terminal.help_text import summary

HELLO = '''
import typer

app = typer.Typer()

@app.command()
def hello() -> None:
    """Say hello. At
    once.

    Politely.
    """
    typer.echo("hello")

@app.command()
def goodbye() -> None:
    """Say goodbye."""
'''
GROUP = '''
import typer

app = typer.Typer(name="letters", help="Letters [A-Z].")

@app.callback()
def letters() -> None:
    """Makes it a group."""

@app.command()
def send() -> None:
    """Send one."""
'''
TABLE = (
    Entry("hello", "a_hello", "Say hello. At once."),
    Entry("goodbye", "a_hello", "Say goodbye."),
    Entry("letters", "a_group", "Letters [A-Z]."),
)


@pytest.fixture
def program(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    place = tmp_path_factory.mktemp("modules")
    (place / "a_hello.py").write_text(HELLO)
    (place / "a_group.py").write_text(GROUP)
    monkeypatch.syspath_prepend(place)
    for module in ("a_hello", "a_group"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    app = typer.Typer(cls=group_of(TABLE), rich_markup_mode=None, add_completion=False)
    app.callback()(lambda: None)
    return app


def test_help_imports_no_command(program: typer.Typer) -> None:
    shown = CliRunner().invoke(program, ["--help"])
    assert shown.exit_code == 0
    assert all(entry.summary in shown.stdout for entry in TABLE)
    assert not {"a_hello", "a_group"} & set(sys.modules)


def test_a_command_imports_its_module_alone(program: typer.Typer) -> None:
    assert CliRunner().invoke(program, ["hello"]).stdout == "hello\n"
    assert "a_hello" in sys.modules
    assert "a_group" not in sys.modules


def test_help_of_a_command_is_its_own_in_whole_paragraphs(program: typer.Typer) -> None:
    shown = CliRunner().invoke(program, ["hello", "--help"]).stdout
    assert "Say hello. At once.\n\n  Politely.\n" in shown
    assert "send  Send one." in CliRunner().invoke(program, ["letters", "--help"]).stdout


def test_a_typo_imports_nothing(program: typer.Typer) -> None:
    done = CliRunner().invoke(program, ["helo"])
    assert (done.exit_code, "Did you mean 'hello'?" in done.stderr) == (2, True)
    assert "a_hello" not in sys.modules


@pytest.mark.usefixtures("program")
def test_commands_are_made_once() -> None:
    table = CommandTable(TABLE)
    assert table["hello"] is table["hello"]
    assert (list(table), len(table)) == (["hello", "goodbye", "letters"], 3)
    assert [summary(command.help) for command in table.values()] == [entry.summary for entry in TABLE]
    assert "nothing" not in table
