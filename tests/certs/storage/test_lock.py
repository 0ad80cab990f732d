"""One process at a time."""

from pathlib import Path

import pytest

from certs.storage.lock import StateInUse, StateLock


def test_a_directory_is_held_once(tmp_path: Path) -> None:
    with StateLock.acquire(tmp_path), pytest.raises(StateInUse, match="in use by another process"):
        StateLock.acquire(tmp_path)
    StateLock.acquire(tmp_path).release()


def test_releasing_twice_does_nothing(tmp_path: Path) -> None:
    lock = StateLock.acquire(tmp_path)
    lock.release()
    lock.release()


def test_a_directory_that_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        StateLock.acquire(tmp_path / "missing")
