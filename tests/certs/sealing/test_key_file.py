"""A sealing key in a file."""

import traceback
from base64 import b64encode
from pathlib import Path

import pytest

from certs.sealing.held_key import HeldKey
from certs.sealing.importing import ImportRefused
from certs.sealing.key_file import KeyFileImporter, KeyFileUnusable, create_key, load_key

SECRET = bytes(range(32))


def test_made_and_read(tmp_path: Path) -> None:
    path = tmp_path / "sealing.key"
    made = create_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path) == made
    assert made.secret != create_key(tmp_path / "other.key").secret
    assert create_key(tmp_path / "given.key", bytearray(SECRET)).secret == SECRET


def test_a_file_says_whether_shares_bring_its_key_back(tmp_path: Path) -> None:
    imported, made, before = (tmp_path / name for name in ("imported", "made", "before"))
    assert KeyFileImporter(imported).import_key(bytearray(SECRET)).has_shares
    assert load_key(imported) == HeldKey(SECRET, has_shares=True)
    assert KeyFileImporter(made).generate().has_shares is False
    assert load_key(made).has_shares is False
    assert create_key(before).has_shares is None
    assert load_key(before).has_shares is None


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "sealing.key"
    made = create_key(path)
    with pytest.raises(KeyFileUnusable, match="File exists"):
        create_key(path, SECRET)
    assert load_key(path) == made
    with pytest.raises(ValueError, match="32 bytes"):
        create_key(tmp_path / "short.key", bytes(31))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_others_may_do_nothing_with_it(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "sealing.key"
    create_key(path)
    path.chmod(mode)
    with pytest.raises(KeyFileUnusable, match=f"which has mode {mode:04o}; allowed: mode 0600"):
        load_key(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        SECRET,
        b64encode(SECRET),
        b"plexigate sealing key 1\n",
        b"plexigate sealing key 1\n" + b64encode(SECRET[:-1]),
        b"plexigate sealing key 1\n" + b64encode(SECRET)[:-1],
        b"plexigate sealing key 2\n" + b64encode(SECRET),
        b"plexigate sealing key 1\n" + b64encode(SECRET) + b"\nIt has shares.\n",
    ],
)
def test_what_is_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sealing.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileUnusable, match="which is not a sealing key") as caught:
        load_key(path)
    shown = "".join(traceback.format_exception(caught.value))
    assert b64encode(SECRET).decode()[:20] not in shown


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(KeyFileUnusable, match="No such file"):
        load_key(tmp_path / "sealing.key")


def test_a_key_is_imported_and_generated(tmp_path: Path) -> None:
    importer = KeyFileImporter(tmp_path / "a.key")
    importer.require_free()
    key = importer.import_key(bytearray(SECRET))
    assert importer.envelope_id(bytearray(SECRET)) == key.key_id
    assert load_key(tmp_path / "a.key").secret == SECRET
    assert KeyFileImporter(tmp_path / "b.key").generate().key_id != key.key_id
    assert importer.is_outside_again
    assert "a.key" in importer.place


def test_a_key_is_not_replaced(tmp_path: Path) -> None:
    importer = KeyFileImporter(tmp_path / "a.key")
    importer.generate()
    with pytest.raises(ImportRefused, match=r"a\.key exists already"):
        importer.require_free()
    with pytest.raises(ImportRefused, match="File exists"):
        importer.import_key(bytearray(SECRET))
    with pytest.raises(ImportRefused, match="File exists"):
        importer.generate()
