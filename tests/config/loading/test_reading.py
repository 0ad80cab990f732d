"""Files are read within a limit, and only regular ones."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.files.memory_file import MemoryFile
from config.loading.reading import FileContent, FileUnanswered, FileUnfit, answer, faults, read_regular
from tests.silent_files import silence


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "share" / "silent"
    path.parent.mkdir()
    path.write_bytes(b"never")
    with silence(path):
        yield path


def kinds(place: Path) -> dict[str, Path]:
    """Files that are not regular, by what is said of them."""
    os.mkfifo(place / "pipe")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(place / "socket"))
    (place / "device").symlink_to("/dev/zero")
    return {kind: place / kind for kind in ("pipe", "socket", "device")}


def test_a_file_with_its_mode_up_to_a_size(tmp_path: Path) -> None:
    (path := tmp_path / "file").write_bytes(b"content")
    path.chmod(0o640)
    assert read_regular(path) == FileContent(0o640, b"content")
    assert read_regular(path, 3) == FileContent(0o640, b"con")
    assert "content" not in repr(read_regular(path))


def test_what_is_in_memory_is_read_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MemoryFile("test", b"content")
    monkeypatch.setattr(threading.Thread, "start", None)
    assert read_regular(memory.path).content == b"content"


def test_errors_of_the_system_are_those_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)


def test_what_may_never_end_is_refused_by_its_kind(tmp_path: Path) -> None:
    for kind, path in kinds(tmp_path).items():
        with pytest.raises(FileUnfit, match=kind) as caught:
            read_regular(path)
        assert caught.value.filename == str(path)


@pytest.mark.skipif(not os.access("/proc/kmsg", os.R_OK), reason="run as root: only root reads the log of the kernel")
def test_a_regular_file_that_waits_for_more_is_refused() -> None:
    try:
        os.close(os.open("/proc/kmsg", os.O_RDONLY | os.O_NONBLOCK))
    except PermissionError:
        pytest.skip("run it outside of a container: in this one nobody may read the log of the kernel")
    with pytest.raises(FileUnfit, match="waits for more"):
        read_regular(Path("/proc/kmsg"))


def test_a_file_that_does_not_answer_is_named_within_the_limit(silent: Path) -> None:
    with pytest.raises(FileUnanswered, match=r"no answer within 0\.05 s") as caught:
        read_regular(silent, seconds=0.05)
    assert caught.value.filename == str(silent)
    assert not isinstance(caught.value, TimeoutError)


def test_an_answer_is_what_was_found_or_raised(tmp_path: Path) -> None:
    assert answer(lambda: None, tmp_path) is None
    with pytest.raises(ZeroDivisionError):
        answer(lambda: 1 // 0, tmp_path)


def test_all_are_tried_at_once_and_each_fault_is_told(tmp_path: Path, silent: Path) -> None:
    odd = kinds(tmp_path)
    (fine := tmp_path / "fine").write_text("")
    (beside := silent.with_name("beside")).write_text("")
    missing = Path("a\0b")
    found = faults([fine, *odd.values(), silent, beside, missing], [tmp_path, odd["pipe"].parent / "no"], 0.05)
    assert {path for path, fault in found.items() if isinstance(fault, FileUnfit)} == {*odd.values()}
    assert {path for path, fault in found.items() if isinstance(fault, FileUnanswered)} == {silent}
    assert len(found) == 4


def test_files_that_do_not_answer_hold_up_no_other_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{number}" for number in range(200)]
    for path in paths:
        path.touch()
    hanging, threads, over = {*paths[::2]}, set(), threading.Event()
    real = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        threads.add(threading.get_ident())
        if path in hanging:
            over.wait(60)
        return real(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
    try:
        assert set(faults([], paths, 2.0)) == hanging
        assert len(hanging) <= len(threads) <= len(paths)
        threads.clear()
        # so long a limit that a file on a busy machine does not seem to hang
        assert faults([], paths[1::2], 600.0) == {}
        assert len(threads) == 1, "one is enough for files that answer"
    finally:
        over.set()


def test_places_are_only_looked_at(tmp_path: Path) -> None:
    assert faults([], kinds(tmp_path).values()) == {}
