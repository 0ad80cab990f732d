"""The content of a backup: a tar archive (POSIX.1-2001), compressed by Zstandard (RFC 8878).

What is read back is not trusted beyond the index: a member that the index does not name, or that is
no regular file, leads nowhere.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO, RawIOBase
from tarfile import PAX_FORMAT, TarError, TarFile, TarInfo
from tarfile import open as open_tar
from typing import IO, Any, Final, Protocol

from certs.backup.container import BackupDamaged
from certs.backup.index import MEMBER, Index

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVEL: Final = 3
_CHUNK: Final = 1_048_576
# 40 million files with 100 bytes each would be the largest.
_LONGEST_INDEX: Final = 4 * 1_073_741_824


class Sink(Protocol):
    """Takes the content."""

    def write(self, content: bytes, /) -> int: ...


@contextmanager
def packed(sink: Sink) -> Iterator[TarFile]:
    """An archive whose compressed bytes go to a sink; complete when the block ends."""
    with (
        zstd.ZstdFile(sink, "w", level=_LEVEL) as compressed,  # type: ignore[call-overload] # it only writes
        open_tar(mode="w|", fileobj=compressed, format=PAX_FORMAT) as archive,
    ):
        yield archive


def add_index(archive: TarFile, index: Index) -> None:
    content = index.encode()
    member = TarInfo(MEMBER)
    member.size = len(content)
    archive.addfile(member, BytesIO(content))


def unpacked(content: Iterator[bytes], write: Callable[[str, IO[bytes]], None]) -> Index:
    """Hand each member of an archive to `write`, by its name, and answer the index at its end.

    Raises `BackupDamaged`, and what `content` and `write` raise.
    """
    try:
        with (
            zstd.ZstdFile(_Source(content), "r") as plain,
            open_tar(mode="r|", fileobj=plain) as archive,
        ):
            for member in archive:
                archive.members = []  # type: ignore[attr-defined] # it would keep them all in memory
                file = archive.extractfile(member) if member.isreg() else None
                if file is None:
                    raise BackupDamaged(f"has a member that is no regular file: {member.name!r:.80}")
                if member.name == MEMBER:
                    return Index.parse(file.read(_LONGEST_INDEX))
                write(member.name, file)
    except (TarError, zstd.ZstdError, EOFError):
        raise BackupDamaged("has content that Plexigate did not write") from None
    raise BackupDamaged("has no index")


def copied(source: IO[bytes], write: Callable[[bytes], Any]) -> tuple[int, str]:
    """Copy a file; answers its size and its SHA-384."""
    digest = hashlib.sha384()
    size = 0
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        write(chunk)
    return size, digest.hexdigest()


def require_all(index: Index, found: Mapping[str, tuple[int, str]]) -> None:
    """Raises `BackupDamaged` unless each file of an index was found as the index says."""
    for one in index.files:
        if found.get(one.member) != (one.size, one.sha384):
            raise BackupDamaged(f"does not have {one.path} as its index says")


class _Source(RawIOBase):
    """The parts of a backup as a file."""

    def __init__(self, content: Iterator[bytes]) -> None:
        self._content = content
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            try:
                self._left = memoryview(next(self._content))
            except StopIteration:
                return 0
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
