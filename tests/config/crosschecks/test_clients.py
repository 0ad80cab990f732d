"""Trust in peers that name their clients."""

import tomllib

from config.crosschecks.clients import client_problems
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
