"""What is spooled comes back as it was, from memory or from the file, in which nobody else can read it."""

import queue
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.downstream.service.spool import (
    _UNWRITTEN_BYTES,
    PIECE_BYTES,
    SLOT_BYTES,
    Piece,
    Spool,
    spool_directories,
)
from tests.fakes import FakeLoop
from tests.waiting import until_found


class Loop(FakeLoop):
    """A loop that a test makes hear of the thread."""

    def __init__(self) -> None:
        super().__init__()
        self.told: queue.Queue[Callable[[], None]] = queue.Queue()

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        """Keep it for `hear`."""
        del context
        self.told.put(lambda: callback(*args))

    def hear(self) -> None:
        """Wait for the next word of the thread."""
        self.told.get(timeout=10)()


class Case:
    """A spool in a directory."""

    def __init__(self, directory: Path) -> None:
        self.loop = Loop()
        self.failures: list[OSError] = []
        self.spool = Spool(self.loop, self.loop.time, self.failures.append)
        assert self.spool.open_in([str(directory / "missing"), str(directory)]) is None

    def written(self, data: bytes) -> Piece:
        """A piece that is in the file."""
        piece = self.spool.put(data)
        self.loop.hear()
        assert piece.data == b""
        return piece

    @property
    def file(self) -> bytes:
        """All of the file."""
        thread = self.spool._writing
        assert thread is not None
        return Path(f"/proc/self/fd/{thread._descriptor}").read_bytes()


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_pieces_come_back_from_the_file_and_from_memory(case: Case, tmp_path: Path) -> None:
    first = case.written(b"a" * PIECE_BYTES)
    second = case.spool.put(b"b" * 10)
    assert case.spool.take(second) == b"b" * 10
    assert case.spool.take(first) == b"a" * PIECE_BYTES
    assert list(tmp_path.iterdir()) == [], "the file has no name"


def test_file_has_nothing_that_can_be_read(case: Case) -> None:
    secret = b"a secret that stands in an answer"
    pieces = [case.written(secret) for _ in range(2)]
    sealed = [case.file[piece.slot * SLOT_BYTES :][: piece.sealed_bytes] for piece in pieces]
    assert not any(secret[at : at + 4] in case.file for at in range(len(secret) - 4))
    assert sealed[0] != sealed[1], "the same bytes are not the same in the file"


def test_piece_that_was_changed_in_the_file_is_an_error(case: Case) -> None:
    one, other = case.written(b"one"), case.written(b"two")
    moved = Piece(b"one", other.slot, one.number)
    with pytest.raises(OSError, match="does not have what was written"):
        case.spool._writing.read(moved)  # type: ignore[union-attr]


def test_slots_are_used_again_and_an_empty_file_gives_its_space_back(case: Case) -> None:
    first, second = case.written(b"1"), case.written(b"2")
    case.spool.take(first)
    third = case.written(b"3")
    assert (first.slot, second.slot, third.slot) == (0, 1, 0)
    assert [case.spool.take(one) for one in (second, third)] == [b"2", b"3"]
    fourth = case.written(b"4")  # behind the truncation, in the thread's order
    assert (fourth.slot, len(case.file)) == (0, fourth.sealed_bytes)
    assert case.spool.take(fourth) == b"4"


def test_slot_of_a_piece_that_left_early_is_free_once_the_thread_has_passed_it(case: Case) -> None:
    gone = case.spool.put(b"gone")
    case.spool.drop(gone)
    later = case.spool.put(b"later")
    assert (gone.slot, later.slot) == (0, 1)
    case.loop.hear()
    case.loop.hear()
    assert case.written(b"next").slot == 0
    assert case.spool.take(later) == b"later"


def test_thread_that_falls_behind_is_waited_for(case: Case) -> None:
    pieces = []
    while case.spool.has_room:
        pieces.append(case.spool.put(bytes(PIECE_BYTES)))
    assert _UNWRITTEN_BYTES <= len(pieces) * PIECE_BYTES < _UNWRITTEN_BYTES + SLOT_BYTES
    case.loop.hear()
    assert case.spool.has_room


@contextmanager
def smallest_file() -> Iterator[None]:
    """Let no file of this process become larger than a gigabyte."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_loses_nothing_is_told_once_and_is_tried_again_later(case: Case) -> None:
    case.spool._slots = 1 << 16  # four gigabytes
    with smallest_file():
        pieces = [case.spool.put(data) for data in (b"one", b"two")]
        case.loop.hear()
        case.loop.hear()
    assert [error.strerror for error in case.failures] == ["File too large"]
    assert not case.spool.has_room
    assert [case.spool.take(piece) for piece in pieces] == [b"one", b"two"]
    case.loop.advance(5.0)
    assert case.spool.has_room


def test_without_a_directory_there_is_no_room(tmp_path: Path) -> None:
    spool = Spool(FakeLoop(), lambda: 0.0, lambda _: None)
    error = spool.open_in([str(tmp_path / "missing")])
    assert isinstance(error, FileNotFoundError)
    assert (spool.is_open, spool.has_room) == (False, False)


def test_directories_are_those_of_temporary_files() -> None:
    assert spool_directories("/srv/spool") == ("/srv/spool",)
    assert spool_directories(None) == spool_directories("") == ("/var/tmp", "/tmp")  # noqa: S108 - names only


@pytest.mark.parametrize("is_used", [False, True])
def test_end_of_it_lets_the_file_go(case: Case, *, is_used: bool) -> None:
    thread = case.spool._writing
    assert thread is not None
    name = Path(f"/proc/self/fd/{thread._descriptor}").readlink()
    piece = case.written(b"piece") if is_used else None
    case.spool.close()
    case.spool.close()
    assert not case.spool.has_room
    if piece is not None:
        case.spool.drop(piece)
    until_found(lambda: name not in [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()])
