"""`plexigate completion`: prints the completion of a shell."""

from enum import StrEnum
from typing import Annotated

import typer

from proxy.commands.manual.bash_completion import bash_completion
from proxy.commands.manual.fish_completion import fish_completion
from proxy.commands.manual.tree import CliCommand, command_tree
from proxy.commands.manual.zsh_completion import zsh_completion


class Shell(StrEnum):
    """A shell whose completion can be printed."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_Shell = Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False)]


app = typer.Typer()


@app.command(epilog="Example: plexigate completion bash > ~/.local/share/bash-completion/completions/plexigate")
def completion(context: typer.Context, shell: _Shell) -> None:
    """Print the completion of a shell, for an installation whose shells do not find it.

    The Debian package installs all completions. They are functions of the shell:
    TAB does not start the program.
    """
    typer.echo(_completion_of(command_tree(context.find_root().command), shell), nl=False)


def _completion_of(program: CliCommand, shell: Shell) -> str:
    match shell:
        case Shell.BASH:
            return bash_completion(program)
        case Shell.ZSH:
            return zsh_completion(program)
        case Shell.FISH:
            return fish_completion(program)
