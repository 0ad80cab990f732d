"""Reads the files that a configuration names: regular files only, and none for longer than a limit.

A network share whose server is down holds a reader for ever, and even one that only asks for the
size of a file. No option of a system call ends that. So another thread opens and reads the file,
and the caller waits for that thread up to the limit. The thread of a file that gives no answer
stays behind, and ends with the process.

A pipe, a socket and a device are refused before they are opened: opening a pipe waits for its other
end, reading a device may never end, or has an effect. Files such as `/proc/kmsg` say that they are
regular and wait for news anyway; O_NONBLOCK shows them.
"""

import errno
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

LARGEST_FILE: Final = 4 * 1_048_576
"""Bytes. Far above any certificate, key or list of authorities. A parser refuses a file at a
megabyte already, with a better message.
"""
READ_SECONDS: Final = 5.0
"""How long one file may take. The parent reads a hundred of them in a millisecond or two each."""
_MOMENTS: Final = 100
"""A file that takes longer than this part of the limit delays others."""

_KINDS: Final = {
    stat.S_IFIFO: "a pipe, which may keep its reader waiting for ever",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
# Files in memory, which their own process has made: nothing to wait for. Workers read all files so.
_IN_MEMORY: Final = "/proc/self/fd/"

ResultT = TypeVar("ResultT")


class FileUnfit(OSError):
    """The file is not one to read: a pipe, a device, or one that waits for more."""


class FileUnanswered(OSError):
    """The file did not answer within the limit."""

    def __init__(self, path: Path, seconds: float) -> None:
        # not ETIMEDOUT: Python would make a TimeoutError of it, as of a deadline of the caller
        super().__init__(errno.EIO, f"no answer within {seconds:g} s", str(path))


@dataclass(frozen=True, slots=True)
class FileContent:
    """One file. `mode`: its permission bits."""

    mode: int
    content: bytes = field(repr=False)


def read_regular(path: Path, most: int = LARGEST_FILE, seconds: float = READ_SECONDS) -> FileContent:
    """Read a regular file, of which at most `most` bytes.

    Raises `OSError`: `FileUnfit` or `FileUnanswered` for one that would not come to an end.
    """
    if str(path).startswith(_IN_MEMORY):
        return _read(path, most)
    return answer(lambda: _read(path, most), path, seconds)


def answer(look: Callable[[], ResultT], path: Path, seconds: float = READ_SECONDS) -> ResultT:
    """What a function finds out about a file. Raises what it raises, and `FileUnanswered`."""
    try:
        reader = _idle.pop()
    except IndexError:
        reader = _Reader()
    outcome: Future[ResultT] = Future()
    reader.asked.put((look, outcome))
    try:
        return outcome.result(seconds)
    except TimeoutError:
        if not outcome.done():
            raise FileUnanswered(path, seconds) from None  # the reader stays where it hangs
        return outcome.result()  # it came at the last moment, or the error is one of the file
    finally:
        if outcome.done():
            _idle.append(reader)


class _Reader:
    """A thread that looks at one file after the other."""

    def __init__(self) -> None:
        self.asked: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()
        threading.Thread(target=self._run, name="file", daemon=True).start()

    def _run(self) -> None:
        while True:
            look, outcome = self.asked.get()
            try:
                outcome.set_result(look())
            except BaseException as error:  # noqa: BLE001 - raised where it was asked for
                outcome.set_exception(error)
            del look, outcome  # the content may be a secret


# Threads that wait for work. To begin one for each file would cost more than to read it.
_idle: Final[list[_Reader]] = []


def faults(files: Iterable[Path], places: Iterable[Path], seconds: float = READ_SECONDS) -> dict[Path, OSError]:
    """Which files are unfit to be read, and which files and places do not answer.

    One thread tries them in turn. Where one waits, more threads take those that are left, twice as
    many each time, so that a share of a thousand files that does not answer delays no other file.
    What is not there, or what this user may not read, is left to those who use it.
    """
    tries: dict[Path, Callable[[Path], object]] = dict.fromkeys(places, Path.stat)
    tries |= dict.fromkeys(files, lambda file: _read(file, 1))
    left = deque(tries)
    answers: SimpleQueue[tuple[Path, OSError | None]] = SimpleQueue()

    def run() -> None:
        with suppress(IndexError):
            while True:
                path = left.popleft()
                answers.put((path, _fault(path, tries[path])))

    told: dict[Path, OSError | None] = {path: FileUnanswered(path, seconds) for path in tries}
    end = time.monotonic() + seconds
    threads = answered = 0
    while answered < len(tries) and time.monotonic() < end:
        for _ in range(min(len(left), max(1, threads))):
            threading.Thread(target=run, name="file", daemon=True).start()
            threads += 1
        with suppress(Empty):
            while answered < len(tries):
                path, told[path] = answers.get(timeout=seconds / _MOMENTS)
                answered += 1
    return {path: fault for path, fault in told.items() if fault is not None}


def _fault(path: Path, attempt: Callable[[Path], object]) -> OSError | None:
    try:
        attempt(path)
    except FileUnfit as error:
        return error
    except (OSError, ValueError):  # ValueError: a name that no file can have
        pass
    return None


def _read(path: Path, most: int) -> FileContent:
    _refuse_unfit(path, path.stat())
    with _opened(path) as descriptor:
        facts = os.fstat(descriptor)
        _refuse_unfit(path, facts)
        parts = []
        left = most
        try:
            while left and (part := os.read(descriptor, left)):
                parts.append(part)
                left -= len(part)
        except BlockingIOError:
            raise _unfit(path, "a file that waits for more, which never ends") from None
    return FileContent(stat.S_IMODE(facts.st_mode), b"".join(parts))


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    options = os.O_CLOEXEC | os.O_NOCTTY
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | options)
    except BlockingIOError:
        # a file server has a lease on it (fcntl(2), F_SETLEASE), and gives it back within a moment
        descriptor = os.open(path, os.O_RDONLY | options)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_unfit(path: Path, facts: os.stat_result) -> None:
    kind = _KINDS.get(stat.S_IFMT(facts.st_mode))
    if kind is not None:
        raise _unfit(path, kind)


def _unfit(path: Path, kind: str) -> FileUnfit:
    return FileUnfit(errno.EINVAL, kind, str(path))


def credentials_directory() -> Path | None:
    """Where systemd has the credentials of the service: the same in all of its processes."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return None if directory is None else Path(directory)
