"""`plexigate completion`."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.commands.cli import app
from proxy.commands.completion import PLACES, Shell


def test_what_was_installed_with_the_program_is_printed_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    for shell in Shell:
        place = tmp_path / PLACES[shell]
        place.parent.mkdir(parents=True)
        place.write_text(f"for {shell}\n")
        done = CliRunner().invoke(app, ["completion", shell])
        assert (done.exit_code, done.stdout) == (0, f"for {shell}\n")


def test_sources_say_how_completions_are_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    done = CliRunner().invoke(app, ["completion", "zsh"])
    assert done.exit_code == 1
    assert str(tmp_path / PLACES[Shell.ZSH]) in done.stderr
    assert "docker.building.manual.data_files" in done.stderr


def test_unknown_shell_is_refused() -> None:
    assert CliRunner().invoke(app, ["completion", "csh"]).exit_code == 2
