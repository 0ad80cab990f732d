"""Whether the sealing key of a configuration opens the keys below it."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from certs.hierarchy.configured import vault_of
from certs.hierarchy.proving import sealing_key_problems
from certs.sealing.envelope import Purpose
from certs.sealing.key_file import create_key
from certs.sealing.sealer import AeadSealer
from config.loading.loaded import LoadedConfig
from config.values.problems import Problem
from tests.certs.hierarchy.test_configured import SEALING, loaded, vault
from tests.certs.hierarchy.test_hierarchy import NOW
from tests.certs.sealing.sealers import by_rsa

UNTIL = NOW + timedelta(30)


@pytest.fixture
def founded(tmp_path: Path) -> LoadedConfig:
    """Keys that sealing.key has sealed."""
    create_key(tmp_path / "sealing.key")
    config = loaded(tmp_path, sealing=SEALING)
    _ = vault(config).sealer(Purpose.TICKET_KEYS).key_id
    return config


def problems(config: LoadedConfig, now: datetime = NOW) -> list[Problem]:
    return list(sealing_key_problems(config, vault_of(config, lambda: now, lambda *_: None)))


def test_one_that_opens_them_is_no_problem(founded: LoadedConfig) -> None:
    assert problems(founded) == []
    assert problems(loaded(founded.file.directory)) == []


def test_a_key_pair_is_a_warning_where_a_listener_is_quantum_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certs.sealing.master.AeadSealer", lambda _: by_rsa())
    create_key(tmp_path / "sealing.key")
    strict = {"public": {"bind": "127.0.0.1:0", "level": "quantum-safe"}}
    _ = vault(loaded(tmp_path, sealing=SEALING)).sealer(Purpose.TICKET_KEYS).key_id
    assert problems(loaded(tmp_path, sealing=SEALING)) == []
    (warning,) = problems(loaded(tmp_path, sealing=SEALING, listener=strict))
    assert (warning.key, warning.is_error, "aes-256" in warning.allowed) == ("sealing.key", False, True)
    assert "a key pair: a quantum computer opens each copy" in warning.found


def test_where_nothing_is_sealed_yet_one_that_cannot_be_used_is_a_warning(tmp_path: Path) -> None:
    config = loaded(tmp_path, sealing=SEALING)
    (warning,) = problems(config)
    assert (warning.key, warning.is_error, "hsm init" in warning.allowed) == ("sealing.key", False, True)
    assert "what is to be stored on disk cannot be sealed" in warning.found
    create_key(tmp_path / "sealing.key")
    assert problems(config) == []
    assert not (tmp_path / "state").exists()


def test_a_key_that_is_gone_is_an_error_and_its_shares_bring_it_back(founded: LoadedConfig) -> None:
    (founded.file.directory / "sealing.key").unlink()
    (error,) = problems(founded)
    assert (error.key, error.is_error) == ("sealing.key", True)
    assert "which cannot be read (No such file or directory)" in error.found
    assert "plexigate hsm recover brings it back" in error.allowed


def test_a_key_file_that_others_may_read_is_not_gone(founded: LoadedConfig) -> None:
    (founded.file.directory / "sealing.key").chmod(0o644)
    (error,) = problems(founded)
    assert (error.is_error, error.allowed) == (True, "mode 0600 (chmod 600 FILE)")


def test_another_key_is_an_error_and_the_one_beside_it_that_opens_is_named(founded: LoadedConfig) -> None:
    directory = founded.file.directory
    (directory / "sealing.key").rename(directory / "sealing-1.key")
    create_key(directory / "sealing.key")
    (error,) = problems(founded)
    assert error.is_error
    assert 'keys.sealed" is sealed with the key' in error.found
    assert error.allowed == f"the key that does: {directory}/sealing-1.key"
    (directory / "sealing-1.key").rename(directory / "next.key")
    (error,) = problems(founded)
    assert error.allowed == f"the key that does: {directory}/next.key"
    (directory / "next.key").unlink()
    (error,) = problems(founded)
    assert "plexigate hsm recover" in error.allowed


def test_a_damaged_file_is_an_error_and_a_backup_has_it(founded: LoadedConfig) -> None:
    path = founded.file.directory / "state/keys.sealed"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (error,) = problems(founded)
    assert (error.is_error, "changed or damaged" in error.found) == (True, True)
    path.write_bytes(b"rubbish")
    (error,) = problems(founded)
    assert (error.is_error, "restore it from a backup" in error.allowed) == (True, True)


def test_a_former_key_is_a_warning_until_its_end_and_then_an_error(founded: LoadedConfig) -> None:
    directory = founded.file.directory
    newest = AeadSealer(create_key(directory / "next.key"))
    vault(founded).succeed(newest, "/keys/next.key", UNTIL)
    (warning,) = problems(founded)
    assert (warning.is_error, warning.allowed) == (False, "the key that took its place: /keys/next.key")
    assert "opens what is sealed until 2026-06-03 00:00 UTC" in warning.found
    (error,) = problems(founded, UNTIL)
    assert (error.is_error, error.allowed) == (True, "the key that took its place: /keys/next.key")
    assert problems(loaded(directory, sealing={**SEALING, "key": "next.key"}), UNTIL) == []


def test_a_successor_that_is_lost_leaves_the_former_one_to_be_named(founded: LoadedConfig) -> None:
    directory = founded.file.directory
    vault(founded).succeed(AeadSealer(create_key(directory / "sealing-2.key")), "sealing-2.key", UNTIL)
    (directory / "sealing-2.key").unlink()
    (error,) = problems(loaded(directory, sealing={**SEALING, "key": "sealing-2.key"}))
    assert (error.is_error, error.allowed) == (True, f"the key that does: {directory}/sealing.key")


def test_what_was_proved_once_is_not_opened_again(founded: LoadedConfig) -> None:
    told: list[object] = []
    once = vault_of(founded, lambda: NOW, lambda *one: told.append(one))
    assert [*sealing_key_problems(founded, once), *sealing_key_problems(founded, once)] == []
    (founded.file.directory / "sealing.key").unlink()
    assert list(sealing_key_problems(founded, once)) == []
