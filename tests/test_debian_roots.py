"""A root is never removed through a mount."""

from pathlib import Path

import pytest

from tests import debian_roots
from tests.debian_roots import RootError, mounts_below, remove_tree

MOUNTINFO = """\
21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 21 0:5 / {place}/root/proc rw - proc proc rw
31 21 0:6 / {place}2 rw - tmpfs tmpfs rw
32 21 0:6 / /other\\040place rw - tmpfs tmpfs rw
"""


def test_mounts_at_and_below_a_directory_are_found(tmp_path: Path) -> None:
    text = MOUNTINFO.format(place=tmp_path)
    assert mounts_below(tmp_path, text) == [f"{tmp_path}/root/proc"]
    assert mounts_below(tmp_path / "root" / "proc", text) == [f"{tmp_path}/root/proc"]
    assert mounts_below(tmp_path / "root" / "dev", text) == []
    assert mounts_below(Path("/other place"), text) == ["/other place"]


def test_a_directory_with_a_mount_in_it_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "room"
    directory.mkdir()
    monkeypatch.setattr(debian_roots, "mounts_below", lambda *_: ["/room/proc"])
    with pytest.raises(RootError, match="/room/proc"):
        remove_tree(directory)
    assert directory.exists()
    monkeypatch.undo()
    remove_tree(directory)
    assert not directory.exists()
    remove_tree(directory)
