"""The archive gives back each file, and believes nothing but its index."""

import io
import tarfile
from collections.abc import Callable, Iterator
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.backup.archive import add_index, copied, packed, require_all, unpacked
from certs.backup.container import BackupDamaged
from certs.backup.index import Index, IndexedFile


class Pieces:
    """A sink that keeps pieces, and gives them out one by one."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, content: bytes, /) -> int:
        self.pieces.append(bytes(content))
        return len(content)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)


def archive(add: Callable[[tarfile.TarFile], object]) -> Pieces:
    sink = Pieces()
    with packed(sink) as made:
        add(made)
    return sink


def put(made: tarfile.TarFile, name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.type = kind
    member.linkname = "/etc/passwd" if kind == tarfile.SYMTYPE else ""
    made.addfile(member, io.BytesIO(content))


def contents(pieces: Iterator[bytes]) -> tuple[Index, dict[str, bytes]]:
    found: dict[str, bytes] = {}

    def write(name: str, file: IO[bytes]) -> None:
        found[name] = file.read()

    return unpacked(pieces, write), found


INDEX = Index((IndexedFile("/a", "0.0", 3, "digest", 0o600, "root", "root"),))


def test_members_come_back_before_the_index() -> None:
    def add(made: tarfile.TarFile) -> None:
        put(made, "0.0", b"one")
        put(made, "0.1", bytes(3_000_000))
        add_index(made, INDEX)

    pieces = archive(add)
    assert sum(map(len, pieces)) < 10_000  # compressed
    assert contents(iter(pieces)) == (INDEX, {"0.0": b"one", "0.1": bytes(3_000_000)})
    # also in pieces of one byte
    assert contents(bytes([one]) for piece in pieces for one in piece)[0] == INDEX


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_member_that_is_no_regular_file_leads_nowhere(kind: bytes) -> None:
    pieces = archive(lambda made: put(made, "0.0", b"", kind))
    with pytest.raises(BackupDamaged, match="no regular file"):
        contents(iter(pieces))


def test_without_an_index_it_is_refused() -> None:
    with pytest.raises(BackupDamaged, match="no index"):
        contents(iter(archive(lambda made: put(made, "0.0", b"one"))))


@given(st.binary(max_size=100))
def test_other_content_is_refused(raw: bytes) -> None:
    with pytest.raises(BackupDamaged):
        contents(iter([raw]))


def test_it_is_refused_wherever_it_was_cut() -> None:
    raw = b"".join(archive(lambda made: put(made, "0.0", b"one")))
    for end in range(len(raw)):
        with pytest.raises(BackupDamaged):
            contents(iter([raw[:end]]))


def test_files_are_those_of_the_index() -> None:
    size, digest = copied(io.BytesIO(b"one"), lambda _: None)
    index = Index((IndexedFile("/a", "0.0", size, digest, 0o600, "root", "root"),))
    require_all(index, {"0.0": (size, digest), "0.1": (1, "superseded")})
    for found in ({}, {"0.0": (size, "other")}, {"0.0": (2, digest)}):
        with pytest.raises(BackupDamaged, match="does not have /a as its index says"):
            require_all(index, found)
