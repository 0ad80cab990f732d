"""One token under two names is found by asking its module, and nobody logs in for it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from certs.hsm.access import TokenChoice
from certs.hsm.clients import calls
from certs.tokens.token_use import TokenUse
from certs.tokens.twins import twin_problems
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from tests.hsm.shim import TokenControl
from tests.hsm_tokens import loaded

CONFIGURED = LoadedConfig(Config.model_construct(), ConfigFile(Path("/p.toml")))


def named(use: TokenUse, name: str, choice: TokenChoice) -> TokenUse:
    return replace(use, name=name, access=replace(use.access, token=choice))


async def problems(*uses: TokenUse) -> list[str]:
    return [str(one) for one in await twin_problems(asyncio.get_running_loop(), CONFIGURED.file, uses, 20)]


@pytest.fixture
def serial(use: TokenUse) -> str:
    with loaded(use.access.module) as process:
        return process.perform(calls.find(use.access.token)).token.serial


async def test_one_by_label_and_by_serial_is_refused(use: TokenUse, control: TokenControl, serial: str) -> None:
    alias = named(use, "alias", TokenChoice(serial=serial))
    (problem,) = await problems(use, alias)
    assert problem.startswith(
        f"/p.toml: hsm.token.alias: found a token that [hsm.token.plexi] already names: plexi (serial {serial}, slot "
    )
    assert control.calls("C_Login") == 0


async def test_two_are_two(use: TokenUse, serial: str) -> None:
    other = named(use, "other", TokenChoice(serial="0" * 16))
    assert await problems(use, other) == []
    assert await problems(use, named(use, "spare", TokenChoice("spare", serial))) == []
    assert await problems(use) == []


async def test_a_module_that_does_not_answer_says_nothing(use: TokenUse, serial: str) -> None:
    lost = replace(use, access=replace(use.access, module=Path("/none.so")))
    assert await problems(lost, named(lost, "alias", TokenChoice(serial=serial))) == []
