"""Tests in processes that are forked off: each runs once, what fails fails, and a process that dies costs one test."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pytest_of(
    directory: Path, text: str, *options: str, plugin: str = "tests.side_by_side"
) -> "subprocess.CompletedProcess[str]":
    """Run these tests in three processes."""
    (directory / "test_them.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(directory)]
    command += ["-p", plugin, "-p", "no:cacheprovider", "--processes", "3", *options]
    return subprocess.run(
        [*command, str(directory / "test_them.py")], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )


def test_each_runs_once_and_processes_share_no_directory(tmp_path: Path) -> None:
    text = """
import os, pytest
from pathlib import Path

HERE = Path(__file__).parent

def note(file, *what):
    with (HERE / file).open("a") as noted:
        print(os.getpid(), *what, file=noted)

@pytest.fixture(scope="session")
def own(tmp_path_factory):
    yield tmp_path_factory.getbasetemp()
    note("ended")

@pytest.mark.parametrize("number", range(30))
def test_it(own, number, tmp_path):
    note("ran", number, own, os.environ["TMPDIR"])
    assert tmp_path.is_relative_to(own)
"""
    done = pytest_of(tmp_path, text, plugin="tests.conftest")  # it has the temporary directory
    assert "30 passed" in done.stdout, done.stdout + done.stderr
    ran = [line.split() for line in (tmp_path / "ran").read_text().splitlines()]
    assert sorted(int(number) for _, number, _, _ in ran) == [*range(30)]
    processes = {process for process, *_ in ran}
    assert len(processes) == len({own for *_, own, _ in ran}) == len({temporary for *_, temporary in ran})
    assert set((tmp_path / "ended").read_text().split()) == processes
    assert not [temporary for *_, temporary in ran if Path(temporary).exists()]


def test_failures_and_errors_are_reported_as_ever(tmp_path: Path) -> None:
    text = """
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("no such thing")

def test_passes(): pass
def test_fails():
    print("said by it")
    assert 1 == 2
def test_has_no_fixture(broken): pass
@pytest.mark.skip(reason="left out")
def test_left_out(): pass
"""
    done = pytest_of(tmp_path, text)
    assert done.returncode == 1
    assert "1 failed, 1 passed, 1 skipped, 1 error" in done.stdout, done.stdout + done.stderr
    for told in ("assert 1 == 2", "said by it", "no such thing", "left out"):
        assert told in done.stdout


def test_a_process_that_dies_costs_the_test_that_it_ran(tmp_path: Path) -> None:
    text = """
import os, pytest

@pytest.mark.parametrize("number", range(30))
def test_it(number):
    if number == 4:
        os.kill(os.getpid(), 9)
"""
    done = pytest_of(tmp_path, text)
    assert "1 failed, 29 passed" in done.stdout, done.stdout + done.stderr
    assert "test_it[4]" in done.stdout
    assert "the process that ran it ended with -9" in done.stdout


def test_nothing_is_begun_after_the_first_failure_that_is_one_too_many(tmp_path: Path) -> None:
    text = """
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(300))
def test_it(number):
    (Path(__file__).parent / f"ran-{number}").touch()
    assert number
"""
    done = pytest_of(tmp_path, text, "-x")
    assert done.returncode == 1
    assert "stopping after 1 failures" in done.stdout, done.stdout + done.stderr
    assert len([*tmp_path.glob("ran-*")]) < 300
