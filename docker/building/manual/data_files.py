"""The files that are installed beside the program: manual pages, and completions of shells.

    python -m docker.building.manual.data_files DIR VERSION

writes them below DIR, where a prefix such as /usr has them. The build of a wheel and that of the
Debian package run it. The date in the pages is that of SOURCE_DATE_EPOCH, so that the same sources
give the same files.
"""

import os
import sys
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final

import typer

from docker.building.manual.bash_completion import bash_completion
from docker.building.manual.configuration_page import configuration_page
from docker.building.manual.fish_completion import fish_completion
from docker.building.manual.pages import manual_pages
from docker.building.manual.tree import command_tree
from docker.building.manual.zsh_completion import zsh_completion
from proxy.commands.cli import app
from proxy.commands.completion import PLACES, Shell

_COMPLETIONS: Final = {Shell.BASH: bash_completion, Shell.ZSH: zsh_completion, Shell.FISH: fish_completion}


def data_files(date: str, version: str) -> dict[str, str]:
    """Path below the prefix -> text, for a date in the form of ISO 8601."""
    program = command_tree(typer.main.get_command(app))
    pages = manual_pages(program, date, version)
    example = (files("config") / "example.toml").read_text(encoding="utf-8")
    return {
        **{f"share/man/man1/{name}": text for name, text in pages.items()},
        "share/man/man5/plexigate.toml.5": configuration_page(example, date, version),
        **{place: _COMPLETIONS[shell](program) for shell, place in PLACES.items()},
    }


def main() -> None:
    """Write them below the directory that is the first argument; the second one is the version."""
    place = Path(sys.argv[1])
    version = sys.argv[2]
    date = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC).date().isoformat()
    for path, text in data_files(date, version).items():
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
