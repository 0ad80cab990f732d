"""The backups in a directory: the newest first, and not too many."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certs.backup.kept import backups_in, name_of, newest_in, remove_beyond
from tests.backups import NODE, NOW, Installation, nothing


@pytest.fixture
def directory(site: Installation, in_memory: Path) -> Path:
    """Three of this machine and one of another."""
    place = in_memory / "backups"
    place.mkdir()
    for node, days in ((NODE, 0), (NODE, 1), ("plexi2", 5), (NODE, 3)):
        creation = site.creation()
        at = NOW - timedelta(days=days)
        one = type(creation)(creation.contents, creation.keys, creation.recipients, creation.files, "1.2.3", node, at)
        with (place / name_of(node, at)).open("wb") as out:
            one.write(out, nothing)
    return place


def test_names_sort_by_time() -> None:
    assert name_of("a", NOW) == "a-20261201T120000Z.pxbackup"


def test_all_are_listed_the_newest_first_and_damaged_ones_last(directory: Path) -> None:
    (directory / "x.pxbackup").write_bytes(b"rubbish")
    (directory / "y.pxbackup").mkdir()
    (directory / "other").write_bytes(b"")
    found = backups_in(directory)
    ages = [None if one.manifest is None else (NOW - one.manifest.made_at).days for one in found]
    assert ages == [0, 1, 3, 5, None, None]
    assert {one.path.name: one.fault for one in found if one.fault} == {
        "x.pxbackup": "the backup is too short to be one",
        "y.pxbackup": "Is a directory",
    }
    assert found[0].size == found[0].path.stat().st_size


def test_the_newest_of_a_machine_is_found(directory: Path) -> None:
    newest = newest_in(directory, NODE)
    assert newest is not None
    other = newest_in(directory, "plexi2")
    assert other is not None
    assert newest_in(directory, "plexi3") is None
    assert (NOW - other.made_at).days == 5
    assert newest_in(directory / "none", NODE) is None


def test_those_beyond_the_limit_are_removed_but_none_of_others(directory: Path) -> None:
    found = backups_in(directory)
    newest = found[0].manifest
    assert newest is not None
    assert remove_beyond(1, found, replace(newest, configuration="/etc/another.toml")) == [], "of another installation"
    removed = remove_beyond(1, found, newest)
    assert [path.name for path in removed] == [name_of(NODE, NOW - timedelta(days=days)) for days in (1, 3)]
    assert [one.path.name for one in backups_in(directory)] == [
        name_of(NODE, NOW),
        name_of("plexi2", NOW - timedelta(days=5)),
    ]
