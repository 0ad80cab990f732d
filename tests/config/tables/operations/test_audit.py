"""The table of the audit log."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from config.crosschecks.crosschecks import cross_check
from config.diff import EffectKind, diff
from config.loading.files import files_of
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from config.tables.operations.audit import AuditConfig
from config.values.pkcs11_uri import Pkcs11Uri


def test_without_a_file_there_is_no_log() -> None:
    assert (AuditConfig().file, AuditConfig().checkpoint_key) == (None, None)


@pytest.mark.parametrize(
    ("written", "key"),
    [("audit.key", "audit.key"), ("pkcs11:token=plexi;object=audit", Pkcs11Uri(token="plexi", object="audit"))],
)
def test_checkpoints_are_signed_by_a_key_in_a_file_or_a_token(written: str, key: str | Pkcs11Uri) -> None:
    assert AuditConfig.model_validate({"file": "audit.jsonl", "checkpoint_key": written}).checkpoint_key == key


@pytest.mark.parametrize(
    "table",
    [
        {"checkpoint_key": "audit.key"},
        {"file": "a", "checkpoint_key": 7},
        {"file": "a", "checkpoint_lines": 0},
        {"file": "a", "totals_interval": "0s"},
        {"file": "a", "rotate_bytes": -1},
        {"file": "a", "queue_lines": 0},
    ],
)
def test_what_makes_no_sense_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AuditConfig.model_validate(table)


def test_no_worker_gets_the_key_and_a_change_needs_a_restart() -> None:
    config = Config.model_validate({"audit": {"file": "audit.jsonl", "checkpoint_key": "audit.key"}})
    assert files_of(LoadedConfig(config, ConfigFile(Path("/p.toml")))) == ()
    assert {change.kind for change in diff(Config(), config)} == {EffectKind.RESTART}


def test_a_key_in_a_token_that_is_not_there_is_said() -> None:
    uri = "pkcs11:token=none;object=audit"
    table = {"file": "a", "checkpoint_key": uri}
    found = [one for one in cross_check(Config.model_validate({"audit": table}), "p.toml") if "audit" in one.key]
    assert [one.key for one in found] == ["audit.checkpoint_key"]
    hsm = {"module": "m.so", "token": {"plexi": {"pin_file": "p"}}}
    (problem,) = [
        one
        for one in cross_check(Config.model_validate({"audit": table, "hsm": hsm}), "p.toml")
        if one.key == "audit.checkpoint_key"
    ]
    assert "whose token is unknown" in problem.found
