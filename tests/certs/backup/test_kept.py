"""The backups in a directory: the newest first, and not too many."""

import errno
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certs.backup.kept import (
    BackupOwner,
    KeptBackup,
    NoBackup,
    backups_in,
    damaged_in,
    name_of,
    newest_in,
    remove_beyond,
    remove_unfinished,
    set_aside,
    unfinished_name,
)
from certs.files.file_lock import locked
from tests.backups import NODE, NOW, Installation, damage, nothing


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
        os.utime(place / name_of(node, at), (at.timestamp(), at.timestamp()))
    return place


def test_names_sort_by_time() -> None:
    assert name_of("a", NOW) == "a-20261201T120000Z.pxbackup"


def test_all_are_listed_the_newest_first_and_damaged_ones_last(directory: Path) -> None:
    (directory / "x.pxbackup").write_bytes(b"rubbish")
    (directory / "y.pxbackup").mkdir()
    (directory / "other").write_bytes(b"")
    found = backups_in(directory)
    ages = [(NOW - one.manifest.made_at).days for one in found if isinstance(one, KeptBackup)]
    assert ages == [0, 1, 3, 5]
    assert found[-2:] == [
        NoBackup(directory / "x.pxbackup", "the backup is too short to be one"),
        NoBackup(directory / "y.pxbackup", "Is a directory"),
    ]
    assert isinstance(found[0], KeptBackup)
    assert found[0].size == found[0].path.stat().st_size


def days_since_newest(directory: Path, owner: BackupOwner, but: tuple[Path, ...] = ()) -> int | None:
    newest = newest_in(directory, owner, but)
    return None if newest is None else (NOW - newest.made_at).days


def test_the_newest_of_a_configuration_on_a_machine_is_found(site: Installation, directory: Path) -> None:
    ours = BackupOwner(NODE, site.path)
    assert days_since_newest(directory, ours) == 0
    assert days_since_newest(directory, replace(ours, node="plexi2")) == 5
    assert days_since_newest(directory, replace(ours, node="plexi3")) is None
    assert days_since_newest(directory, replace(ours, configuration=site.directory / "another.toml")) is None
    (site.directory / "link.toml").symlink_to(site.path)
    assert days_since_newest(directory, replace(ours, configuration=site.directory / "link.toml")) == 0
    assert days_since_newest(directory / "none", ours) is None


def test_damaged_ones_that_are_newer_than_a_whole_one_are_set_aside(site: Installation, directory: Path) -> None:
    ours = BackupOwner(NODE, site.path)
    assert damaged_in(directory, ours, nothing) == []
    first, second = (directory / name_of(NODE, NOW - timedelta(days=days)) for days in (0, 1))
    for path in (second, first):
        at = path.stat().st_mtime
        damage(path)
        os.utime(path, (at, at))
    assert days_since_newest(directory, ours) == 0, "a manifest tells nothing of it"
    assert damaged_in(directory, ours, nothing) == [first, second]
    assert days_since_newest(directory, ours, (first, second)) == 3
    first.write_bytes(b"cut")
    os.utime(first, (NOW.timestamp(), NOW.timestamp()))
    assert damaged_in(directory, ours, nothing) == [first, second], "its name tells whose it is"
    assert damaged_in(directory, replace(ours, node="plexi2"), nothing) == []
    assert [set_aside(one).name[-17:] for one in (first, second)] == [".pxbackup.damaged"] * 2
    assert days_since_newest(directory, ours) == 3
    assert remove_beyond(1, backups_in(directory), ours) == [], "it is the only one"


@pytest.mark.parametrize(("error", "count"), [(errno.EIO, 3), (errno.ESTALE, 0)])
def test_what_a_disk_does_not_read_any_more_is_damaged(
    site: Installation, directory: Path, monkeypatch: pytest.MonkeyPatch, error: int, count: int
) -> None:
    def check(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr("certs.backup.container.BackupReader.check", check)
    assert len(damaged_in(directory, BackupOwner(NODE, site.path), nothing)) == count


def test_what_killed_processes_of_this_machine_have_left_is_removed(directory: Path) -> None:
    left, held, other = (
        directory / unfinished_name(name_of(node, at))
        for node, at in ((NODE, NOW), (NODE, NOW + timedelta(days=1)), (f"{NODE}-b", NOW))
    )
    for one in (left, held, other):
        one.write_bytes(b"half")
    (
        directory / unfinished_name(name_of(NODE, NOW + timedelta(days=2)))
    ).mkdir()  # as little as one of root can be opened
    with locked(held, 0.0):
        remove_unfinished(directory, NODE)
        assert [one.exists() for one in (left, held, other)] == [False, True, True]
    remove_unfinished(directory, NODE)
    assert [one.exists() for one in (held, other)] == [False, True]


def test_those_beyond_the_limit_are_removed_but_none_of_others(site: Installation, directory: Path) -> None:
    found = backups_in(directory)
    assert remove_beyond(1, found, BackupOwner(NODE, site.directory / "another.toml")) == [], "of another installation"
    removed = remove_beyond(1, found, BackupOwner(NODE, site.path))
    assert [path.name for path in removed] == [name_of(NODE, NOW - timedelta(days=days)) for days in (1, 3)]
    assert [one.path.name for one in backups_in(directory)] == [
        name_of(NODE, NOW),
        name_of("plexi2", NOW - timedelta(days=5)),
    ]
