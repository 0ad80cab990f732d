"""Tokens and the command line for the tests of this directory."""

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.commands.cli import app
from tests.hsm_tokens import SoftHsm, softhsm


@dataclass(frozen=True, slots=True)
class Command:
    """`plexigate hsm` with a token named plexi."""

    hsm: SoftHsm
    options: tuple[str, ...]

    def run(self, *arguments: str, answer: str | None = None) -> Result:
        """Run it with these arguments, and with the options that name the token."""
        return self.plain(*arguments, *self.options, answer=answer)

    def plain(self, *arguments: str, answer: str | None = None) -> Result:
        """Run it with these arguments alone."""
        return CliRunner().invoke(app, ["hsm", *arguments], input=answer, env={"COLUMNS": "200"})


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """A SoftHSM without tokens. Refused PINs and the default admin socket have directories of their own."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run/plexigate"))
    with softhsm(tmp_path) as one:
        yield one
    ctypes.CDLL(None).munlockall()  # shares lock all memory, also of the tests to come, which takes ten times as long
    assert os.environ.get("SOFTHSM2_CONF") != str(tmp_path / "softhsm2.conf")


@pytest.fixture
def command(hsm: SoftHsm) -> Command:
    """The command line, and a token named plexi."""
    hsm.init_token("plexi")
    options = ("--module", str(hsm.module), "--token", "plexi", "--pin-file", str(hsm.pin_file()))
    return Command(hsm, options)
