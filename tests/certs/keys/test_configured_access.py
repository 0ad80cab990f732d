"""The way from a configuration to the token of a key."""

from pathlib import Path

import pytest

from certs.hsm.access import TokenChoice
from certs.keys.configured_access import access_of
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from config.values.pkcs11_uri import parse
from config.values.problems import ConfigError


def loaded(directory: Path) -> LoadedConfig:
    tokens = {"plexi": {"pin_file": "plexi.pin"}, "spare": {"serial": "42", "slot": 3, "pin_file": "none.pin"}}
    config = Config.model_validate({"hsm": {"module": "m.so", "token": tokens}})
    return LoadedConfig(config, ConfigFile(directory / "p.toml"))


def test_it_has_all_that_the_token_is_found_by_and_its_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    (tmp_path / "plexi.pin").touch(0o600)
    (tmp_path / "plexi.pin").write_text("sesam-1234\n")
    access = access_of((given := loaded(tmp_path)).file, given.config.hsm, parse("pkcs11:token=plexi;object=audit"))
    assert (access.module, access.token) == (tmp_path / "m.so", TokenChoice(label="plexi"))
    assert (access.pin.reveal(), access.latch_directory) == ("sesam-1234", tmp_path / "state/pin-latch")
    assert "sesam" not in repr(access)


def test_a_pin_that_is_not_there_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        access_of((given := loaded(tmp_path)).file, given.config.hsm, parse("pkcs11:serial=42;object=audit"))
    assert [one.key for one in caught.value.problems] == ["hsm.token.spare.pin_file"]
