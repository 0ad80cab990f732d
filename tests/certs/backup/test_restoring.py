"""A restore brings all of it back, or nothing that serves: interrupted before any of its steps."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from certs.backup.restoring import Incomplete, Occupied, OtherUnfinished
from certs.files.directory import OpenDirectory
from certs.files.file_lock import lock_within
from certs.sealing.errors import SealingError
from certs.sealing.key_file import create_key
from certs.storage.disk import STAGING
from certs.storage.lock import StateInUse, StateLock
from tests.backups import CONFIGURATION, PIN, Installation, linked, restored


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
    restored(in_memory / "one.pxbackup", key)
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
            restored(file, key, replaces=replaces, step=step)
            is_over = True
        except Stopped:
            if site.path.exists() and site.path.read_bytes() != b"older":
                assert {name: one for name, one in site.files().items() if STAGING not in name} == before, number
            restored(file, key, replaces=replaces)
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
        restored(file, key)
    assert caught.value.paths == [other]
    assert other.read_bytes() == b"others"
    restored(file, key, replaces=True)
    assert other.read_bytes() != b"others"


def test_a_running_proxy_keeps_its_state(site: Installation, in_memory: Path) -> None:
    file = in_memory / "one.pxbackup"
    site.backed_up(file)
    before = site.files()
    with StateLock.acquire(site.directory / "issued"), pytest.raises(StateInUse):
        restored(file, site.directory / "sealing.key", replaces=True)
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
        restored(first, key, step=step)
    with pytest.raises(OtherUnfinished):
        restored(second, key)
    restored(second, key, replaces=True)
    assert site.path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_belong_to_the_users_of_these_names(site: Installation, in_memory: Path) -> None:
    os.chown(site.directory / "users", 65_534, 65_534)
    file = in_memory / "one.pxbackup"
    site.backed_up(file)
    key = site.lost(in_memory / "sealing.key")
    restored(file, key)
    assert (site.directory / "users").stat().st_uid == 65_534
    assert (site.directory / "tls/server.key").stat().st_uid == 0


def stopped(file: Path, key: Path, at: str, *, replaces: bool = False) -> None:
    """A restore that ends before this step."""

    def step(name: str) -> None:
        if name.startswith(at):
            raise Stopped

    with pytest.raises(Stopped):
        restored(file, key, replaces=replaces, step=step)


def test_what_only_the_restore_needs_is_for_its_user_alone(site: Installation, backup: Path, in_memory: Path) -> None:
    stopped(backup, site.lost(in_memory / "sealing.key"), "place")
    assert stat.S_IMODE((site.directory / STAGING).stat().st_mode) == 0o700


def test_sealing_keys_and_pins_in_state_stay_when_the_rest_is_replaced(in_memory: Path) -> None:
    text = CONFIGURATION.replace('"sealing.key"', '"state/sealing.key"') + PIN.format("issued/pin")
    site = Installation.made(in_memory / "other", configuration=text)
    key = site.directory / "state/sealing.key"
    (site.directory / "sealing.key").rename(key)
    previous = site.directory / "state/sealing-1.key"
    create_key(previous)
    pin = site.write("issued/pin", b"4711\n")
    site.backed_up(in_memory / "one")
    kept = {path: path.read_bytes() for path in (key, previous, pin)}
    stale = site.write("state/stale", b"")
    restored(in_memory / "one", key, replaces=True)
    assert {path: path.read_bytes() for path in kept} == kept
    assert not stale.exists()
    for name in site.files().keys() - {"state/sealing.key", "state/sealing-1.key", "issued/pin"}:
        (site.directory / name).unlink()
    restored(in_memory / "one", key)


def test_state_behind_a_link_comes_back_also_when_the_link_is_there(in_memory: Path) -> None:
    site, ring = linked(in_memory)
    site.backed_up(in_memory / "one")
    ring.write_bytes(b"damaged")
    restored(in_memory / "one", site.directory / "sealing.key", replaces=True)
    assert ring.read_bytes() == b"ring"
    assert staging(in_memory) == []
    key = site.lost(in_memory / "sealing.key")
    ring.unlink()
    restored(in_memory / "one", key)
    assert (site.directory / "state/payload/ring-chat.sealed").read_bytes() == b"ring"


@pytest.mark.parametrize("at", ["place", "remove"])
def test_a_restore_that_replaces_begins_anew(site: Installation, backup: Path, in_memory: Path, at: str) -> None:
    """The journal is of before: what it says to be in place was changed since."""
    before = site.files()
    key = site.lost(in_memory / "sealing.key")
    stopped(backup, key, f"{at} {site.path}" if at == "place" else "remove journal.json")
    site.write("users", b"damaged")
    (site.directory / "issued/owner").unlink()
    restored(backup, key, replaces=True)
    assert site.files() == before


def test_an_earlier_restore_does_not_replace_what_came_since(site: Installation, backup: Path, in_memory: Path) -> None:
    key = site.lost(in_memory / "sealing.key")
    stopped(backup, key, "place")
    site.write("plexigate.toml", b"newer")
    with pytest.raises(Occupied, match=r"plexigate\.toml"):
        restored(backup, key)
    assert site.path.read_bytes() == b"newer"


def test_a_restore_is_not_complete_while_a_file_is_missing(site: Installation, backup: Path, in_memory: Path) -> None:
    key = site.lost(in_memory / "sealing.key")
    stopped(backup, key, "place")
    (site.directory / "issued" / STAGING / "1").unlink(missing_ok=True)
    shutil.rmtree(site.directory / "issued" / STAGING)
    with pytest.raises(Incomplete, match="issued"):
        restored(backup, key)
    assert not site.path.exists()


def test_a_proxy_without_a_state_directory_for_certificates_keeps_its_state_too(
    site: Installation, backup: Path
) -> None:
    with StateLock.acquire(site.directory / "state"), pytest.raises(StateInUse):
        restored(backup, site.directory / "sealing.key", replaces=True)


def test_one_restore_at_a_time(site: Installation, backup: Path, in_memory: Path) -> None:
    key = site.lost(in_memory / "sealing.key")
    site.directory.mkdir()
    with OpenDirectory.at(site.directory) as directory:
        assert lock_within(directory.descriptor, 1.0)
        with pytest.raises(StateInUse):
            restored(backup, key)
    assert list(site.directory.iterdir()) == []


def test_nothing_is_made_before_the_backup_is_open_and_its_places_are_free(
    site: Installation, backup: Path, in_memory: Path
) -> None:
    key = site.lost(in_memory / "sealing.key")
    other = create_key(in_memory / "other.key")
    with pytest.raises(SealingError):
        restored(backup, in_memory / "other.key")
    assert other.secret
    assert not site.directory.exists()
    there = {site.write("users", b"bob"), site.write("issued/other", b"of another")}
    with pytest.raises(Occupied):
        restored(backup, key)
    assert {path for path in site.directory.rglob("*") if path.is_file()} == there


def test_lines_of_the_audit_log_since_the_restore_stay(site: Installation, backup: Path, in_memory: Path) -> None:
    """A command that is repeated, as its end was not seen."""
    key = site.lost(in_memory / "sealing.key")
    restored(backup, key)
    log = site.write("log/audit.jsonl", b'{"seq": 1}\n{"seq": 2}\n')
    restored(backup, key)
    assert log.read_bytes().endswith(b'{"seq": 2}\n')
    (site.directory / "users").unlink()
    with pytest.raises(Occupied, match=r"audit\.jsonl"):
        restored(backup, key)
