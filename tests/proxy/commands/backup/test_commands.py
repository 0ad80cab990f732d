"""`plexigate backup create|verify|list|schedule|key`, as a person calls them."""

import platform
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
import typer

from certs.backup.creating import Creation
from certs.backup.kept import remove_unfinished
from certs.backup.manifest import Manifest
from certs.sealing.recipients import PrivateRecipient
from proxy.commands.backup import commands
from proxy.commands.hsm.recording import now
from proxy.commands.terminal.output import OutputLost
from tests.backups import SECRETS, Installation, damage
from tests.proxy.commands.backup.conftest import backup, told


def test_a_backup_is_made_verified_and_listed(site: Installation, tmp_path: Path) -> None:
    file = tmp_path / "one.pxbackup"
    done = backup("create", file, "--config", site.path)
    assert done.exit_code == 0, done.stderr
    assert "with 2 credentials" in done.stdout
    left_out = f"Not in it:\n  the sealing key {site.directory}/sealing.key: its recovery shares bring it back, if "
    assert left_out in done.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [secret for secret in SECRETS if secret in file.read_bytes()] == []
    assert [one.name for one in tmp_path.iterdir() if "new" in one.name] == []
    signer = re.search(r"Signer: (\w{64})", done.stdout)
    assert signer is not None
    verified = told("verify", file, "--signer", signer[1].upper())
    assert (verified["credentials"], verified["signer"]) == (2, signer[1])
    assert f"{file} is whole" in backup("verify", file).stdout
    (listed,) = told("list", tmp_path)
    assert listed == verified
    assert "one.pxbackup" in backup("list", tmp_path).stdout


def test_an_existing_file_is_not_overwritten(site: Installation, tmp_path: Path) -> None:
    file = tmp_path / "one.pxbackup"
    file.write_bytes(b"mine")
    done = backup("create", file, "--config", site.path)
    assert done.exit_code == 1
    assert "allowed: a new file" in done.stderr
    assert file.read_bytes() == b"mine"


