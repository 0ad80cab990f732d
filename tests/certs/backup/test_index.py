"""The index is read as it was written, and names no path that leads elsewhere."""

import pytest

from certs.backup.container import BackupDamaged
from certs.backup.index import Index, IndexedFile, require_plain

FILE = IndexedFile("/etc/plexigate/a\udc80.toml", "0.0", 3, "ab", 0o600, "root", "plexigate")


def test_it_comes_back() -> None:
    assert Index.parse(Index((FILE,)).encode()) == Index((FILE,))


@pytest.mark.parametrize("path", ["", "a", "/a/../b", "/a/./b", "/a//b", "/a/", "//a", "/a\0b", ".."])
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(BackupDamaged, match="leads elsewhere"):
        require_plain(path)
    content = Index((IndexedFile(path, "0.0", 3, "ab", 0o600, "root", "root"),)).encode()
    with pytest.raises(BackupDamaged):
        Index.parse(content)


def test_plain_paths_are_not() -> None:
    for path in ("/", "/a", "/a b/..c"):
        require_plain(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"files": [{}]}', b'{"files": 1}'])
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(BackupDamaged, match="index"):
        Index.parse(content)
