"""Which keys of one kind an identity may have."""

import tomllib

import pytest

from config.crosschecks.crosschecks import cross_check
from config.crosschecks.replicas import Replica, replica_fault, replica_weakness
from config.schema import Config
from tests.config.crosschecks.test_issuers import GOOD

HSM = """
[hsm]
module = "m.so"
[hsm.token.plexi]
pin_file = "plexi.pin"
[hsm.token.spare]
pin_file = "spare.pin"
[hsm.token.third]
pin_file = "third.pin"
"""


def check(key: str, further: str = "") -> list[str]:
    text = GOOD.replace('key = "ec-p256@file"', f"key = {key}{further}") + HSM
    return [str(problem) for problem in cross_check(Config.model_validate(tomllib.loads(text)), "f")]


@pytest.mark.parametrize(
    "key",
    [
        '["ec-p256@plexi", "ec-p256@spare"]',
        '["ec-p256@plexi", "rsa-3072@plexi", "ec-p256@spare"]',
        '["ec-p256@plexi", "ec-p256@spare", "rsa-3072@file"]',
    ],
)
def test_replicas_are_in_tokens_of_their_own(key: str) -> None:
    assert check(key) == []


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (
            '["ec-p256@plexi", "ec-p384@plexi"]',
            'f: identity.chat.credential[0].key[1]: found "ec-p384@plexi", a second ec key in the token plexi in addition '
            'to "ec-p256@plexi"; allowed: each token once, because the keys of one kind replace each other when a token fails',
        ),
        (
            '["ec-p256@file", "ec-p256@plexi"]',
            'f: identity.chat.credential[0].key[1]: found "ec-p256@plexi", which would never sign, because "ec-p256@file" '
            "comes before it and is always there; allowed: the key outside tokens as the last one",
        ),
        (
            '["ec-p256@file", "ec-p256@sealed"]',
            'f: identity.chat.credential[0].key[1]: found "ec-p256@sealed", a second ec key outside tokens in addition to '
            '"ec-p256@file"; allowed: one of them: TLS would only ever use one of two keys that are always there',
        ),
        (
            '["ec-p256@plexi", "ec-p256@file"]',
            'f: identity.chat.credential[0].key[1]: warning: found "ec-p256@file", which signs when no token does, and can '
            "be copied from the disk; better: a key in another token",
        ),
        (
            '["ec-p384@plexi", "ec-p256@file"]',
            'f: identity.chat.credential[0].key[1]: warning: found "ec-p256@file", of another algorithm than "ec-p384@plexi": '
            "TLS chooses by the algorithm, not by order or spread, and waits for up to 2 s before the other one signs; "
            "better: the same algorithm for all keys of one kind",
        ),
    ],
)
def test_what_would_be_no_replica_is_said(key: str, problem: str) -> None:
    assert check(key) == [problem]


def test_replicas_of_several_tables_are_judged_together() -> None:
    table = '\nissuer = "le"\n[[identity.chat.credential]]\nkey = "ec-p256@{}"\nspread = {}'
    assert check('"ec-p256@plexi"', table.format("spare", "false")) == []
    (problem,) = check('"ec-p256@plexi"', table.format("plexi", "false"))
    assert problem.startswith("f: identity.chat.credential[1].key: found")
    (problem,) = check('"ec-p256@plexi"', table.format("spare", "true"))
    assert problem == (
        'f: identity.chat.credential[1].key: found "ec-p256@spare", with another spread than "ec-p256@plexi"; '
        "allowed: the same spread for all keys of one kind"
    )


@pytest.mark.parametrize("key", ['"ec-p256@plexi"', '"ec-p256@file"'])
def test_one_key_cannot_be_spread(key: str) -> None:
    assert check(key, "\nspread = true") == [
        "f: identity.chat.credential[0].spread: found true, with one key; allowed: a list of keys to spread the signatures over, or false"
    ]
    assert check('["ec-p256@plexi", "ec-p256@spare"]', "\nspread = true") == []


