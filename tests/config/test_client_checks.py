"""Trust in peers that name their clients."""

import tomllib

from config.client_checks import client_problems
from config.omissions import Omissions
from config.schema import Config


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
