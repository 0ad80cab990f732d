"""Files that rest sealed, found wherever they lie."""

import os
from pathlib import Path

import pytest

from certs.hierarchy.sealed_files import SealedFile, sealed_files
from certs.sealing.envelope import Purpose
from certs.sealing.held_key import HeldKey
from certs.sealing.sealer import AeadSealer
from certs.storage.disk import STAGING

KEY = HeldKey(bytes(32))
LABEL = Purpose.ACME_ACCOUNT.label("ca")


def sealed(path: Path) -> SealedFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(AeadSealer(KEY).seal(b"secret", LABEL))
    return SealedFile(path, KEY.key_id, LABEL)


def test_named_files_and_what_lies_below_directories_each_once(tmp_path: Path) -> None:
    named, deep = sealed(tmp_path / "a.sealed"), sealed(tmp_path / "state/b/c/key")
    state = tmp_path / "state"
    found = sealed_files([named.path, deep.path, tmp_path / "none"], [state, state / "b", tmp_path / "nowhere"])
    assert found == [named, deep]
    assert str(named) == f'"{tmp_path}/a.sealed" (ACME account key: ca)'


def test_what_is_not_sealed_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("-----BEGIN PRIVATE KEY-----")
    (tmp_path / "cut").write_bytes(AeadSealer(KEY).seal(b"secret", LABEL)[:40])
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    assert sealed_files([], [tmp_path]) == []


def test_a_named_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        sealed_files([tmp_path / "loop"], [])


def test_what_a_restore_will_put_in_place_is_not_there_yet(tmp_path: Path) -> None:
    sealed(tmp_path / STAGING / "15")
    assert sealed_files([], [tmp_path]) == []
