"""Directories that can be written, and clocks that are set."""

import asyncio
import os
import platform
from dataclasses import replace
from pathlib import Path

import pytest

from config.loading.loader import survey
from proxy.observe.scrape import BackupFacts
from proxy.supervisor.alerts.settings import AlertSettings, ExpectedBackups
from proxy.supervisor.alerts.surroundings import ClockWatch, WatchedDisk, backup_facts, unwritable
from tests.backups import NOW, Installation


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


def test_the_newest_backup_of_this_machine_counts(tmp_path: Path) -> None:
    site = Installation.made(tmp_path / "site")
    expected = ExpectedBackups(tmp_path, site.path, 9.0)
    assert backup_facts(expected) == BackupFacts(str(tmp_path), None, 9.0)
    for node in ("elsewhere", platform.node()):
        with (tmp_path / f"{node}.pxbackup").open("wb") as out:
            replace(site.creation(), node=node).write(out, lambda _: None)
        found = backup_facts(expected)
        assert found.newest_at == (None if node == "elsewhere" else NOW.timestamp())
    assert backup_facts(replace(expected, configuration=tmp_path / "another.toml")).newest_at is None


def test_a_directory_of_backups_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr("certs.backup.kept.newest_in", refuse)
    assert backup_facts(ExpectedBackups(tmp_path, tmp_path / "p.toml", 9.0)).fault == "Permission denied"


async def test_the_disk_is_asked_once_a_minute(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('[backup]\ndirectory = "none"\n')
    loaded = survey(tmp_path / "p.toml").loaded
    assert loaded is not None
    settings = AlertSettings.of(loaded)
    disk = WatchedDisk(asyncio.get_running_loop())
    await disk.look(settings)
    assert disk.backup == BackupFacts(str(tmp_path / "none"), None, 2 * 86_400.0)
    await disk.look(replace(settings, backups=None))
    assert disk.backup is not None


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
