"""Sealed files: which key each of them needs, for those who make keys and destroy them."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from certs.sealing.envelope import Envelope, is_sealed
from certs.sealing.errors import NotSealed
from certs.sealing.files import LARGEST_FILE
from certs.storage.disk import STAGING


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A file, the id of the key that opens it, and what it is for."""

    path: Path
    key_id: bytes
    label: str

    def __str__(self) -> str:
        return f'"{self.path}" ({self.label})'


def sealed_files(files: Iterable[Path], directories: Iterable[Path]) -> list[SealedFile]:
    """Those that are sealed, of some files and of all below some directories, each once.

    Links to directories are not followed.

    Raises `OSError` for one of `files` that cannot be read: what it needs is not known then. In a
    directory such a thing is not ours.
    """
    found: dict[Path, SealedFile] = {}
    for path in files:
        with suppress(FileNotFoundError):
            _take(found, path)
    for path in _below(directories):
        with suppress(OSError):
            _take(found, path)
    return sorted(found.values(), key=lambda one: one.path)


def _take(found: dict[Path, SealedFile], path: Path) -> None:
    real = Path(os.path.realpath(path))  # of links in a circle: says nothing, as `stat` will
    if real in found or not stat.S_ISREG(real.stat().st_mode):  # a FIFO would be waited for
        return
    with real.open("rb") as file:
        head = file.read(64)
        content = head + file.read(LARGEST_FILE) if is_sealed(head) else b""
    with suppress(NotSealed):
        envelope = Envelope.parse(content)
        found[real] = SealedFile(path, envelope.key_id, envelope.label)


def _below(directories: Iterable[Path]) -> Iterator[Path]:
    for directory in directories:
        for place, below, names in os.walk(directory):
            below[:] = (one for one in below if one != STAGING)  # what a restore will put in its place
            yield from (Path(place, name) for name in names)
