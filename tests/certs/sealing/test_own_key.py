"""The sealing key of those who have named none."""

import stat
from pathlib import Path

import pytest

from certs.sealing.errors import KeyUnavailable, NotSealed, OtherLabel, Tampered
from certs.sealing.own_key import OwnKeySealer
from certs.storage.disk import Disk
from tests.certs.crashes import crashes


def sealer(state: Path, disk: Disk | None = None) -> OwnKeySealer:
    return OwnKeySealer(state / "sealing.key", disk or Disk())


def test_what_was_sealed_opens_with_its_label(tmp_path: Path) -> None:
    state = tmp_path / "state"
    sealed = sealer(state).seal(b"secret", "a")
    assert b"secret" not in sealed
    assert sealer(state).open(sealed, "a") == b"secret"
    assert stat.S_IMODE((state / "sealing.key").stat().st_mode) == 0o600
    assert len(sealer(state).key_id) == 16
    with pytest.raises(OtherLabel):
        sealer(state).open(sealed, "b")
    with pytest.raises(Tampered):
        sealer(state).open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "a")
    with pytest.raises(NotSealed):
        sealer(state).open(b"-----BEGIN PRIVATE KEY-----", "a")


def test_opening_makes_no_key(tmp_path: Path) -> None:
    sealed = sealer(tmp_path / "other").seal(b"secret", "a")
    with pytest.raises(KeyUnavailable, match="No such file"):
        sealer(tmp_path / "state").open(sealed, "a")
    assert not (tmp_path / "state").exists()


def test_a_damaged_key_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "sealing.key").touch(0o600)
    with pytest.raises(KeyUnavailable, match="is not a sealing key"):
        sealer(tmp_path).seal(b"secret", "a")


def test_a_crash_leaves_no_key_or_a_whole_one(tmp_path: Path) -> None:
    for _, place in crashes(lambda place, disk: sealer(place / "state", disk).seal(b"secret", "a"), tmp_path):
        sealed = sealer(place / "state").seal(b"again", "a")
        assert sealer(place / "state").open(sealed, "a") == b"again"
