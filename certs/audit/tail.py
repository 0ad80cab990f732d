"""Where a file of an audit log ends: the last whole line, and what a crash left after it."""

import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from certs.audit.chain import Head
from certs.audit.line import LARGEST_LINE, Line, LineKind, NotALine

# Every record is synced before the next one, so what a crash leaves is one line, and what the
# attempts to name it leave.
_WINDOW: Final = 64 * LARGEST_LINE


class LogDamaged(Exception):
    """A file that cannot be continued, because there is nothing in it to continue from."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(path, found)
        self.path = path
        self.found = found

    def __str__(self) -> str:
        return (
            f'audit log "{self.path}": {self.found}; look at it with plexigate audit verify, then move it to another directory: '
            "a new log is begun"
        )


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a file: `head` of its last whole line (None: it has no line), the bytes after that
    line, and the size of the file.

    `is_open` says that the last whole line still lacks its newline; `time` is of that line.
    """

    head: Head | None
    torn: bytes
    size: int
    is_open: bool
    time: str = ""


def read_tail(path: Path, file: IO[bytes]) -> Tail:
    """The end of a file that is open for reading. Raises `LogDamaged` and `OSError`."""
    size = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, size - _WINDOW))
    window = file.read(size - start)
    end = len(window)
    while end:
        begin = window.rfind(b"\n", 0, end - 1) + 1
        try:
            line = Line.parse(window[begin:end].removesuffix(b"\n"))
        except NotALine:
            end = begin
            continue
        is_open = not window[begin:end].endswith(b"\n")
        return Tail(Head(_log_id(path, file), line.seq, line.hash), window[end:], size, is_open, line.time)
    if size < _WINDOW:
        return Tail(None, window, size, is_open=False)
    raise LogDamaged(path, f"no line in its last {_WINDOW:_} bytes")


def read_end(path: Path) -> tuple[str, Head] | None:
    """When the last line of a file that is written no more is from, and the end of the log there;
    also if it is compressed (`.gz`).

    None if it is empty or no audit log.
    """
    try:
        with open_for_reading(path) as file:
            tail = read_tail(path, file)
    except (LogDamaged, OSError, EOFError, zlib.error):
        return None
    return None if tail.head is None else (tail.time, tail.head)


def open_for_reading(path: Path) -> IO[bytes]:
    """Open a file of a log, also a compressed one (`.gz`). Opening and reading raise `OSError`."""
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path))
    return path.open("rb")


def _log_id(path: Path, file: IO[bytes]) -> str:
    """The id of the log, from the line that begins the file: the first one, unless a crash has left
    something before it.
    """
    file.seek(0)
    begun = file.read(_WINDOW)
    for raw in begun.split(b"\n"):
        try:
            line = Line.parse(raw)
        except NotALine:
            continue
        log = line.facts.get("log")
        if line.kind in (LineKind.GENESIS, LineKind.CONTINUED) and isinstance(log, str):
            return log
        break
    raise LogDamaged(path, "a first line that begins neither a log nor a file of one")
