"""Keys in tokens and the tables that they rest on."""

import tomllib

import pytest

from config.crosschecks.hsm import token_problems
from config.schema import Config
from config.values.omissions import Omissions

HSM = """
[hsm]
module = "hsm.so"
[hsm.token.plexi]
pin_file = "plexi.pin"
[hsm.token.spare]
pin_file = "spare.pin"
"""
PLEXI, SPARE = "pkcs11:token=plexi;object=chat", "pkcs11:token=spare;object=chat"


def check(text: str, *omitted: tuple[str | int, ...]) -> list[str]:
    config = Config.model_validate(tomllib.loads(text))
    return [str(problem) for problem in token_problems(config, "f", Omissions(frozenset(omitted)))]


def identity(key: str, further: str = "") -> str:
    return f'[identity.chat]\nnames = ["chat.test"]\ncertificate = "chat.pem"\nkey = {key}\n{further}'


@pytest.mark.parametrize(
    "key", ['"chat.key"', f'"{PLEXI}"', f'["{PLEXI}", "{SPARE}"]', f'["{PLEXI}", "{SPARE}"]\nspread = true']
)
def test_what_fits_together_has_no_problem(key: str) -> None:
    assert check(HSM + identity(key)) == []


def test_nothing_to_check() -> None:
    assert check("") == []


def test_keys_in_tokens_need_the_table() -> None:
    (problem,) = check(identity(f'"{PLEXI}"'))
    assert problem == (
        f'f: identity.chat.key: found "{PLEXI}", but no table [hsm]; allowed: a table [hsm] with its module, and [hsm.token.NAME]'
    )
    assert check(identity(f'"{PLEXI}"'), ("hsm",)) == []


def test_token_is_a_known_one() -> None:
    (problem,) = check(HSM + identity('"pkcs11:token=other;object=chat"'))
    assert problem.startswith(
        'f: identity.chat.key: found "pkcs11:token=other;object=chat", whose token is unknown; allowed: '
    )
    assert problem.endswith(": plexi, spare")
    assert check(HSM + identity('"pkcs11:token=other;object=chat"'), ("hsm", "token", "other")) == []


def test_place_of_one_of_several() -> None:
    (problem,) = check(HSM + identity(f'["{PLEXI}", "pkcs11:token=other;object=chat"]'))
    assert problem.startswith("f: identity.chat.key[1]: ")
    table = '[identity.chat]\nnames = ["chat.test"]\n[[identity.chat.credential]]\ncertificate = "c"\nkey = "pkcs11:serial=1;id=1"\n'
    (problem,) = check(HSM + table)
    assert problem.startswith("f: identity.chat.credential[0].key: ")


def test_one_token_only() -> None:
    same = HSM.replace("[hsm.token.spare]", '[hsm.token.spare]\nlabel = "plexi"\nserial = "02"')
    (problem,) = check(same + identity(f'"{PLEXI}"'))
    assert problem.startswith(
        f'f: identity.chat.key: found "{PLEXI}", which could be in plexi or spare; allowed: one token'
    )


def test_each_token_once_in_a_list() -> None:
    (problem,) = check(HSM + identity(f'["{PLEXI}", "{SPARE}", "pkcs11:token=plexi;object=two"]'))
    assert problem.startswith(
        'f: identity.chat.key[2]: found "pkcs11:token=plexi;object=two", a second key in the token plexi'
    )


def test_each_token_has_one_table() -> None:
    (problem,) = check(HSM.replace("[hsm.token.spare]", '[hsm.token.spare]\nlabel = "plexi"'))
    assert problem.startswith("f: hsm.token.spare: found a token that [hsm.token.plexi] already names")


def test_provider_comes_by_itself() -> None:
    (problem,) = check('openssl.providers = ["legacy", "pkcs11"]\n' + HSM)
    assert problem.startswith('f: openssl.providers[1]: found "pkcs11"; allowed: no such entry')
