"""One process at a time."""

import os
import pwd
from pathlib import Path

import pytest

from certs.storage.disk import Disk
from certs.storage.lock import StateInUse, StateLock, StateUnusable, hold, other_holder


def test_a_directory_is_held_once(tmp_path: Path) -> None:
    with StateLock.acquire(tmp_path), pytest.raises(StateInUse, match=f"in use by process {os.getpid()} "):
        StateLock.acquire(tmp_path)
    StateLock.acquire(tmp_path).release()


def test_releasing_twice_does_nothing(tmp_path: Path) -> None:
    lock = StateLock.acquire(tmp_path)
    lock.release()
    lock.release()


def test_a_note_that_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    with StateLock.acquire(tmp_path) as lock:
        assert lock.descriptor is not None
        copy = os.open(f"/proc/self/fd/{lock.descriptor}", os.O_RDONLY)
        with StateLock(copy) as unwritable:
            unwritable.sign(tmp_path / "plexigate.toml")
        holder = other_holder(tmp_path)
        assert holder is not None
        assert (holder.pid, holder.configuration) == (os.getpid(), None)


def test_a_directory_that_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        StateLock.acquire(tmp_path / "missing")


def refused(state: Path) -> tuple[str, str]:
    with pytest.raises(StateUnusable) as caught:
        hold(state, Disk())
    assert str(caught.value) == f"{caught.value.found}; allowed: {caught.value.allowed}"
    return caught.value.found, caught.value.allowed


class TestHolding:
    """A state directory that was moved, copied or led elsewhere says what is wrong with it."""

    def test_one_that_is_not_there_is_made_and_a_link_to_one_is_followed(self, tmp_path: Path) -> None:
        with hold(tmp_path / "new" / "state", Disk()):
            (tmp_path / "link").symlink_to(tmp_path / "new" / "state")
            with pytest.raises(StateInUse):
                hold(tmp_path / "link", Disk())

    def test_link_that_leads_nowhere(self, tmp_path: Path) -> None:
        state = tmp_path / "state"
        state.symlink_to("gone")
        assert refused(state) == (f"{state}, a link to gone, which does not exist", "a directory, or a link to one")

    def test_file_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "state").touch()
        assert refused(tmp_path / "state")[0] == f"{tmp_path / 'state'}, which is not a directory"

    def test_something_else_is_told_with_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "lock").symlink_to("lock")
        assert refused(tmp_path)[0] == f"{tmp_path / 'lock'}: Too many levels of symbolic links"

    def test_copy_that_belongs_to_who_made_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "lock").touch()
        owner = pwd.getpwuid(os.getuid()).pw_name
        monkeypatch.setattr("os.geteuid", lambda: 64_321)
        error = StateUnusable(tmp_path, PermissionError(13, "Permission denied", str(tmp_path / "lock")))
        assert error.found == (
            f"{tmp_path}, which belongs to user {owner} ({os.getuid()}), while this process is 64321"
        )
        assert error.allowed.startswith(f"chown -R 64321 {tmp_path} ")

    def test_part_of_a_copy_that_belongs_to_who_made_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is below may not be looked at, so the first one on the way is named."""
        (tmp_path / "credentials" / "chat").mkdir(parents=True)
        monkeypatch.setattr("certs.storage.lock._owner", lambda path: os.geteuid() if path == tmp_path else 4_321)
        file = tmp_path / "credentials" / "chat" / "ledger.json"
        error = StateUnusable(tmp_path, PermissionError(13, "Permission denied", str(file)))
        assert error.found.startswith(f"{tmp_path / 'credentials'}, which belongs to user 4321, while ")
        assert error.allowed.startswith(f"chown -R {os.geteuid()} {tmp_path} ")

    def test_place_of_others_in_which_it_cannot_be_made(self, tmp_path: Path) -> None:
        state = tmp_path / "state"
        error = StateUnusable(state, PermissionError(13, "Permission denied", str(state)))
        assert error.found == f"{state}: Permission denied"
        assert StateUnusable(state, PermissionError(13, "Permission denied")).found == f"{state}: Permission denied"


class TestHandedOver:
    """The lock travels as an open file, so there is no moment without it."""

    def test_it_is_held_until_the_last_process_lets_go(self, tmp_path: Path) -> None:
        first = StateLock.acquire(tmp_path)
        assert first.descriptor is not None
        second = StateLock.handed(tmp_path, os.dup(first.descriptor))
        assert second is not None
        first.release()
        with pytest.raises(StateInUse):
            StateLock.acquire(tmp_path)
        second.release()
        assert second.descriptor is None
        StateLock.acquire(tmp_path).release()

    def test_the_lock_of_another_directory_is_not_taken(self, tmp_path: Path) -> None:
        (other := tmp_path / "other").mkdir()
        with StateLock.acquire(tmp_path) as lock, StateLock.acquire(other):
            assert lock.descriptor is not None
            copy = os.dup(lock.descriptor)
            assert StateLock.handed(other, copy) is None
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(copy)
            assert StateLock.handed(tmp_path / "missing", os.dup(lock.descriptor)) is None
