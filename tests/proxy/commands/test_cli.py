"""The command line: what the program says of itself, and the table of its commands."""

import subprocess
import sys
from importlib.metadata import version

from typer.main import get_command
from typer.testing import CliRunner, Result

from proxy.commands.cli import app
from proxy.commands.terminal.help_text import WholeSentences, summary
from proxy.processes.hot_path import hot_path

WIDE = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


def plexigate(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=WIDE)


def test_version() -> None:
    result = plexigate("--version")
    assert result.exit_code == 0
    assert result.stdout == f"plexigate {version('plexigate')} (hot path {hot_path()})\n"


def test_help_says_how_to_begin() -> None:
    result = plexigate("--help")
    assert result.exit_code == 0
    for word in ("run", "check", "plexigate.toml(5)"):
        assert word in result.stdout


def test_the_table_says_of_each_command_what_its_help_says() -> None:
    program = get_command(app)
    assert isinstance(program, WholeSentences)
    for name, command in program.commands.items():
        assert (command.name, summary(command.help or "")) == (name, program.summary_of(name))


def test_a_command_loads_no_server_and_no_client_of_a_ca() -> None:
    code = "import sys, proxy.commands.cli; print(sorted({'acme', 'aiohttp', 'requests', 'uvloop'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n", "each of them takes a fifth of the time that a command needs to start"
