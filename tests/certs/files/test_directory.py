"""Root writes in directories of another user, and no link of that user leads it elsewhere."""

import os
import stat
from pathlib import Path

import pytest

from certs.files.atomic_file import write_atomic, write_state
from certs.files.directory import OpenDirectory, PlacedByOthers, make_directories, open_log, open_state_file
from tests.accounts import NEEDS_ROOT
from tests.descriptors import open_descriptors

NOBODY = 65_534


def owner_of(path: Path) -> int:
    return path.lstat().st_uid


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def opened(path: Path) -> int:
    return open_state_file(path, os.O_RDWR)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A directory of the user of the service."""
    directory = tmp_path / "state"
    directory.mkdir(0o700)
    os.chown(directory, NOBODY, NOBODY)
    return directory


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of root that must stay as it is."""
    path = tmp_path / "secret of root"
    path.write_bytes(b"root")
    return path


class TestOwn:
    """Directories of this process's own user."""

    def test_files_and_directories_are_for_their_owner_alone(self, tmp_path: Path) -> None:
        make_directories(tmp_path / "a" / "b")
        make_directories(tmp_path / "a" / "b")
        os.close(opened(tmp_path / "a" / "b" / "file"))
        os.close(open_log(tmp_path / "a" / "b" / "log"))
        assert [mode_of(tmp_path / one) for one in ("a", "a/b", "a/b/file", "a/b/log")] == [
            *(0o700, 0o700, 0o600, 0o600),
        ]  # fmt: skip

    def test_links_are_followed_as_ever(self, tmp_path: Path, secret: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        (tmp_path / "absolute").symlink_to(tmp_path / "real/../link")
        (tmp_path / "file").symlink_to(secret)
        write_atomic(tmp_path / "absolute" / "file", b"1")
        assert (tmp_path / "real" / "file").read_bytes() == b"1"
        descriptor = opened(tmp_path / "link" / ".." / "file")
        assert os.read(descriptor, 9) == b"root"
        os.close(descriptor)
        (tmp_path / "dangling").symlink_to("real/new")
        os.close(opened(tmp_path / "dangling"))
        assert (tmp_path / "real" / "new").exists()

    def test_links_in_a_circle_and_ways_that_lead_nowhere(self, tmp_path: Path) -> None:
        before = open_descriptors()
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        with pytest.raises(OSError, match="Too many levels"):
            opened(tmp_path / "a" / "file")
        for call in (opened, open_log, OpenDirectory.at):
            with pytest.raises(FileNotFoundError, match="gone/file"):
                call(tmp_path / "gone" / "file")
        os.close(opened(tmp_path / "c"))
        with pytest.raises(NotADirectoryError):
            OpenDirectory.at(tmp_path / "c")
        assert open_descriptors() == before

    def test_a_log_may_go_to_a_device_or_a_pipe_but_a_state_file_is_regular(self, tmp_path: Path) -> None:
        os.close(open_log(Path("/dev/null")))
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="a pipe that no process reads"):  # and it is not waited for
            open_log(tmp_path / "pipe")
        reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        writer = open_log(tmp_path / "pipe")
        assert os.get_blocking(writer)
        os.close(writer)
        with pytest.raises(PlacedByOthers, match="not a regular file"):
            opened(tmp_path / "pipe")
        os.close(reader)

    def test_a_log_may_go_to_what_this_process_has_open(self, tmp_path: Path) -> None:
        memory = os.memfd_create("test")
        (tmp_path / "fd").symlink_to("/proc/self/fd")
        for path in (Path(f"/dev/fd/{memory}"), tmp_path / "fd" / str(memory)):
            descriptor = open_log(path)
            os.write(descriptor, b"x")
            os.close(descriptor)
        assert os.pread(memory, 9, 0) == b"xx"
        with pytest.raises(NotADirectoryError):
            open_log(Path(f"/proc/self/fd/{memory}/x"))
        os.close(memory)

    def test_what_is_there_is_no_new_file(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("nowhere")
        with OpenDirectory.at(tmp_path) as directory:
            with pytest.raises(FileExistsError):
                directory.create("link")
            os.close(directory.create_anew("link"))
            directory.remove("link")
            directory.remove("link")
            directory.make("below")
            directory.rename("below", "other")
            directory.remove_directory("other")
        assert list(tmp_path.iterdir()) == []

    def test_another_user_than_root_gives_nothing_away(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1_000)
        monkeypatch.setattr(os, "fchown", lambda *_: pytest.fail("it is not root"))
        with OpenDirectory.at(tmp_path) as directory:
            directory.give(-1)


@NEEDS_ROOT
class TestTheirs:
    """Directories of another user, who may be an attacker."""

    def test_what_root_makes_there_is_theirs_but_for_what_is_for_a_person(self, theirs: Path) -> None:
        os.close(opened(theirs / "one.lock"))
        write_state(theirs / "one.json", b"{}")
        make_directories(theirs / "a" / "b")
        assert {owner_of(path) for path in theirs.rglob("*")} == {NOBODY}
        write_atomic(theirs / "for an operator", b"")
        assert owner_of(theirs / "for an operator") == 0

    def test_a_file_that_is_there_keeps_its_owner(self, theirs: Path) -> None:
        (theirs / "one.lock").touch()
        os.close(opened(theirs / "one.lock"))
        assert owner_of(theirs / "one.lock") == 0

    @pytest.mark.parametrize("is_roots", [False, True], ids=["their link", "a link of root"])
    def test_a_link_to_a_file_is_refused(self, theirs: Path, secret: Path, *, is_roots: bool) -> None:
        for target in (secret, secret.with_name("missing")):
            (link := theirs / f"to {target.name}").symlink_to(target)
            if not is_roots:
                os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
            for call in (opened, open_log):
                with pytest.raises(PlacedByOthers, match="it is a link, in a directory where others can write"):
                    call(link)
        assert (secret.read_bytes(), owner_of(secret)) == (b"root", 0)
        assert not secret.with_name("missing").exists()

    def test_a_link_to_a_directory_is_refused_for_whatever_is_done_there(self, theirs: Path, tmp_path: Path) -> None:
        (roots := tmp_path / "etc").mkdir()
        (theirs / "payload").symlink_to(roots)
        place = theirs / "payload" / "file"
        for call in (
            lambda: opened(place), lambda: write_state(place, b""), lambda: make_directories(place),
            lambda: OpenDirectory.at(place.parent), lambda: open_log(place),
        ):  # fmt: skip
            with pytest.raises(PlacedByOthers):
                call()
        assert list(roots.iterdir()) == []

    def test_a_second_name_of_a_file_is_refused(self, theirs: Path, secret: Path) -> None:
        os.link(secret, theirs / "hard")
        for call in (opened, open_log):
            with pytest.raises(PlacedByOthers, match="hard link"):
                call(theirs / "hard")

    def test_a_file_of_a_third_user_is_refused(self, theirs: Path) -> None:
        theirs.chmod(0o1777)
        (theirs / "file").touch()
        os.chown(theirs / "file", 1_000, 1_000)
        with pytest.raises(PlacedByOthers, match="belongs to user 1000"):
            opened(theirs / "file")
        os.chown(theirs, 0, 0)
        os.chown(theirs / "file", NOBODY, NOBODY)
        with pytest.raises(PlacedByOthers, match="belongs to user 65534"):
            open_log(theirs / "file")

    def test_their_pipe_is_not_waited_for(self, theirs: Path) -> None:
        os.mkfifo(theirs / "pipe")
        with pytest.raises(OSError, match="a pipe that no process reads"):
            open_log(theirs / "pipe")
        reader = os.open(theirs / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(PlacedByOthers, match="not a regular file"):
            open_log(theirs / "pipe")
        os.close(reader)

    @pytest.mark.parametrize(
        ("mode", "group", "is_fine"),
        [(0o755, 0, True), (0o777, 0, False), (0o1777, 0, False), (0o775, 0, True), (0o775, 50, False)],
    )
    def test_a_link_of_root_counts_where_root_alone_writes(
        self, tmp_path: Path, mode: int, group: int, *, is_fine: bool
    ) -> None:
        """/var/log may be a link, and what is in /tmp may not."""
        (place := tmp_path / "var").mkdir()
        (tmp_path / "real").mkdir()
        (place / "log").symlink_to(tmp_path / "real")
        os.chown(place, 0, group)
        place.chmod(mode)
        if is_fine:
            os.close(open_log(place / "log" / "file"))
        else:
            with pytest.raises(PlacedByOthers):
                open_log(place / "log" / "file")
        assert (tmp_path / "real" / "file").exists() is is_fine

    def test_a_file_that_root_may_write_there_is_left_blocking(self, theirs: Path) -> None:
        (theirs / "file").touch()
        descriptor = open_log(theirs / "file")
        assert os.get_blocking(descriptor)
        os.close(descriptor)
