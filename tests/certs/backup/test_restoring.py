"""A restore brings all of it back, or nothing that serves: interrupted before any of its steps."""

import os
import stat
from pathlib import Path

import pytest

from certs.backup.contents import STAGING
from certs.backup.opened import OpenBackup
from certs.backup.restoring import Occupied, OtherUnfinished, Restoration
from certs.storage.lock import StateInUse, StateLock
from tests.backups import Installation, nothing, restored


class Stopped(BaseException):
    """The process ends here."""


@pytest.fixture
def site(in_memory: Path) -> Installation:
    return Installation.made(in_memory / "site")


def staging(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if STAGING in path.parts or path.suffix == ".new"]


def test_all_files_come_back_with_their_modes_to_an_empty_machine(site: Installation, in_memory: Path) -> None:
    (site.directory / "tls").chmod(0o750)
    site.backed_up(in_memory / "one.pxbackup")
    before = site.files()
    key = site.lost(in_memory / "sealing.key")
    restored(in_memory / "one.pxbackup", key, in_memory / "scratch")
    assert site.files() == before
    assert before["tls/server.key"][0] == 0o640
    assert stat.S_IMODE((site.directory / "tls").stat().st_mode) == 0o750
    assert staging(site.directory) == []


@pytest.mark.parametrize("replaces", [False, True])
def test_it_is_whole_after_a_second_run_whichever_step_the_first_ended_before(
    site: Installation, in_memory: Path, monkeypatch: pytest.MonkeyPatch, *, replaces: bool
) -> None:
    """Until the last file is there, there is no configuration: a proxy does not start."""
    monkeypatch.setattr("os.sync", lambda: None)  # slow, and no machine loses power here
    file = in_memory / "one.pxbackup"
    site.backed_up(file)
    before = site.files()
    key = in_memory / "sealing.key"
    is_over = False
    number = 0
    while not is_over:
        (key if key.exists() else site.directory / "sealing.key").rename(site.directory / "sealing.key")
        site.lost(key)
        if replaces:
            site.write("plexigate.toml", b"older")
            site.write("issued/credentials/name9/ec/ledger.json", b"older")
        left = number

        def step(_name: str) -> None:
            nonlocal left
            if not left:
                raise Stopped
            left -= 1

        try:
            restored(file, key, in_memory / "scratch", replaces=replaces, step=step)
            is_over = True
        except Stopped:
            if site.path.exists() and site.path.read_bytes() != b"older":
                assert {name: one for name, one in site.files().items() if STAGING not in name} == before, number
            restored(file, key, in_memory / "scratch", replaces=replaces)
        assert site.files() == before, number
        assert staging(site.directory) == []
        number += 1
    assert number > 60


def test_state_and_configuration_that_are_there_are_not_replaced_unless_told(
    site: Installation, in_memory: Path
) -> None:
    file = in_memory / "one.pxbackup"
    site.backed_up(file)
    key = site.lost(in_memory / "sealing.key")
    other = site.write("state/keys.sealed", b"others")
    with pytest.raises(Occupied, match=str(other)) as caught:
        restored(file, key, in_memory / "scratch")
    assert caught.value.paths == [other]
    assert other.read_bytes() == b"others"
    restored(file, key, in_memory / "scratch", replaces=True)
    assert other.read_bytes() != b"others"


def test_a_running_proxy_keeps_its_state(site: Installation, in_memory: Path) -> None:
    file = in_memory / "one.pxbackup"
    site.backed_up(file)
    before = site.files()
    with StateLock.acquire(site.directory / "issued"), pytest.raises(StateInUse):
        restored(file, site.directory / "sealing.key", in_memory / "scratch", replaces=True)
    assert {name: one for name, one in site.files().items() if name != "issued/lock"} == before


def test_another_backup_is_not_begun_in_the_middle_of_one(site: Installation, in_memory: Path) -> None:
    first, second = in_memory / "one.pxbackup", in_memory / "two.pxbackup"
    site.backed_up(first)
    site.backed_up(second)
    key = site.lost(in_memory / "sealing.key")

    def step(name: str) -> None:
        if name.startswith("place"):
            raise Stopped

    with pytest.raises(Stopped):
        restored(first, key, in_memory / "scratch", step=step)
    with pytest.raises(OtherUnfinished):
        restored(second, key, in_memory / "scratch")
    restored(second, key, in_memory / "scratch", replaces=True)
    assert site.path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_belong_to_the_users_of_these_names(site: Installation, in_memory: Path) -> None:
    os.chown(site.directory / "users", 65_534, 65_534)
    file = in_memory / "one.pxbackup"
    site.backed_up(file)
    key = site.lost(in_memory / "sealing.key")
    restored(file, key, in_memory / "scratch")
    assert (site.directory / "users").stat().st_uid == 65_534
    assert (site.directory / "tls/server.key").stat().st_uid == 0


def test_what_only_the_restore_needs_is_for_its_user_alone(site: Installation, in_memory: Path) -> None:
    file = in_memory / "one.pxbackup"
    site.backed_up(file)
    site.lost(in_memory / "sealing.key")
    with OpenBackup.at(file) as backup:
        restoration = Restoration(backup, nothing)
        with restoration.alone():
            assert stat.S_IMODE(restoration.staging.stat().st_mode) == 0o700
