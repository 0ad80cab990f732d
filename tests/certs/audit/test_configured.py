"""The audit log that a configuration asks for."""

from pathlib import Path

import pytest

from certs.audit.configured import audit_log_of, checkpoint_key_problems
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from config.values.problems import ConfigError
from tests.certs.audit.logs import NOW, SIGNED, Journal, signer_in


def loaded(directory: Path, **tables: object) -> LoadedConfig:
    return LoadedConfig(Config.model_validate(tables), ConfigFile(directory / "p.toml"))


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert audit_log_of((given := loaded(tmp_path)).file, given.config.audit, given.config.hsm, Journal()) is None


def test_a_key_in_a_file_signs_after_so_many_lines(tmp_path: Path) -> None:
    signer_in(tmp_path / "audit.key")
    table = {"file": "audit.jsonl", "checkpoint_key": "audit.key", "checkpoint_lines": 2, "rotate_bytes": 0}
    journal = Journal()
    log = audit_log_of((given := loaded(tmp_path, audit=table)).file, given.config.audit, given.config.hsm, journal)
    assert log is not None
    for _ in range(4):
        log.record(SIGNED, NOW)
    log.close()
    assert log.path == tmp_path / "audit.jsonl"
    assert [text.count('"signature"') for text in journal.texts] == [0, 1, 1], "the first says that the log begins"


def test_the_file_is_renamed_where_it_is_large(tmp_path: Path) -> None:
    log = audit_log_of(
        (given := loaded(tmp_path, audit={"file": "audit.jsonl", "rotate_bytes": 300})).file,
        given.config.audit,
        given.config.hsm,
        Journal(),
    )
    assert log is not None
    log.record(SIGNED, NOW)
    log.close()
    assert len(list(tmp_path.glob("audit-*.jsonl"))) == 2


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    signer_in(tmp_path / "audit.key")
    (tmp_path / "audit.key").chmod(0o644)
    with pytest.raises(ConfigError, match=r"audit\.checkpoint_key"):
        audit_log_of(
            (given := loaded(tmp_path, audit={"file": "a", "checkpoint_key": "audit.key"})).file,
            given.config.audit,
            given.config.hsm,
            Journal(),
        )

    (problem,) = checkpoint_key_problems(
        (given := loaded(tmp_path, audit={"file": "a", "checkpoint_key": "audit.key"})).file,
        given.config.audit,
        given.config.hsm,
    )
    assert (problem.key, problem.is_error) == ("audit.checkpoint_key", True)


def test_nothing_is_wrong_with_a_key_that_signs_or_that_nobody_needs(tmp_path: Path) -> None:
    signer_in(tmp_path / "audit.key")
    for table in ({"file": "a", "checkpoint_key": "audit.key"}, {"file": "a"}, {}):
        assert (
            checkpoint_key_problems((given := loaded(tmp_path, audit=table)).file, given.config.audit, given.config.hsm)
            == ()
        )


def test_a_key_in_a_token_is_not_asked_before_it_signs(tmp_path: Path) -> None:
    (tmp_path / "plexi.pin").touch(0o600)
    (tmp_path / "plexi.pin").write_text("1234")
    hsm = {"module": "none.so", "token": {"plexi": {"pin_file": "plexi.pin"}}}
    audit = {"file": "audit.jsonl", "checkpoint_key": "pkcs11:token=plexi;object=audit"}
    journal = Journal()
    log = audit_log_of(
        (given := loaded(tmp_path, audit=audit, hsm=hsm)).file, given.config.audit, given.config.hsm, journal
    )
    assert log is not None
    log.record(SIGNED, NOW)
    log.close()
    assert "none.so" in (tmp_path / "audit.jsonl").read_text(), "unsigned, and why"
    (warning,) = checkpoint_key_problems(
        (given := loaded(tmp_path, audit=audit, hsm=hsm)).file, given.config.audit, given.config.hsm
    )
    assert (warning.key, warning.is_error) == ("audit.checkpoint_key", False)
    assert "checkpoints are unsigned" in warning.found
