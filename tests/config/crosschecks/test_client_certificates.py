"""Routes that demand a certificate, and identities that ask for one."""

import tomllib

import pytest

from config.crosschecks.crosschecks import cross_check
from config.schema import Config
from config.values.omissions import Omissions
from tests import cross_checks

TEXT = """
[listener.public]
bind = "127.0.0.1:8443"
[identity.chat]
names = ["chat.example.org"]
certificate = "chat.pem"
key = "chat.key"
[identity.rest]
names = ["*.example.org", "example.org"]
certificate = "chat.pem"
key = "chat.key"
[upstream.chat]
servers = ["http://127.0.0.1:8000"]
[[route]]
host = "{host}"
upstream = "chat"
client_certificate = "require"
"""
ASKS = '[identity.{}.client_certificates]\nca = "clients.pem"\n'


def check(host: str, *asking: str, omitted: tuple[tuple[str | int, ...], ...] = ()) -> list[str]:
    text = TEXT.replace("{host}", host) + "".join(map(ASKS.format, asking))
    return cross_checks.check(text, *omitted)


@pytest.mark.parametrize(
    ("host", "asking"),
    [
        ("chat.example.org", "chat"),
        ("files.example.org", "rest"),
        ("example.org", "rest"),
        ("*.example.org", "chat"),
        ("*.example.org", "rest"),
        ("*.org", "chat"),
    ],
)
def test_a_route_may_demand_what_its_identity_asks_for(host: str, asking: str) -> None:
    assert check(host, asking) == []


@pytest.mark.parametrize(
    ("host", "asking", "tables"),
    [
        ("chat.example.org", (), "[identity.chat]"),
        ("chat.example.org", ("rest",), "[identity.chat]"),  # the exact name answers for it
        ("files.example.org", ("chat",), "[identity.rest]"),
        ("*.example.org", (), "[identity.chat] or [identity.rest]"),
    ],
)
def test_a_route_that_would_refuse_everything_is_refused(host: str, asking: tuple[str, ...], tables: str) -> None:
    assert check(host, *asking) == [
        f'f: route[0].client_certificate: found "require"; allowed: client_certificates in {tables}: '
        "now clients are not asked, and the route refuses every request"
    ]


def test_a_route_that_demands_nothing_is_fine() -> None:
    text = TEXT.replace("{host}", "chat.example.org").replace('client_certificate = "require"\n', "")
    assert cross_check(Config.model_validate(tomllib.loads(text)), "f", Omissions()) == []


def test_an_identity_that_could_not_be_read_may_ask() -> None:
    assert check("chat.example.org", omitted=(("identity", "chat", "client_certificates"),)) == []


def test_a_host_of_no_identity_has_one_problem() -> None:
    (problem,) = check("chat.test")
    assert "route[0].host" in problem


def test_a_route_can_only_demand() -> None:
    text = TEXT.replace("{host}", "chat.example.org").replace('"require"', '"optional"')
    with pytest.raises(ValueError, match="only be stricter than its identity"):
        Config.model_validate(tomllib.loads(text))
