"""Which wheels of a release are built where."""

import sys
from pathlib import Path

import pytest

from docker.building import wheels


def program(path: Path, said: str) -> None:
    path.write_text(f"#!/bin/sh\n{said}\n")
    path.chmod(0o755)


def test_interpreters_are_those_that_run_and_are_what_their_name_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version switcher has a program for each version, and some of them only complain."""
    program(tmp_path / "python3.11", "echo 3.11")
    program(tmp_path / "python3.12", "echo 'version 3.12 is not set' >&2; exit 127")
    program(tmp_path / "python3.14", "echo 3.10")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = dict(wheels.interpreters())
    assert found["3.11"] == str(tmp_path / "python3.11")
    assert str(tmp_path) not in (found.get("3.12", "") + found.get("3.14", ""))


def test_what_is_missing_is_said_and_is_no_success_for_a_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wheels, "VERSIONS", ("3.99",))
    monkeypatch.setattr(sys, "argv", ["wheels.py", str(tmp_path / "a.tar.gz"), str(tmp_path), "--all"])
    assert wheels.main() == 1
    assert capsys.readouterr().err == "not built, as there is no such interpreter here: Python 3.99\n"
    monkeypatch.setattr(sys, "argv", sys.argv[:-1])
    assert wheels.main() == 0
    assert list(tmp_path.iterdir()) == []
