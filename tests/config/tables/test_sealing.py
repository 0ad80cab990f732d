"""The tables of the sealing key and of backups."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from config.crosschecks.crosschecks import cross_check
from config.diff import EffectKind, diff
from config.loading.files import files_of
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from config.tables.sealing import BackupConfig, SealingConfig
from config.values.pkcs11_uri import Pkcs11Uri


def test_without_a_key_nothing_is_sealed() -> None:
    assert (SealingConfig().key, SealingConfig().directory) == (None, None)


@pytest.mark.parametrize(
    ("written", "key"),
    [("sealing.key", "sealing.key"), ("pkcs11:token=plexi;object=s", Pkcs11Uri(token="plexi", object="s"))],
)
def test_a_key_is_in_a_file_or_in_a_token(written: str, key: str | Pkcs11Uri) -> None:
    assert SealingConfig.model_validate({"key": written, "directory": "state"}).key == key


@pytest.mark.parametrize("table", [{"directory": "state"}, {"key": 7}, {"key": "pkcs11:token=plexi"}])
def test_what_makes_no_sense_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SealingConfig.model_validate(table)


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ({}, EffectKind.RESTART),
        ({"key": "sealing.key", "directory": "other"}, EffectKind.RESTART),
        ({"key": "next.key"}, EffectKind.LIVE),
        ({"key": "sealing.key", "rotate_after": "30d"}, EffectKind.LIVE),
    ],
)
def test_no_worker_gets_the_key_and_its_next_version_needs_no_restart(table: dict[str, str], kind: EffectKind) -> None:
    config = Config.model_validate({"sealing": {"key": "sealing.key"}})
    assert files_of(LoadedConfig(config, ConfigFile(Path("/p.toml")))) == ()
    other = Config.model_validate({"sealing": table})
    assert {change.kind for change in diff(config, other)} == {kind}
    assert {change.kind for change in diff(other, config)} == {kind}


def test_a_key_in_a_token_needs_the_token() -> None:
    config = Config.model_validate({"sealing": {"key": "pkcs11:token=none;object=s"}})
    assert "sealing.key" in [one.key for one in cross_check(config, "p.toml")]


def test_without_a_directory_none_is_expected() -> None:
    one = BackupConfig()
    assert (one.directory, one.recipients, one.keep, one.alert_after) == (None, (), 14, timedelta(days=2))


@pytest.mark.parametrize(
    "values", [{"keep": 0}, {"keep": "2"}, {"alert_after": "0s"}, {"alert_after": "soon"}, {"directory": ""}]
)
def test_what_makes_no_sense_of_backups_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BackupConfig.model_validate(values)
