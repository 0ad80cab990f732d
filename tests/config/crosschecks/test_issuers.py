"""What does not fit together about ACME issuers."""

import tomllib

import pytest

from config.crosschecks.crosschecks import cross_check
from config.crosschecks.issuers import acme_problems
from config.schema import Config
from config.values.omissions import Omissions

GOOD = """
[listener.public]
bind = "127.0.0.1:8443"
[identity.chat]
names = ["chat.test"]
[[identity.chat.credential]]
key = "ec-p256@file"
issuer = "le"
[issuer.le]
type = "acme"
directory = "https://le.test/d"
fallback = ["other"]
[issuer.other]
type = "acme"
directory = "https://other.test/d"
[rotation]
state = "state"
[upstream.chat]
servers = ["http://127.0.0.1:8000"]
[[route]]
host = "chat.test"
upstream = "chat"
"""


def check(text: str, *omitted: tuple[str | int, ...]) -> list[str]:
    config = Config.model_validate(tomllib.loads(text))
    return [str(problem) for problem in acme_problems(config, "f", Omissions(frozenset(omitted)))]


def changed(*changes: tuple[str, str]) -> str:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_nothing_stands_against_what_is_good() -> None:
    assert cross_check(Config.model_validate(tomllib.loads(GOOD)), "f") == []


@pytest.mark.parametrize("other", ["nobody", "le", "own"])
def test_fallback_is_another_issuer_of_this_type(other: str) -> None:
    text = changed(('["other"]', f'["{other}"]')) + '[issuer.own]\ntype = "internal"\n'
    (problem,) = check(text)
    assert problem == (
        f'f: issuer.le.fallback[0]: found "{other}"; allowed: the name of another issuer of type "acme": "other"'
    )
    assert check(text, ("issuer", other)) == ([problem] if other == "le" else [])


def test_fallback_without_any_other_issuer() -> None:
    text = changed(('[issuer.other]\ntype = "acme"\ndirectory = "https://other.test/d"\n', ""))
    (problem,) = check(text)
    assert problem.endswith("there is none")


def test_fallback_is_asked_once() -> None:
    (problem,) = check(changed(('["other"]', '["other", "other"]')))
    assert problem == 'f: issuer.le.fallback[1]: found "other" again; allowed: each issuer once'


def test_chains_are_not_checked_against_two_kinds_of_roots() -> None:
    (problem,) = check(changed(('fallback = ["other"]', 'fallback = ["other"]\nroot_file = "r.pem"')))
    assert "an issuer that has a root_file as well, or none as well" in problem


def test_http_needs_its_listener() -> None:
    text = changed(('https://le.test/d"', 'https://le.test/d"\nchallenge = "http-01"'))
    (problem,) = check(text)
    assert problem.startswith('f: issuer.le.challenge: found "http-01" without a listener for it; allowed: plain.bind,')
    assert check(text, ("plain", "bind")) == []
    assert check(text + '[plain]\nbind = "0.0.0.0:80"\n') == []


def test_no_public_ca_signs_mldsa() -> None:
    (problem,) = check(changed(("ec-p256@file", "mldsa-65@sealed")))
    assert problem.startswith(
        'f: identity.chat.credential[0].key: found "mldsa-65@sealed"; allowed: an ECDSA or RSA key'
    )


def test_wildcards_need_dns_at_every_ca() -> None:
    text = changed(('["chat.test"]', '["chat.test", "*.chat.test"]'))
    assert [one.partition(" = ")[0].partition(", or ")[2] for one in check(text)] == [
        "issuer.le.challenge",
        "issuer.other.challenge",
    ]
    dns = 'challenge = "dns-01"\nhook = ["/bin/hook"]\n'
    text = text.replace('directory = "https://le.test/d"\n', f'directory = "https://le.test/d"\n{dns}')
    assert len(check(text)) == 1
    assert check(text.replace('fallback = ["other"]\n', "")) == []


def test_addresses_are_not_proved_by_dns() -> None:
    dns = 'directory = "https://le.test/d"\nchallenge = "dns-01"\nhook = ["/bin/hook"]\n'
    text = changed(('["chat.test"]', '["chat.test", "192.0.2.1"]'), ('directory = "https://le.test/d"\n', dns))
    (problem,) = check(text)
    assert problem == (
        'f: identity.chat.names[1]: found "192.0.2.1"; allowed: no IP address, or another challenge than "dns-01" for issuer.le'
    )


def test_files_and_other_issuers_are_nobodys_business_here() -> None:
    text = changed(
        ('key = "ec-p256@file"\nissuer = "le"', 'certificate = "c.pem"\nkey = "c.key"'),
        ('["chat.test"]', '["*.chat.test"]'),
    )
    assert check(text) == []
    assert check(changed(('issuer = "le"', 'issuer = "nobody"'))) == []


def test_a_ca_of_ones_own_without_its_root_is_warned_of() -> None:
    alone = changed(('fallback = ["other"]', 'ca_file = "ca.pem"'))
    (warning,) = check(alone)
    assert warning.startswith("f: issuer.le.ca_file: warning: found ca_file alone")
    assert "have to end in a root that the system trusts" in warning
    assert check(changed(('fallback = ["other"]', 'ca_file = "ca.pem"\nroot_file = "root.pem"'))) == []
