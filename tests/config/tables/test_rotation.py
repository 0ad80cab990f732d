"""What rotates automatically, as it is written in a configuration."""

import tomllib
from datetime import timedelta

import pytest

from config.crosschecks.crosschecks import cross_check
from config.schema import Config
from config.tables.rotation import InternalIssuerConfig, IssuedCredentialConfig, KeySpec, parse_key_spec
from config.values.addresses import Refused
from tests.cross_checks import check

GOOD = """
[listener.public]
bind = "127.0.0.1:8443"
[identity.chat]
names = ["chat.test"]
[[identity.chat.credential]]
key = "ec-p256@file"
issuer = "internal"
[issuer.internal]
type = "internal"
[rotation]
state = "state"
[upstream.chat]
servers = ["http://127.0.0.1:8000"]
[[route]]
host = "chat.test"
upstream = "chat"
"""


@pytest.mark.parametrize(
    ("text", "spec", "kind"),
    [
        ("ec-p256@file", KeySpec("ec-p256", "file"), "ec"),
        ("ec-p384@plexi.1", KeySpec("ec-p384", "plexi.1"), "ec"),
        ("rsa-3072@file", KeySpec("rsa-3072", "file"), "rsa"),
        ("mldsa-65@sealed", KeySpec("mldsa-65", "sealed"), "mldsa-65"),
    ],
)
def test_keys_are_an_algorithm_and_a_place(text: str, spec: KeySpec, kind: str) -> None:
    assert parse_key_spec(text) == parse_key_spec(spec) == spec
    assert str(spec) == text
    assert spec.kind == kind


@pytest.mark.parametrize(
    "value", ["ec-p256", "@file", "ec-p256@", "ec-p512@file", "ec-p256@a b", "ec-p256@../x", 5, None]
)
def test_other_keys_are_refused(value: object) -> None:
    with pytest.raises(Refused):
        parse_key_spec(value)


def test_a_credential_may_ask_for_a_new_key() -> None:
    credential = IssuedCredentialConfig.model_validate(
        {"key": "ec-p256@file", "issuer": "i", "rotate_key_after": "90d"}
    )
    assert credential.rotate_key_after == timedelta(days=90)
    assert IssuedCredentialConfig.model_validate({"key": "ec-p256@file", "issuer": "i"}).rotate_key_after is None


@pytest.mark.parametrize("address", ["ftp://a.test/", "https://", "https://user:word@a.test/", "a.test"])
def test_addresses_of_alerts_are_for_http_and_have_no_secret(address: str) -> None:
    with pytest.raises(ValueError, match="an address in ASCII that begins"):
        InternalIssuerConfig.model_validate({"type": "internal", "crl_url": address})


def test_addresses_are_kept_as_written() -> None:
    assert InternalIssuerConfig.model_validate({"type": "internal", "crl_url": "http://a.test/crl"}).crl_url is not None


def test_what_fits_together_has_no_problem() -> None:
    assert check(GOOD) == []
    document = tomllib.loads(GOOD)
    (credential,) = document["identity"]["chat"]["credential"]
    document["identity"]["chat"]["credential"] = [IssuedCredentialConfig.model_validate(credential)]
    assert cross_check(Config.model_validate(document), "f") == []


def test_the_issuer_of_a_credential_is_there() -> None:
    assert check(GOOD.replace('issuer = "internal"', 'issuer = "other"')) == [
        'f: identity.chat.credential[0].issuer: found "other"; allowed: the name of an issuer: "internal"',
        "f: issuer.internal: warning: found an issuer that no credential uses; better: a credential with this issuer, or no such table",
    ]


def test_keys_that_are_made_here_need_a_directory() -> None:
    without = GOOD.replace('state = "state"', "")
    assert [one.partition(";")[0] for one in check(without)] == ["f: rotation.state: found nothing"]
    assert check(without, ("rotation", "state")) == []


def test_an_identity_has_one_credential_of_each_kind() -> None:
    second = GOOD.replace(
        "[issuer.internal]",
        '[[identity.chat.credential]]\nkey = "ec-p384@file"\nissuer = "internal"\n[issuer.internal]',
    )
    (problem,) = check(second)
    assert problem.startswith('f: identity.chat.credential[1].key: found "ec-p384@file", a second ec key')
    assert check(second.replace("ec-p384", "mldsa-65")) == []


def test_an_intermediate_outlives_what_it_signs() -> None:
    short = GOOD.replace('type = "internal"', 'type = "internal"\nlifetime = "90d"\nintermediate_lifetime = "200d"')
    (problem,) = check(short)
    assert problem.startswith('f: issuer.internal.intermediate_lifetime: found "200d"; allowed: at least four times')
