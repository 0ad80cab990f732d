"""The key of a root goes away to a medium of its own."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.internal_ca.root_key import take_root_key
from certs.keys.home import HomeFailed
from certs.storage.disk import Disk
from tests.certs.crashes import crashes
from tests.certs.issuing.internal_ca.test_authority import authority, issued


def root_of(one: InternalAuthority) -> object:
    (root,) = one.roots
    return root.public_key()


def test_it_is_written_for_its_owner_alone_and_is_here_no_more(tmp_path: Path) -> None:
    ours = authority(tmp_path / "state")
    issued(ours)
    file = tmp_path / "root.key"
    take_root_key(ours, file, Disk())
    assert load_pem_private_key(file.read_bytes(), None).public_key() == root_of(ours)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not ours.root_version().has_key
    issued(ours)
    with pytest.raises(HomeFailed, match="already moved away"):
        take_root_key(ours, tmp_path / "again", Disk())


def test_it_can_be_named_where_it_is_needed_again(tmp_path: Path) -> None:
    ours = authority(tmp_path / "state")
    file = tmp_path / "root.key"
    _ = ours.roots
    take_root_key(ours, file, Disk())
    issued(authority(tmp_path / "state", moved=file))


def test_nothing_is_written_over(tmp_path: Path) -> None:
    ours = authority(tmp_path / "state")
    _ = ours.roots
    (tmp_path / "root.key").write_bytes(b"somebody's")
    with pytest.raises(FileExistsError):
        take_root_key(ours, tmp_path / "root.key", Disk())
    assert ours.root_version().has_key


def test_a_key_in_a_token_stays_there(tmp_path: Path) -> None:
    ours = authority(tmp_path / "state", root="ec-p384@plexi")
    _ = ours.roots
    with pytest.raises(HomeFailed, match="in a token, which it never leaves"):
        take_root_key(ours, tmp_path / "root.key", Disk())


def test_at_every_crash_the_key_is_in_one_place_at_least(tmp_path: Path) -> None:
    def work(place: Path, disk: Disk) -> None:
        ours = authority(place / "state", disk=Disk())
        _ = ours.roots
        take_root_key(authority(place / "state", disk=disk), place / "root.key", disk)

    for _, place in crashes(work, tmp_path):
        whole = (place / "root.key").exists() and b"END" in (place / "root.key").read_bytes()
        assert whole or authority(place / "state").root_version().has_key
