"""Replacing a file as a whole."""

import os
from pathlib import Path

import pytest

from certs.files.atomic_file import write_atomic


def test_new_and_replaced_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    write_atomic(path, b"one")
    path.chmod(0o644)
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_what_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "keys"
    write_atomic(path, b"one")

    def failing(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, failing)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"two")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_disk_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        steps.append("directory" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "content")  # noqa: PTH112 - of a descriptor
        real_fsync(descriptor)

    def rename(old: str, new: str, **places: int) -> None:
        steps.append("rename")
        real_rename(old, new, **places)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    write_atomic(tmp_path / "keys", b"one")
    assert steps == ["content", "rename", "directory"]


def test_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "missing" / "file", b"")
