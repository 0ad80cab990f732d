"""Output that is lost: one sentence about it, none if the reader has gone, and an exit status of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.commands.terminal.output import OUTPUT_LOST, watched_output


def plexigate(*arguments: str | Path, output: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "proxy.commands.start", *map(str, arguments)]
    return subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, timeout=30, check=False)


COMMANDS = (
    ("--version",),
    ("audit", "verify", "audit.jsonl"),
    ("audit", "verify", "--json", "audit.jsonl"),
    ("--help",),
)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audit.jsonl").write_text("no line\n")


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_full_disk(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = plexigate(*arguments, output=full.fileno())
    assert done.stderr == "plexigate: standard output could not be written: No space left on device\n"
    assert done.returncode == OUTPUT_LOST


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_reader_that_has_gone(arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = plexigate(*arguments, output=writer)
    finally:
        os.close(writer)
    assert done.stderr == "", "who has seen enough need not be told"
    assert done.returncode == OUTPUT_LOST


def test_what_is_taken_keeps_its_status(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        assert plexigate("audit", "verify", "audit.jsonl", output=file.fileno()).returncode == 1
    assert "The log has no lines" in (tmp_path / "out").read_text()


def test_captured_output_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    taken = sys.stdout
    with watched_output():
        assert sys.stdout is taken
        sys.stdout.write("said\n")
    assert capsys.readouterr().out == "said\n"
