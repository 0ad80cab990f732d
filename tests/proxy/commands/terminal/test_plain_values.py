"""Values are read as typer reads them, and its errors stay."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer import core
from typer.testing import CliRunner

from proxy.commands.terminal.plain_values import read_values_plainly


class Colour(StrEnum):
    """A choice."""

    RED = "red"
    LIGHT = "light blue"


app = typer.Typer(rich_markup_mode=None)


@app.command()
def paint(  # noqa: PLR0913 - one of each kind
    name: str,
    further: Annotated[list[Path] | None, typer.Argument()] = None,
    colour: Colour = Colour.RED,
    plan: Path | None = None,
    coats: Annotated[int, typer.Option(min=1, max=9)] = 2,
    seconds: float | None = None,
    dry: Annotated[bool, typer.Option("--dry")] = False,  # noqa: FBT002
    notes: Annotated[list[str] | None, typer.Option("--note")] = None,
) -> None:
    """Say what was read."""
    typer.echo(repr((name, further, colour, plan, coats, seconds, dry, notes)))


@pytest.fixture(params=["as typer reads them", "plainly"])
def plainly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "build_runtime_param", core.build_runtime_param)  # type: ignore[attr-defined] # it is put back
    if request.param == "plainly":
        read_values_plainly()


READ = {
    "wall": "('wall', None, <Colour.RED: 'red'>, None, 2, None, False, None)",
    "wall|a|b": "('wall', [PosixPath('a'), PosixPath('b')], <Colour.RED: 'red'>, None, 2, None, False, None)",
    "wall|--colour|light blue|--plan|a/../b|--dry": "('wall', None, <Colour.LIGHT: 'light blue'>, PosixPath('a/../b'), 2, None, True, None)",
    "wall|--coats|9|--seconds|1.5|--note|x|--note|y": "('wall', None, <Colour.RED: 'red'>, None, 9, 1.5, False, ['x', 'y'])",
    "": "Missing argument 'name'",
    "wall|--colour|green": "'green' is not one of 'red', 'light blue'",
    "wall|--coats|10": "less than or equal to 9",
    "wall|--coats|two": "a valid integer",
}


@pytest.mark.usefixtures("plainly")
@pytest.mark.parametrize("words", READ)
def test_values_and_errors_are_those_of_typer(words: str) -> None:
    done = CliRunner().invoke(app, words.split("|") if words else [])
    assert READ[words] in done.output
    assert done.exit_code == (0 if READ[words].startswith("(") else 2)
