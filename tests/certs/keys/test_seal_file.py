"""A sealing key in a file."""

from pathlib import Path

import pytest

from certs.keys.seal_file import SealFile
from certs.keys.software_homes import SealingFailed
from certs.storage.disk import Disk


def seal_file(tmp_path: Path) -> SealFile:
    return SealFile(tmp_path / "state" / "seal.key", Disk())


def test_what_was_sealed_opens_with_its_label(tmp_path: Path) -> None:
    sealed = seal_file(tmp_path).seal(b"secret", "key: a")
    assert b"secret" not in sealed
    assert seal_file(tmp_path).open(sealed, "key: a") == b"secret"
    assert seal_file(tmp_path).seal(b"secret", "key: a") != sealed


@pytest.mark.parametrize("change", [lambda one: one[:-1], lambda one: one[:-1] + b"\0", lambda one: one[:20]])
def test_what_was_changed_does_not_open(tmp_path: Path, change) -> None:  # type: ignore[no-untyped-def]
    sealed = seal_file(tmp_path).seal(b"secret", "key: a")
    with pytest.raises(SealingFailed, match="was changed"):
        seal_file(tmp_path).open(change(sealed), "key: a")


def test_another_label_does_not_open(tmp_path: Path) -> None:
    sealed = seal_file(tmp_path).seal(b"secret", "key: a")
    with pytest.raises(SealingFailed, match="belongs elsewhere"):
        seal_file(tmp_path).open(sealed, "key: b")


def test_a_plain_key_is_not_taken_for_a_sealed_one(tmp_path: Path) -> None:
    with pytest.raises(SealingFailed, match="is not"):
        seal_file(tmp_path).open(b"-----BEGIN PRIVATE KEY-----", "key: a")


def test_a_key_that_is_gone_or_damaged_is_told(tmp_path: Path) -> None:
    sealed = seal_file(tmp_path).seal(b"secret", "key: a")
    (tmp_path / "state" / "seal.key").write_bytes(b"short")
    with pytest.raises(SealingFailed, match="damaged"):
        seal_file(tmp_path).open(sealed, "key: a")
    (tmp_path / "state" / "seal.key").unlink()
    with pytest.raises(SealingFailed, match="No such file"):
        seal_file(tmp_path).open(sealed, "key: a")
    assert not (tmp_path / "state" / "seal.key").exists()