def test_one_key_of_a_person_cannot_be_spread_either() -> None:
    text = GOOD.replace(
        '[[identity.chat.credential]]\nkey = "ec-p256@file"\nissuer = "le"',
        'certificate = "c"\nkey = "k"\nspread = true',
    )
    problems = [str(one) for one in cross_check(Config.model_validate(tomllib.loads(text)), "f")]
    assert [one.partition(";")[0] for one in problems if "spread" in one] == [
        "f: identity.chat.spread: found true, with one key"
    ]


def test_more_certificates_than_a_public_ca_issues_for_the_same_names_are_warned_of() -> None:
    four = '["ec-p256@plexi", "ec-p256@spare", "rsa-3072@plexi", "rsa-3072@spare"]'
    assert check(four) == []
    assert check(four.replace("]", ', "ec-p256@third"]')) == [
        "f: identity.chat.credential: warning: found 5 certificates for the same names from ACME issuers; "
        "better: at most 4: Let's Encrypt issues 5 for the same names in 7 days, and a rotation needs one of them"
    ]


def test_other_kinds_are_no_replicas() -> None:
    one = Replica("ec-p256", (), is_spread=False, shown="a")
    other = Replica("rsa-3072", ("plexi",), is_spread=False, shown="b")
    assert replica_fault(one, [other]) is replica_weakness(one, [other]) is None


def test_copies_of_one_key_may_have_a_replica_too() -> None:
    copies = Replica("ec-p256", ("plexi", "spare"), is_spread=False, shown="a")
    assert replica_fault(Replica("ec-p256", ("third",), is_spread=False, shown="b"), [copies]) is None
    assert replica_fault(Replica("ec-p256", ("spare",), is_spread=False, shown="b"), [copies]) is not None


@pytest.mark.parametrize(
    ("key", "of_issuer", "is_said"),
    [
        ('["ec-p256@plexi", "ec-p256@spare"]', "plexi", True),
        ('["ec-p256@plexi", "ec-p256@spare"]', "third", False),
        ('["ec-p256@plexi", "ec-p256@file"]', "file", False),
        ('["ec-p256@plexi", "rsa-3072@spare"]', "plexi", False),
        ('"ec-p256@plexi"', "plexi", False),
    ],
)
def test_a_ca_whose_key_is_in_the_token_of_a_replica_is_warned_of(key: str, of_issuer: str, *, is_said: bool) -> None:
    ca = f'[issuer.own]\ntype = "internal"\nkey = "ec-p384@{of_issuer}"\n'
    text = GOOD.replace('key = "ec-p256@file"\nissuer = "le"', f'key = {key}\nissuer = "own"') + HSM + ca
    assert_warned(text, of_issuer, is_said=is_said)


@pytest.mark.parametrize(("token", "is_said"), [("plexi", True), ("third", False)])
def test_a_key_of_a_person_in_the_token_of_a_ca_may_be_a_replica(token: str, *, is_said: bool) -> None:
    own = f'certificate = "c"\nkey = "pkcs11:token={token};object=chat"\n[[identity.chat.credential]]\n'
    ca = '[issuer.own]\ntype = "internal"\nkey = "ec-p384@plexi"\n'
    text = GOOD.replace('key = "ec-p256@file"\nissuer = "le"', f'{own}key = "ec-p256@spare"\nissuer = "own"') + HSM + ca
    assert_warned(text, "plexi", is_said=is_said)


def assert_warned(text: str, of_issuer: str, *, is_said: bool) -> None:
    problems = [str(one) for one in cross_check(Config.model_validate(tomllib.loads(text)), "f")]
    assert [one for one in problems if "issuer.own" in one] == [
        f'f: issuer.own.key: warning: found "ec-p384@{of_issuer}", in the token of a replica: while it is unavailable, '
        "no replica is renewed; better: a key outside the tokens of the replicas"
    ] * is_said
