"""Help is broken where the terminal ends, and nowhere else."""

from collections.abc import Iterator

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from proxy.commands.cli import app
from proxy.commands.terminal.help_text import paragraphs, unwrap


def test_a_paragraph_is_one_line() -> None:
    assert paragraphs("One\n    line.\n\n    Two,\n    three.\n") == "One line.\n\nTwo, three."
    assert paragraphs("") == ""


def test_help_of_its_own_and_what_is_no_function_stay() -> None:
    one = typer.Typer()
    one.command(help="Its\nown.")(lambda: None)
    unwrap(one)
    assert one.registered_commands[0].help == "Its\nown."


def commands(command: typer._click.core.Command, way: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    yield way, command.help or ""
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, (*way, name))


def test_no_text_of_a_command_has_a_line_break_of_its_own() -> None:
    for way, text in commands(get_command(app)):
        assert text, way
        assert [one for one in text.split("\n\n") if "\n" in one] == [], way


@pytest.mark.parametrize(
    ("words", "end"),
    [([], "a second one stops it at once."), (["payload"], "The key that encrypts now cannot be retired.")],
)
def test_a_list_of_commands_has_whole_sentences(words: list[str], end: str) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "300"})
    assert end in " ".join(shown.stdout.split())
