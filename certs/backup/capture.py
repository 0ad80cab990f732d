"""Files read while a proxy writes them, so that together they are the state of one moment.

Theory of operation. Each file is replaced as a whole, so what was read of one is never half of it.
But between two of them a rotation can go on: the ledger would name a version whose key is gone. So
all files are read, and then looked at once more (`stat`). What was replaced, came or went meanwhile
is read again, until a look finds everything as it was read: then this was the state when that look
began. No lock is taken, and nothing waits for the backup.

Files that only grow (the audit log) count up to where they were when they were opened.
"""

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from grp import getgrgid
from pathlib import Path
from pwd import getpwuid
from stat import S_IMODE
from tarfile import TarFile, TarInfo
from typing import BinaryIO, Final

from certs.backup.contents import Contents
from certs.backup.index import Index, IndexedFile, KnownDirectory
from certs.files.directory import open_to_read

_MOST_LOOKS: Final = 20

Stamp = tuple[int, int, int, int]
"""Tells one state of a file from the next."""


class NeverStill(Exception):
    """Files changed during each of many looks; `path` is one of those in the last look."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f'"{self.path}" and perhaps others changed each time that they were read; try again when less rotates'


def capture(contents: Contents, archive: TarFile, told: Callable[[int], None]) -> Index:
    """Write every file to an archive, and answer what is in it; `told` hears of bytes.

    A file that was read more than once is in the archive more than once; the index names the last.
    Raises `NeverStill` and `OSError`.
    """
    taken: dict[Path, tuple[Stamp, IndexedFile]] = {}
    changed: list[Path] = []
    for look in range(_MOST_LOOKS):
        present = _stamps(contents)
        changed = [path for path, stamp in present.items() if path not in taken or taken[path][0] != stamp]
        gone = taken.keys() - present.keys()
        if not changed and not gone:
            return Index(tuple(file for _, file in taken.values()))
        for path in (*gone, *changed):
            taken.pop(path, None)
        for number, path in enumerate(changed):
            with suppress(FileNotFoundError):  # the next look tells
                taken[path] = _take(path, f"{look}.{number}", archive, is_growing=path in contents.growing)
                told(taken[path][1].size)
    raise NeverStill(next(iter(changed), contents.configuration))


def known_directories(contents: Contents, index: Index) -> tuple[KnownDirectory, ...]:
    """Those of files and of state, and those above them; below state all are alike."""
    files = (Path(one.path) for one in index.files)
    alone = {path.parent for path in files if not any(state in path.parents for state in contents.states)}
    there = {*contents.states, *alone}
    found = {one for path in there for one in (path, *path.parents) if one.is_dir()}
    return tuple(
        KnownDirectory(str(one), S_IMODE(facts.st_mode), _user(facts.st_uid), _group(facts.st_gid))
        for one, facts in ((one, one.stat()) for one in sorted(found))
    )


def _stamps(contents: Contents) -> dict[Path, Stamp]:
    found: dict[Path, Stamp] = {}
    for path in contents.present():
        with suppress(FileNotFoundError):
            found[path] = _stamp(path.stat(), is_growing=path in contents.growing)
    return found


def _stamp(facts: os.stat_result, *, is_growing: bool) -> Stamp:
    if is_growing:
        return facts.st_dev, facts.st_ino, 0, 0
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _take(path: Path, member: str, archive: TarFile, *, is_growing: bool) -> tuple[Stamp, IndexedFile]:
    with os.fdopen(open_to_read(path), "rb") as file:
        facts = os.fstat(file.fileno())
        reader = _Digested(file, path)
        entry = TarInfo(member)
        entry.size = facts.st_size
        archive.addfile(entry, reader)  # type: ignore[arg-type] # it only reads
        archive.members = []  # type: ignore[attr-defined] # it would keep them all in memory
    owner = (_user(facts.st_uid), _group(facts.st_gid))
    indexed = IndexedFile(str(path), member, facts.st_size, reader.digest.hexdigest(), S_IMODE(facts.st_mode), *owner)
    return _stamp(facts, is_growing=is_growing), indexed


class _Digested:
    """Reads a file, and computes the digest of what was read."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self.digest: Final = hashlib.sha384()

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        if len(content) < size:
            raise OSError(errno.EIO, "it became shorter while it was read", str(self._path))
        self.digest.update(content)
        return content


@cache
def _user(number: int) -> str:
    try:
        return getpwuid(number).pw_name
    except KeyError:
        return str(number)


@cache
def _group(number: int) -> str:
    try:
        return getgrgid(number).gr_name
    except KeyError:
        return str(number)
