"""The listener without TLS."""

import tomllib

import pytest

from config.schema import Config
from config.tables.plain import PlainConfig, plain_problems
from config.values.omissions import Omissions

LISTENER = '[listener.{}]\nbind = "127.0.0.1:8443"\n'


def config(text: str) -> Config:
    return Config.model_validate(tomllib.loads(LISTENER.format("public") + text))


def check(text: str) -> list[str]:
    made = config(text)
    found = plain_problems(made.plain, made.listener, "f", Omissions())
    return [str(problem).partition("; allowed")[0] for problem in found]


@pytest.mark.parametrize("bind", ["0.0.0.0:80", ["0.0.0.0:80", "[::]:80"]])
def test_it_has_one_address_or_several(bind: object) -> None:
    assert str(PlainConfig.model_validate({"bind": bind}).bind[0]) == "0.0.0.0:80"


@pytest.mark.parametrize("bind", [80, "80", None])
def test_other_addresses_are_refused(bind: object) -> None:
    with pytest.raises(ValueError, match="an address and a port"):
        PlainConfig.model_validate({"bind": bind})


def test_without_the_table_nothing_is_listened_on() -> None:
    assert config("").plain == PlainConfig()
    assert check("") == []


@pytest.mark.parametrize(
    ("binds", "problems"),
    [
        (
            '["127.0.0.1:8443"]',
            ['f: plain.bind[0]: found "127.0.0.1:8443", which listener.public.bind[0] already uses'],
        ),
        (
            '["127.0.0.1:80", "127.0.0.1:80"]',
            ['f: plain.bind[1]: found "127.0.0.1:80", which plain.bind[0] already uses'],
        ),
        ('["127.0.0.1:0", "127.0.0.1:0"]', []),
        ('["127.0.0.1:80", "[::1]:80"]', []),
    ],
)
def test_each_address_is_had_once(binds: str, problems: list[str]) -> None:
    assert check(f"[plain]\nbind = {binds}\n") == problems


def test_no_other_listener_has_its_name() -> None:
    plain, named = '[plain]\nbind = "127.0.0.1:80"\n', LISTENER.format("plain").replace("8443", "8444")
    assert check(named) == []
    assert check(plain + named) == [
        "f: listener.plain: found a name that the listener without TLS has in the log and the figures"
    ]
