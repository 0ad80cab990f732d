"""What root makes in the directory of a service belongs to the service."""

import os
from pathlib import Path

import pytest

from certs.files.atomic_file import write_atomic, write_state
from certs.files.owner import give_to_owner, open_lock_file

NOBODY = 65_534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away: NOT tried")


def owner_of(path: Path) -> int:
    return path.lstat().st_uid


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir(0o700)
    os.chown(directory, NOBODY, NOBODY)
    return directory


@AS_ROOT
def test_lock_and_state_are_of_the_owner_of_the_directory(theirs: Path) -> None:
    os.close(open_lock_file(theirs / "one.lock"))
    write_state(theirs / "one.json", b"{}")
    assert [owner_of(path) for path in sorted(theirs.iterdir())] == [NOBODY, NOBODY]
    write_atomic(theirs / "for a person", b"")
    assert owner_of(theirs / "for a person") == 0


@AS_ROOT
def test_file_that_is_there_keeps_its_owner(theirs: Path) -> None:
    (theirs / "one.lock").touch()
    os.close(open_lock_file(theirs / "one.lock"))
    assert owner_of(theirs / "one.lock") == 0


@AS_ROOT
def test_link_in_the_directory_of_another_user_gives_nothing_away(theirs: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret of root"
    secret.touch()
    for target in (secret, tmp_path / "missing"):
        link = theirs / f"to {target.name}"
        link.symlink_to(target)
        with pytest.raises(OSError, match="symbolic links"):
            open_lock_file(link)
    assert owner_of(secret) == 0
    assert not (tmp_path / "missing").exists()


def test_directory_of_ones_own_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL)
    give_to_owner(descriptor, tmp_path)
    os.close(descriptor)
    assert owner_of(path) == os.geteuid()


def test_another_user_than_root_gives_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "fchown", lambda *_: pytest.fail("it is not root"))
    os.close(open_lock_file(tmp_path / "x"))
