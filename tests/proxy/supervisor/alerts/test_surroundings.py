"""Directories that can be written, and clocks that are set."""

import os
from pathlib import Path

import pytest

from proxy.supervisor.alerts.surroundings import ClockWatch, unwritable


def test_a_directory_that_can_be_written_stays_empty(tmp_path: Path) -> None:
    assert unwritable([tmp_path, tmp_path / "not-there"]) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError(30, "Read-only file system")])
def test_what_the_system_says_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def refuse(*_: object) -> int:
        raise error

    monkeypatch.setattr(os, "write", refuse)
    assert unwritable([tmp_path]) == {str(tmp_path): error.strerror}
    monkeypatch.undo()
    monkeypatch.setattr(os, "open", refuse)
    assert unwritable([tmp_path]) == {str(tmp_path): error.strerror}


@pytest.mark.parametrize("error", [OSError(95, "Operation not supported"), IsADirectoryError(21, "Is a directory")])
def test_a_file_system_without_files_without_a_name_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def refuse(*_: object) -> int:
        raise error

    monkeypatch.setattr(os, "open", refuse)
    assert unwritable([tmp_path]) == {}


class Clocks:
    """Two clocks that a test sets."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000.0, 50.0
        self.watch = ClockWatch(lambda: self.wall, lambda: self.steady)

    def passes(self, seconds: float, jump: float = 0.0) -> float | None:
        """Both continue, and one is set."""
        self.wall += seconds + jump
        self.steady += seconds
        return self.watch.jump()


def test_a_clock_that_is_set_is_told_for_ten_minutes() -> None:
    clocks = Clocks()
    assert clocks.passes(10) is None
    assert clocks.passes(10, 3_600) == pytest.approx(3_600)
    assert clocks.passes(599) == pytest.approx(3_600)
    assert clocks.passes(1) is None
    assert clocks.passes(10, -20) == pytest.approx(-20)


def test_small_steps_are_the_work_of_a_time_service() -> None:
    clocks = Clocks()
    assert [clocks.passes(10, 0.5) for _ in range(50)] == [None] * 50


def test_the_clocks_of_the_machine_agree() -> None:
    assert ClockWatch(lambda: 0.0).jump() is None
