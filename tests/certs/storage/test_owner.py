"""The id of a state directory."""

from pathlib import Path

import pytest

from certs.storage.disk import Disk
from certs.storage.owner import OWNER_DIGITS, Owner, OwnerDamaged
from tests.certs.crashes import crashes


def test_it_stays_the_same_and_differs_between_directories(tmp_path: Path) -> None:
    first = Owner(tmp_path / "a", Disk()).id()
    assert len(first) == OWNER_DIGITS
    assert Owner(tmp_path / "a", Disk()).id() == first
    assert Owner(tmp_path / "b", Disk()).id() != first


@pytest.mark.parametrize("content", [b"", b"short", b"0123456G", b"\xff" * 8])
def test_one_that_was_damaged_is_not_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "owner").write_bytes(content)
    with pytest.raises(OwnerDamaged, match="owner: found no id"):
        Owner(tmp_path, Disk()).id()
    assert (tmp_path / "owner").read_bytes() == content


def test_a_crash_leaves_none_or_a_whole_one(tmp_path: Path) -> None:
    for _, place in crashes(lambda place, disk: Owner(place / "state", disk).id(), tmp_path):
        assert len(Owner(place / "state", Disk()).id()) == OWNER_DIGITS
