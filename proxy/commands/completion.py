"""`plexigate completion`: prints the completion of a shell."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer


class Shell(StrEnum):
    """A shell whose completion can be printed."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


PLACES: Final = {
    Shell.BASH: "share/bash-completion/completions/plexigate",
    Shell.ZSH: "share/zsh/site-functions/_plexigate",
    Shell.FISH: "share/fish/vendor_completions.d/plexigate.fish",
}
"""Where an installation has the completions, below its prefix."""

_Shell = Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]

app = typer.Typer()


@app.command(epilog="Example: plexigate completion bash > ~/.local/share/bash-completion/completions/plexigate")
def completion(shell: _Shell) -> None:
    """Print the completion of a shell, for an installation whose shells do not find it.

    The Debian package installs all completions. They are functions of the shell:
    TAB does not start the program.
    """
    place = Path(sys.prefix) / PLACES[shell]
    try:
        typer.echo(place.read_text(encoding="utf-8"), nl=False)
    except OSError as error:
        made = "the build of a wheel makes it, and so does: python -m docker.building.manual.data_files DIR VERSION"
        typer.echo(f"{place}: {error.strerror}; {made}", err=True)
        raise typer.Exit(1) from None
