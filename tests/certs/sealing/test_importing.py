"""A key file as the place for the sealing key."""

from pathlib import Path

import pytest

from certs.sealing.importing import ImportRefused, KeyFileImporter
from certs.sealing.key_file import KeyFile

SECRET = bytearray(range(32))


def test_imported_and_generated(tmp_path: Path) -> None:
    importer = KeyFileImporter(tmp_path / "a.key")
    importer.require_free()
    key = importer.import_key(SECRET)
    assert importer.envelope_id(SECRET) == key.key_id
    assert KeyFile.load(tmp_path / "a.key").secret == SECRET
    assert KeyFileImporter(tmp_path / "b.key").generate().key_id != key.key_id
    assert importer.is_outside_again
    assert "a.key" in importer.place


def test_a_key_is_not_replaced(tmp_path: Path) -> None:
    importer = KeyFileImporter(tmp_path / "a.key")
    importer.generate()
    with pytest.raises(ImportRefused, match=r"a\.key exists already"):
        importer.require_free()
    with pytest.raises(ImportRefused, match="File exists"):
        importer.import_key(SECRET)
    with pytest.raises(ImportRefused, match="File exists"):
        importer.generate()