def test_scheduled_backups_replace_the_oldest(
    site: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = now()
    removed = []
    for day in range(4):
        monkeypatch.setattr(commands, "now", lambda day=day: present.replace(year=2027, day=day + 1))
        removed.append(len(told("create", "--config", site.path)["removed"]))
    assert removed == [0, 0, 1, 1]
    assert [one["made_at"][8:10] for one in told("list", tmp_path / "backups")] == ["04", "03"]
    assert backup("create", "--config", site.path).exit_code == 1  # there is one of this second
    found = told("schedule", "--config", site.path)
    assert (found["keep"], found["late"]) == (2, False)
    assert found["age_seconds"] < 60
    monkeypatch.setattr(commands, "now", lambda: present.replace(year=2027, day=5))
    late = backup("schedule", "--config", site.path)
    assert late.exit_code == 1
    assert "That is too old." in late.stdout


def test_a_backup_that_was_damaged_since_does_not_count(site: Installation, tmp_path: Path) -> None:
    killed = tmp_path / "backups" / f".{platform.node()}-20260101T000000Z.pxbackup.new"
    made = Path(told("create", "--config", site.path)["file"])
    killed.write_bytes(b"half")
    damage(made)
    listed = backup("schedule", "--config", site.path)
    assert listed.exit_code == 1
    assert f"There is no whole backup of this configuration. Newer, but damaged: {made}." in listed.stdout
    made = made.rename(
        made.with_name(f"{platform.node()}-20270101T000000Z.pxbackup")
    )  # so that the next has another name
    again = backup("create", "--config", site.path)
    assert again.exit_code == 1
    assert f"these backups were damaged after they were made: {made}.damaged;" in again.stderr
    assert not killed.exists()
    assert not told("schedule", "--config", site.path)["damaged"]


def test_another_one_does_not_remove_a_backup_that_is_being_made(
    site: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Creation.write

    def meanwhile(creation: Creation, file: BinaryIO, progress: Callable[[int], None]) -> Manifest:
        remove_unfinished(tmp_path / "backups", platform.node())
        return write(creation, file, progress)

    monkeypatch.setattr(Creation, "write", meanwhile)
    assert Path(told("create", "--config", site.path)["file"]).exists()


def test_without_a_backup_the_schedule_is_late(site: Installation) -> None:
    done = backup("schedule", "--config", site.path)
    assert done.exit_code == 1
    assert "There is no whole backup of this configuration." in done.stdout


def test_what_is_no_backup_or_of_another_signer_is_refused(site: Installation, tmp_path: Path) -> None:
    file = tmp_path / "one.pxbackup"
    backup("create", file, "--config", site.path)
    other = backup("verify", file, "--signer", "ab")
    assert (other.exit_code, 'allowed: "ab"' in other.stderr) == (1, True)
    raw = file.read_bytes()
    file.write_bytes(raw[:-400] + bytes([raw[-400] ^ 1]) + raw[-399:])
    damaged = backup("verify", file)
    assert (damaged.exit_code, "not as it was written" in damaged.stderr) == (1, True)
    listed = backup("list", tmp_path)
    assert (listed.exit_code, "not as it was written" in listed.stdout) == (1, True)
    assert backup("verify", tmp_path / "none").exit_code == 2


def test_a_key_is_made_and_opens_what_is_encrypted_to_it(site: Installation, tmp_path: Path) -> None:
    for options, kem in (((), "MLKEM768-X25519"), (("--quantum-safe",), "MLKEM1024-P384")):
        private = tmp_path / f"{kem}.key"
        made = backup("key", private, *options)
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
        key = PrivateRecipient.parse(private.read_bytes())
        assert key.public.pem() == made.stdout.encode()
        public = tmp_path / f"{kem}.pub"
        public.write_text(made.stdout)
        found = told("create", tmp_path / f"{kem}.pxbackup", "--config", site.path, "--to", public)
        assert found["recipients"][key.public.id] == kem
        assert backup("key", private).exit_code == 1  # there is one already


def test_a_backup_that_fails_leaves_nothing(site: Installation, tmp_path: Path) -> None:
    (site.directory / "sealing.key").chmod(0o644)
    done = backup("create", tmp_path / "one.pxbackup", "--config", site.path)
    assert done.exit_code == 1
    assert "mode 0644" in done.stderr
    assert not list(tmp_path.glob("*one*"))


def test_a_directory_is_needed_somewhere(tmp_path: Path) -> None:
    site = Installation.made(tmp_path / "site")
    for command in ("create", "list", "schedule"):
        done = backup(command, "--config", site.path)
        assert (done.exit_code, "backup.directory" in done.stderr) == (1, True)
    (tmp_path / "empty").mkdir()
    assert backup("list", tmp_path / "empty").stdout == "There is no backup.\n"
    (tmp_path / "file").touch()
    for name in ("none", "file"):  # a typing error, not an answer
        done = backup("list", tmp_path / name)
        assert (done.exit_code, name in done.stderr) == (1, True)


def test_a_key_whose_public_half_nobody_got_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OutputLost("No space left on device")  # as `watched_output` has it

    with monkeypatch.context() as patched:
        patched.setattr("typer.echo", full)
        assert isinstance(backup("key", tmp_path / "safe.key").exception, OutputLost)
    assert not (tmp_path / "safe.key").exists()
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(typer.Exit):
        commands.key(tmp_path / "safe.key")
    assert not (tmp_path / "safe.key").exists()


def test_a_full_disk_is_named(site: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("certs.backup.creating.Creation.write", full)
    done = backup("create", tmp_path / "one.pxbackup", "--config", site.path)
    assert f"{tmp_path}/one.pxbackup: No space left on device" in done.stderr
    assert not list(tmp_path.glob("*one*"))
