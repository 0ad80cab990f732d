"""`plexigate backup restore`, from a key file and from a private key."""

from dataclasses import replace
from pathlib import Path

import pytest

from certs.backup.index import Index
from certs.storage.lock import StateLock
from proxy.commands.backup.restore import _announced, _restored_text
from tests.backups import Installation
from tests.certs.backup.test_manifest import MANIFEST
from tests.proxy.commands.backup.conftest import backup, told


@pytest.fixture
def made(site: Installation, tmp_path: Path) -> Path:
    """A backup that the key safe.key can open too."""
    public = tmp_path / "safe.pub"
    public.write_text(backup("key", tmp_path / "safe.key").stdout)
    file = tmp_path / "one.pxbackup"
    told("create", file, "--config", site.path, "--to", public)
    return file


def by_key(made: Path, directory: Path, name: str = "safe.key") -> tuple[object, ...]:
    return "--key", directory / name, "--signer", told("verify", made)["signer"]


@pytest.mark.parametrize("option", ["--sealing-key", "--key"])
def test_it_comes_back_by_either_key(site: Installation, made: Path, tmp_path: Path, option: str) -> None:
    before = site.files()
    site.lost(tmp_path / "sealing.key")
    options = (option, tmp_path / "sealing.key") if option == "--sealing-key" else by_key(made, tmp_path)
    found = told("restore", made, *options)
    assert (found["configuration"], found["converted"]) == (str(site.path), [])
    assert site.files() == before
    again = backup("restore", made, *options)  # the same is there
    assert again.exit_code == 0
    assert f"Next: plexigate check {site.path}" in again.stdout


def test_the_signer_and_the_paths_are_shown_before_anything_is_written(
    site: Installation, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = told("verify", made)["signer"]
    key = site.lost(tmp_path / "sealing.key")
    below = ["issued", "state", "plexigate.toml", "tls/server.key", "tls/server.pem", "users"]
    places = [str(site.directory / one) for one in below]
    with monkeypatch.context() as patched:
        patched.setattr("certs.backup.restoring.Restoration._stage", lambda *_: 1 / 0)
        done = backup("restore", made, "--sealing-key", key)
    assert isinstance(done.exception, ZeroDivisionError)
    head, *shown = done.stderr.splitlines()
    assert head == f"Signer: {signer}"
    assert all(one in shown[0] for one in places)
    found = told("restore", made, "--sealing-key", key)
    assert (found["signer"], sorted(found["places"])) == (signer, sorted(places))


def test_what_a_manifest_says_does_not_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "/\x1b[2J"
    manifest = replace(MANIFEST, node=evil, configuration=evil, states=(evil,))
    assert _announced(manifest, Index(())) == [evil]
    shown = capsys.readouterr().err + _restored_text(manifest, [])
    assert shown.count("\\x1b[2J") == 3


def test_a_node_of_a_fleet_is_told_what_it_cannot_know(site: Installation, tmp_path: Path) -> None:
    words = "fleet status on another node"
    for number in range(2):
        file = tmp_path / f"{number}.pxbackup"
        told("create", file, "--config", site.path)
        done = backup("restore", file, "--sealing-key", site.directory / "sealing.key", "--replace")
        assert done.exit_code == 0, done.output
        assert (words in done.stdout) is bool(number)
        site.write("state/fleet.sealed", b"fleet")


def test_it_needs_one_way_to_open_it_and_writes_nothing_without(site: Installation, made: Path, tmp_path: Path) -> None:
    key = site.lost(tmp_path / "sealing.key")
    for options in ((), (*by_key(made, tmp_path), "--sealing-key", key)):
        done = backup("restore", made, *options)
        assert (done.exit_code, "plexigate hsm recover" in done.stderr) == (1, True)
        assert not site.path.exists()


def test_a_wrong_key_is_named(site: Installation, made: Path, tmp_path: Path) -> None:
    site.lost(tmp_path / "sealing.key")
    backup("key", tmp_path / "other.key")
    done = backup("restore", made, *by_key(made, tmp_path, "other.key"))
    assert (done.exit_code, "not encrypted to the key" in done.stderr) == (1, True)
    done = backup("restore", made, *by_key(made, tmp_path, "safe.pub"))
    assert (done.exit_code, f"{tmp_path}/safe.pub: found PUBLIC KEY and no PRIVATE KEY" in done.stderr) == (1, True)
    other = Installation.made(tmp_path / "other")
    done = backup("restore", made, "--sealing-key", other.directory / "sealing.key")
    assert (done.exit_code, "the same kind of place" in done.stderr) == (1, True)
    assert not site.path.exists()


def test_a_damaged_backup_or_one_of_another_signer_changes_nothing(
    site: Installation, made: Path, tmp_path: Path
) -> None:
    site.lost(tmp_path / "sealing.key")
    done = backup("restore", made, "--key", tmp_path / "safe.key", "--signer", "ab")
    assert (done.exit_code, 'allowed: "ab"' in done.stderr) == (1, True)
    options = by_key(made, tmp_path)
    raw = made.read_bytes()
    middle = len(raw) // 3
    made.write_bytes(raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :])
    done = backup("restore", made, *options)
    assert (done.exit_code, "not as it was written" in done.stderr) == (1, True)
    assert not site.directory.exists()


def test_state_that_is_there_stays_unless_told(site: Installation, made: Path, tmp_path: Path) -> None:
    changed = site.write("users", b"bob")
    done = backup("restore", made, *by_key(made, tmp_path))
    assert (done.exit_code, str(changed) in done.stderr) == (1, True)
    assert changed.read_bytes() == b"bob"
    assert backup("restore", made, *by_key(made, tmp_path), "--replace").exit_code == 0
    assert changed.read_bytes() != b"bob"


def test_a_private_key_does_not_tell_whose_the_backup_is(site: Installation, made: Path, tmp_path: Path) -> None:
    signer = told("verify", made)["signer"]
    site.lost(tmp_path / "sealing.key")
    done = backup("restore", made, "--key", tmp_path / "safe.key")
    assert done.exit_code == 1
    assert f"allowed: --signer HEX, as backup create showed it; {signer} signed this one" in done.stderr
    assert not site.directory.exists()


def test_a_running_proxy_is_to_be_stopped(site: Installation, made: Path, tmp_path: Path) -> None:
    with StateLock.acquire(site.directory / "state"):
        done = backup("restore", made, *by_key(made, tmp_path), "--replace")
    assert (done.exit_code, "stop the proxy" in done.stderr) == (1, True)
