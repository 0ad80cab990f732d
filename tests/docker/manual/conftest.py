"""The command line of the program, and a small one of which each word is known."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import typer

from docker.building.manual.tree import CliCommand, command_tree
from proxy.commands.cli import app


class Colour(StrEnum):
    """The choices of an option."""

    RED = "red"
    GREEN = "green"


def small_program() -> typer.Typer:
    """A program `paint` with a command, a group that does something by itself, and what is hidden."""
    paint = typer.Typer(name="paint", help="Paint walls. Slowly.", add_completion=False, epilog="Buy paint first.")
    doors = typer.Typer(
        name="doors", help="Doors: one or all.", invoke_without_command=True, epilog="Example: paint doors"
    )

    @paint.callback()
    def options(is_quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing.")] = False) -> None:  # noqa: FBT002
        """Options before the command."""

    @paint.command(epilog="Example: paint wall north --colour red")
    def wall(  # noqa: PLR0913 - one of each kind
        name: Annotated[str, typer.Argument(metavar="UPSTREAM", help="Which [upstream] it is.")],
        colour: Annotated[Colour, typer.Option(help="The colour.")] = Colour.GREEN,
        plan: Annotated[Path | None, typer.Option(metavar="FILE", help="A plan.", show_default=False)] = None,
        place: Annotated[Path | None, typer.Option(metavar="DIRECTORY", help="Where.", show_default=False)] = None,
        notes: Annotated[list[str] | None, typer.Option("--note", metavar="NOTE", help="It's a note.")] = None,
        dry: Annotated[bool, typer.Option("--dry/--wet", help="Dry paint.")] = True,  # noqa: FBT002
        secret: Annotated[str, typer.Option(hidden=True)] = "",
    ) -> None:
        """Paint a wall. Twice.

        It dries in
        an hour.
        """

    @paint.command(hidden=True)
    def ceiling() -> None:
        """Paint the ceiling."""

    @doors.command()
    def one(doors: Annotated[list[Path], typer.Argument(metavar="FILE", help="The doors.")]) -> None:
        """Paint doors."""

    paint.add_typer(doors)
    return paint


@pytest.fixture(scope="session")
def small() -> CliCommand:
    """The small program as values."""
    return command_tree(typer.main.get_command(small_program()))


@pytest.fixture(scope="session")
def program() -> CliCommand:
    """The real one."""
    return command_tree(typer.main.get_command(app))
