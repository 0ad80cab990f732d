"""The command line: what the program says of itself, and the table of its commands."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from proxy.commands.cli import app
from proxy.commands.terminal.help_text import WholeSentences, summary
from proxy.processes.hot_path import hot_path
from tests.configurations import Site

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


MODULES_OF = """
import atexit, os, sys

atexit.register(lambda: os.write(2, ("\\nmodules " + " ".join(sys.modules)).encode()))
"""
PROGRAM = MODULES_OF + "from proxy.commands.start import main; sys.argv[0] = 'plexigate'; main()"
OF_A_CA = {"acme", "josepy", "requests", "shamir_mnemonic"}
OF_A_SERVER = {"aiohttp", "prometheus_client", "uvloop"}
OF_A_CONFIGURATION = {"asyncio", "config.schema", "cryptography", "pydantic", "pkcs11"}


@pytest.mark.parametrize(
    ("code", "words", "most", "without"),
    [
        (PROGRAM, "--version", 240, {"rich", *OF_A_CA, *OF_A_SERVER, *OF_A_CONFIGURATION}),
        (PROGRAM, "--help", 190, {"rich", *OF_A_CA, *OF_A_SERVER, *OF_A_CONFIGURATION}),
        (PROGRAM, "check --help", 280, {"rich", *OF_A_CA, *OF_A_SERVER, "asyncio", "config.schema"}),
        (PROGRAM, "status --socket nowhere", 300, {*OF_A_CA, *OF_A_SERVER, *OF_A_CONFIGURATION}),
        (PROGRAM, "drain chat http://a --socket nowhere", 300, {*OF_A_CA, *OF_A_SERVER, *OF_A_CONFIGURATION}),
        (PROGRAM, "check FILE", 940, {"rich", "pkcs11", "OpenSSL", *OF_A_CA, *OF_A_SERVER}),
        (MODULES_OF + "import proxy.commands.run", "", 1_096, {"rich", "typer", "pkcs11", "OpenSSL", *OF_A_CA}),
        (
            MODULES_OF + "import proxy.worker.entry",
            "",
            850,
            {"rich", "typer", "pkcs11", "config.crosschecks.crosschecks", *OF_A_CA, *(OF_A_SERVER - {"uvloop"})},
        ),
    ],
    ids=["version", "help", "help-of-check", "status", "drain", "check", "parent", "worker"],
)
def test_a_process_imports_what_it_needs(tmp_path: Path, code: str, words: str, most: int, without: set[str]) -> None:
    """Imports are nearly all the CPU that a command and a start take."""
    site = Site.make(tmp_path)
    file = site.write('user = "nobody"\n' + site.minimal)
    done = subprocess.run(
        [sys.executable, "-c", code, *(str(file) if word == "FILE" else word for word in words.split())],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    loaded = done.stderr.rpartition("\nmodules ")[2].split()
    assert without & set(loaded) == set()
    assert most * 3 // 4 <= len(loaded) <= most, "a new import? or fewer: then lower the limit"
