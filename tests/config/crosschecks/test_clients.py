"""Trust in peers that name their clients."""

import tomllib

import pytest

from config.crosschecks.clients import client_problems
from config.crosschecks.crosschecks import cross_check
from config.schema import Config
from config.values.omissions import Omissions


def check(text: str, *omitted: tuple[str | int, ...]) -> list[str]:
    config = Config.model_validate(tomllib.loads(f'[listener.public]\nbind = "127.0.0.1:8443"\n{text}'))
    return [str(problem) for problem in client_problems(config, "f", Omissions(frozenset(omitted)))]


def test_trust_in_load_balancers_is_fine() -> None:
    assert check('trusted_peers = ["10.0.0.0/8"]\nclient_address_from = "forwarded"') == []
    assert check('client_address_from = "x-forwarded-for"') == []


def test_trust_in_everybody_is_a_warning() -> None:
    (problem,) = check('trusted_peers = ["10.0.0.0/8", "::/0"]')
    assert problem.startswith(
        'f: listener.public.trusted_peers[1]: warning: found "::/0"; better: the addresses of your'
    )


def test_field_that_is_never_read_is_a_warning() -> None:
    (problem,) = check('client_address_from = "forwarded"')
    assert problem.startswith(
        'f: listener.public.client_address_from: warning: found "forwarded"; better: trusted_peers'
    )
    assert check('client_address_from = "forwarded"', ("listener", "public", "trusted_peers")) == []


def test_networks_are_a_warning_where_proxy_headers_name_the_clients() -> None:
    required = 'proxy_protocol = "require"\n'
    assert check(required + 'trusted_peers = ["10.0.0.5", "2001:db8::5"]') == []
    (shared,) = check(required + 'trusted_peers = ["10.0.0.5", "10.0.0.0/8"]')
    assert shared.startswith(
        'f: listener.public.trusted_peers[1]: warning: found "10.0.0.0/8" together with proxy_protocol'
    )
    assert "proxy_protocol_from with the address of each balancer" in shared
    sender, trusted = check(required + 'proxy_protocol_from = ["::/0"]\ntrusted_peers = ["10.0.0.0/31"]')
    assert "proxy_protocol_from[0]" in sender
    assert "each host in it can name any client" in sender
    assert "trusted_peers[0]" in trusted
    assert "chooses its own address" in trusted


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


def check_of_client_certificates(host: str, *asking: str, omitted: tuple[tuple[str | int, ...], ...] = ()) -> list[str]:
    text = TEXT.replace("{host}", host) + "".join(map(ASKS.format, asking))
    config = Config.model_validate(tomllib.loads(text))
    return [str(problem) for problem in cross_check(config, "f", Omissions(frozenset(omitted)))]


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
    assert check_of_client_certificates(host, asking) == []


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
    assert check_of_client_certificates(host, *asking) == [
        f'f: route[0].client_certificate: found "require"; allowed: client_certificates in {tables}: '
        "now clients are not asked, and the route refuses every request"
    ]


def test_a_route_that_demands_nothing_is_fine() -> None:
    text = TEXT.replace("{host}", "chat.example.org").replace('client_certificate = "require"\n', "")
    assert cross_check(Config.model_validate(tomllib.loads(text)), "f", Omissions()) == []


def test_an_identity_that_could_not_be_read_may_ask() -> None:
    assert (
        check_of_client_certificates("chat.example.org", omitted=(("identity", "chat", "client_certificates"),)) == []
    )


def test_a_host_of_no_identity_has_one_problem() -> None:
    (problem,) = check_of_client_certificates("chat.test")
    assert "route[0].host" in problem


def test_a_route_can_only_demand() -> None:
    text = TEXT.replace("{host}", "chat.example.org").replace('"require"', '"optional"')
    with pytest.raises(ValueError, match="only be stricter than its identity"):
        Config.model_validate(tomllib.loads(text))
