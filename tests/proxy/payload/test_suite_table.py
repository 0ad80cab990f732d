"""Which suites there are, and what `check` says about those that there are not."""

from pathlib import Path

import pytest

from config.loaded import LoadedConfig
from config.schema import Config
from proxy.payload.keys import kem_ring
from proxy.payload.liboqs import liboqs_suites
from proxy.payload.suite_table import new_secret, suite_problems, suites
from proxy.payload.suites import BUILT_IN


def loaded(*names: str) -> LoadedConfig:
    return LoadedConfig(Config.model_validate({"payload": {"sessions": {"suites": names}}}), Path("/etc/p.toml"))


def test_built_in_suites_are_always_there() -> None:
    assert set(BUILT_IN) <= set(suites())
    assert list(suite_problems(loaded(*BUILT_IN))) == []
    assert list(suite_problems(LoadedConfig(Config(), Path("/etc/p.toml")))) == []


def test_suite_without_liboqs_is_named_with_its_remedy() -> None:
    if liboqs_suites():
        pytest.skip("liboqs is installed here")
    (problem,) = suite_problems(loaded("MLKEM768-X25519", "X25519-FrodoKEM976"))
    assert problem.key == "payload.sessions.suites[1]"
    assert "liboqs" in problem.found
    assert "OQS_INSTALL_PATH" in problem.allowed


def test_secret_is_that_of_the_kind_of_ring() -> None:
    assert len(new_secret("chat")) == 32
    assert len(new_secret(kem_ring("MLKEM768-X25519"))) == 96
    with pytest.raises(KeyError):
        new_secret(kem_ring("none"))
