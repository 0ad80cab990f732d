"""Whether a sealing key opens what was sealed before."""

from pathlib import Path

import pytest

from certs.hierarchy.store import LABEL
from certs.recovery.sealed_before import SealedBefore
from certs.sealing.held_key import HeldKey, key_id_of
from certs.sealing.importing import ImportRefused
from certs.sealing.sealer import AeadSealer

SECRET = bytearray(range(32))


@pytest.fixture
def before(tmp_path: Path) -> SealedBefore:
    path = tmp_path / "keys.sealed"
    path.write_bytes(AeadSealer(HeldKey(bytes(SECRET))).seal(b"keys", LABEL))
    return SealedBefore(path)


def test_where_nothing_was_sealed_every_key_fits(tmp_path: Path) -> None:
    before = SealedBefore(tmp_path / "keys.sealed")
    before.require_none()
    before.require_opened(SECRET, key_id_of)


def test_the_key_that_sealed_it(before: SealedBefore) -> None:
    before.require_opened(SECRET, key_id_of)
    with pytest.raises(ImportRefused, match=r"keys\.sealed.*would not open.*move away this file"):
        before.require_none()


def test_another_key_of_the_same_name(before: SealedBefore) -> None:
    with pytest.raises(ImportRefused, match=r"key of these shares does not open .*keys\.sealed.*leave out --config"):
        before.require_opened(bytearray(32), lambda _: key_id_of(SECRET))


def test_a_key_that_gets_another_name(before: SealedBefore) -> None:
    with pytest.raises(
        ImportRefused, match=rf"{key_id_of(SECRET).hex()}; the sealing key here is {bytes(16).hex()}.*--key-version"
    ):
        before.require_opened(SECRET, lambda _: bytes(16))


def test_a_file_that_is_none_or_is_not_to_be_read(before: SealedBefore, tmp_path: Path) -> None:
    before.path.write_bytes(b"something else")
    with pytest.raises(ImportRefused, match="is not sealed"):
        before.require_opened(SECRET, key_id_of)
    with pytest.raises(ImportRefused, match="Is a directory"):
        SealedBefore(tmp_path).require_opened(SECRET, key_id_of)
