"""Files sealed again by the active keys."""

import os
from pathlib import Path

import pytest

from certs.files.atomic_file import replace_state, write_state
from certs.hierarchy.resealing import NotOurs, reseal
from certs.hierarchy.sealed_files import sealed_files
from certs.hierarchy.vault import FILE_NAME, Vault, retired
from certs.sealing.envelope import Purpose
from certs.sealing.files import SealedFileUnusable
from certs.sealing.held_key import HeldKey
from certs.sealing.sealer import AeadSealer
from tests.certs.hierarchy.test_vault import PURPOSES, Scene


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """Its keys were rotated after it has sealed a file for each purpose."""
    vault = Scene(tmp_path).vault()
    for purpose in PURPOSES:
        (tmp_path / f"state/{purpose}").write_bytes(vault.sealer(purpose).seal(purpose.encode(), purpose.label("one")))
    vault.rotate()
    return vault


def test_every_purpose_is_sealed_by_the_active_key_and_no_other_file(vault: Vault, tmp_path: Path) -> None:
    other = tmp_path / "state/other"
    other.write_bytes(AeadSealer(HeldKey(bytes(32))).seal(b"a", Purpose.PROBE.label("a")))
    (tmp_path / "state/own").write_bytes(AeadSealer(HeldKey(bytes(32))).seal(b"a", PURPOSES[0].label("a")))
    kept = other.read_bytes(), (tmp_path / "state" / FILE_NAME).read_bytes()
    done = [one.path.name for one in sealed_files([], [tmp_path]) if reseal(vault, one)]
    assert sorted(done) == sorted(PURPOSES)
    assert other.read_bytes() == kept[0]
    vault.destroy([key.id for key in retired(vault.read().hierarchy, 1)])
    for purpose in PURPOSES:
        content = (tmp_path / "state" / purpose).read_bytes()
        assert vault.sealer(purpose).open(content, purpose.label("one")) == purpose.encode()
    assert not any(reseal(vault, one) for one in sealed_files([], [tmp_path]))


def test_a_link_stays_one(vault: Vault, tmp_path: Path) -> None:
    link = tmp_path / "link.sealed"
    link.symlink_to(tmp_path / "state" / PURPOSES[0])
    (one,) = sealed_files([link], [])
    assert reseal(vault, one)
    assert link.is_symlink()


def test_a_damaged_file_stays_as_it_is(vault: Vault, tmp_path: Path) -> None:
    path = tmp_path / "state" / PURPOSES[0]
    path.write_bytes(damaged := path.read_bytes()[:-1] + b"\0\0")
    (one,) = sealed_files([path], [])
    with pytest.raises(SealedFileUnusable, match="changed or damaged"):
        reseal(vault, one)
    assert path.read_bytes() == damaged


def test_what_is_written_meanwhile_stays(vault: Vault, tmp_path: Path) -> None:
    path = tmp_path / "state" / PURPOSES[0]
    (one,) = sealed_files([path], [])
    newer = vault.sealer(PURPOSES[0]).seal(b"newer", one.label)

    class Slow:
        """A vault whose sealing lasts until somebody else has written."""

        def sealer(self, purpose: Purpose) -> "Slow":
            self.inner = vault.sealer(purpose)
            return self

        @property
        def key_id(self) -> bytes:
            return self.inner.key_id

        def open(self, sealed: bytes, label: str) -> bytes:
            return self.inner.open(sealed, label)

        def seal(self, plain: bytes, label: str) -> bytes:
            write_state(path, newer)
            return self.inner.seal(plain, label)

    assert not reseal(Slow(), one)
    assert path.read_bytes() == newer
    path.unlink()
    assert not replace_state(path, newer, b"revived")
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="run as root: only root can give a file away")
def test_a_file_of_another_user_stays_as_it_is(vault: Vault, tmp_path: Path) -> None:
    path = tmp_path / "state" / PURPOSES[0]
    os.chown(path, 65534, -1)
    (one,) = sealed_files([path], [])
    with pytest.raises(NotOurs, match="belongs to another user"):
        reseal(vault, one)
