"""What of the parent rests sealed: kept over a restart, rotated in time, and said when it cannot be opened."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.hierarchy.configured import KEY_LABEL
from certs.sealing.envelope import Purpose
from certs.sealing.key_file import create_key
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from proxy.supervisor.secrets.safe import TICKETS_FILE, Safe, now_in_utc


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 5, 4, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedConfig:
    create_key(tmp_path / "sealing.key")
    table = {"key": "sealing.key", "directory": "state"}
    return LoadedConfig(Config.model_validate({"sealing": table}), ConfigFile(tmp_path / "p.toml"))


def test_without_a_sealing_key_tickets_begin_anew_and_nothing_is_written(tmp_path: Path, clock: Clock) -> None:
    bare = LoadedConfig(Config(), ConfigFile(tmp_path / "p.toml"))
    first, second = (Safe(clock).tickets(bare) for _ in range(2))
    assert first[0] != second[0]
    assert (first[1], list(tmp_path.iterdir())) == ([], [])


def test_the_next_process_goes_on_with_the_secret_for_the_rest_of_its_time(loaded: LoadedConfig, clock: Clock) -> None:
    first = Safe(clock)
    tickets, problems = first.tickets(loaded)
    assert (problems, first.seconds_to_rotation(12.0)) == ([], 43_200.0)
    clock.now += timedelta(hours=5)
    again = Safe(clock)
    assert again.tickets(loaded) == (tickets, [])
    assert again.seconds_to_rotation(12.0) == 25_200.0
    rotated = tickets.rotated(bytes(32))
    again.keep(loaded, rotated, clock.now)
    assert Safe(clock).tickets(loaded)[0] == rotated
    assert tickets.current not in (loaded.file.directory / "state" / TICKETS_FILE).read_bytes()


def test_a_clock_that_was_set_back_does_not_let_a_secret_live_longer(loaded: LoadedConfig, clock: Clock) -> None:
    safe = Safe(clock)
    safe.tickets(loaded)
    clock.now -= timedelta(days=3)
    assert safe.seconds_to_rotation(12.0) == 43_200.0
    clock.now += timedelta(days=9)
    assert safe.seconds_to_rotation(12.0) == 0.0


def test_what_does_not_open_is_said_and_not_overwritten(loaded: LoadedConfig, clock: Clock) -> None:
    Safe(clock).tickets(loaded)
    path = loaded.file.directory / "state" / TICKETS_FILE
    damaged = path.read_bytes()[:-1]
    path.write_bytes(damaged)
    tickets, (problem,) = Safe(clock).tickets(loaded)
    assert (tickets.previous, problem.is_error, problem.key) == (None, False, "sealing.key")
    assert "was changed or damaged" in problem.found
    assert path.read_bytes() == damaged


def test_a_sealing_key_that_is_away_stops_no_start(loaded: LoadedConfig, clock: Clock) -> None:
    (loaded.file.directory / "sealing.key").unlink()
    _, (problem,) = Safe(clock).tickets(loaded)
    assert "cannot be read" in problem.found


def test_a_record_of_another_version_is_said(loaded: LoadedConfig, clock: Clock) -> None:
    safe = Safe(clock)
    safe.tickets(loaded)
    vault = safe.vault(loaded)
    assert vault is not None
    label = Purpose.TICKET_KEYS.label("session tickets")
    sealed = vault.sealer(Purpose.TICKET_KEYS).seal(b"{}", label)
    (loaded.file.directory / "state" / TICKETS_FILE).write_bytes(sealed)
    assert "none of this version" in Safe(clock).tickets(loaded)[1][0].found


def test_sealed_keys_open_by_the_same_vault(loaded: LoadedConfig, clock: Clock) -> None:
    safe = Safe(clock)
    vault = safe.vault(loaded)
    assert vault is not None
    assert safe.vault(loaded) is vault
    key = loaded.file.directory / "chat.sealed"
    key.write_bytes(vault.sealer(Purpose.CREDENTIAL_KEY).seal(b"PEM", KEY_LABEL))
    table = {"names": ["chat.test"], "certificate": "chat.pem", "key": "chat.sealed"}
    config = Config.model_validate({**loaded.config.model_dump(include={"sealing"}), "identity": {"chat": table}})
    assert safe.open_keys(LoadedConfig(config, ConfigFile(loaded.file.path))) == {key: b"PEM"}


def test_it_reads_the_real_clock() -> None:
    assert now_in_utc().tzinfo is UTC
