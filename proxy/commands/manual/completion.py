"""`plexigate completion`: prints the completion of a shell."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from proxy.commands.manual.tree import CliCommand


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
def completion(context: typer.Context, shell: _Shell) -> None:
    """Print the completion of a shell, for an installation whose shells do not find it.

    The Debian package installs all completions. They are functions of the shell:
    TAB does not start the program.
    """
    text = _installed(Path(sys.prefix), Path(__file__), shell)
    if text is None:
        from proxy.commands.manual.tree import command_tree  # imported here: it imports all commands

        text = completion_of(command_tree(context.find_root().command), shell)
    typer.echo(text, nl=False)


def _installed(prefix: Path, module: Path, shell: Shell) -> str | None:
    """The file that was installed with this module below `prefix`; None for sources."""
    if not module.is_relative_to(prefix):
        return None
    try:
        return (prefix / PLACES[shell]).read_text(encoding="utf-8")
    except OSError:
        return None


def completion_of(program: "CliCommand", shell: Shell) -> str:
    """Make the completion of a shell."""
    match shell:
        case Shell.BASH:
            from proxy.commands.manual.bash_completion import bash_completion

            return bash_completion(program)
        case Shell.ZSH:
            from proxy.commands.manual.zsh_completion import zsh_completion

            return zsh_completion(program)
        case Shell.FISH:
            from proxy.commands.manual.fish_completion import fish_completion

            return fish_completion(program)
