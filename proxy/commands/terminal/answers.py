"""What a command writes: its answer as JSON for programs, else a table or a sentence."""

import json
from collections.abc import Callable
from typing import Final

import typer
from rich.console import RenderableType

from proxy.commands.terminal.console import table_console

FILE_COLUMNS: Final = 200
"""Wide enough for every table and sentence when the output is not a terminal."""


def write_json(document: object) -> None:
    typer.echo(json.dumps(document, indent=2))


def write_table(table: RenderableType) -> None:
    table_console(FILE_COLUMNS).print(table)


def answer(document: object, shown: Callable[[], RenderableType], *, as_json: bool) -> None:
    """Write a document, or what `shown` makes of it; text stands on one line."""
    if as_json:
        write_json(document)
    elif isinstance(made := shown(), str):
        typer.echo(made)
    else:
        write_table(made)
