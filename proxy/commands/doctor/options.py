"""What the commands of the doctor share: options, and how they end without a configuration."""

from pathlib import Path
from typing import Annotated, Final

import typer

from config.values.problems import ConfigError
from proxy.commands.terminal.console import error_console
from proxy.commands.terminal.problem_table import print_problems

FileArgument = Annotated[Path | None, typer.Argument(metavar="FILE", help="The configuration, in TOML.")]
SocketOption = Annotated[
    Path | None, typer.Option("--socket", metavar="PATH", help="Path of the admin socket. Default: as in FILE.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write the report as JSON.")]

WRONG: Final = 1
"""Exit status: something is wrong, unmet or in the way."""
UNREADABLE: Final = 2
"""Exit status: what was asked for cannot be read or is unknown."""
FILE_COLUMNS: Final = 120
"""The width of a report that is not written to a terminal: enough for every remedy."""


def unreadable(error: ConfigError) -> typer.Exit:
    """Print the problems of a configuration, and return the exit for the caller to raise."""
    print_problems(error.problems, error_console())
    return typer.Exit(UNREADABLE)
