"""Installations for the commands of backups, and the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from proxy.commands.cli import app
from tests.backups import CONFIGURATION, Installation


def backup(*arguments: object) -> Result:
    """`plexigate backup`."""
    return CliRunner().invoke(app, ["backup", *map(str, arguments)], env={"COLUMNS": "200"})


def told(*arguments: object) -> Any:
    """What it answers in JSON."""
    done = backup(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "site/state"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run/plexigate"))
    text = CONFIGURATION + f'[backup]\ndirectory = "{tmp_path}/backups"\nkeep = 2\nalert_after = "1h"\n'
    # an audit log would tell that nothing takes its checkpoints here
    one = Installation.made(tmp_path / "site", configuration=text.replace('[audit]\nfile = "log/audit.jsonl"\n', ""))
    (one.directory / "log/audit.jsonl").unlink()
    return one
