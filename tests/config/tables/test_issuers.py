"""ACME issuers, as they are written in a configuration."""

from typing import Any

import pytest

from config.schema import Config, InternalIssuerConfig
from config.tables.issuers import AcmeChallenge, AcmeIssuerConfig

DIRECTORY = "https://ca.test/directory"


def issuer(**settings: Any) -> AcmeIssuerConfig:
    return AcmeIssuerConfig.model_validate({"type": "acme", "directory": DIRECTORY, **settings})


def test_directory_is_all_that_is_needed() -> None:
    made = issuer()
    assert (made.challenge, made.contact, made.hook, made.fallback) == (AcmeChallenge.TLS_ALPN_01, (), (), ())
    assert (made.eab_kid, made.eab_key_file, made.profile, made.ca_file, made.root_file) == (None,) * 5


def test_kind_of_issuer_is_told_by_its_type() -> None:
    config = Config.model_validate(
        {"issuer": {"le": {"type": "acme", "directory": DIRECTORY}, "own": {"type": "internal"}}}
    )
    assert isinstance(config.issuer["le"], AcmeIssuerConfig)
    assert isinstance(config.issuer["own"], InternalIssuerConfig)
    assert Config.model_validate({"issuer": dict(config.issuer)}) == config


@pytest.mark.parametrize(
    "directory",
    [
        "http://ca.test/d",
        "ca.test",
        "https://",
        "https://user@ca.test/",
        "https://ca.test/#x",
        "https://ca.test:0/",
        "https://[::1/",
        "https://ca.test:99999/",
        "https://ca.test/a b",
        "",
        "https://ca.test/ü",
    ],
)
def test_other_directories_are_refused(directory: str) -> None:
    with pytest.raises(ValueError, match="the https:// address of an ACME directory"):
        issuer(directory=directory)


def test_contact_is_one_address_or_several() -> None:
    assert issuer(contact="ops@example.org").contact == ("ops@example.org",)
    assert issuer(contact=["a@example.org", "b@example.org"]).contact == ("a@example.org", "b@example.org")


@pytest.mark.parametrize("contact", ["ops", "mailto:ops@example.org", "a@b?c", "a@b,c@d", "ü@example.org", "a b@c"])
def test_other_contacts_are_refused(contact: str) -> None:
    with pytest.raises(ValueError, match="a mail address such as"):
        issuer(contact=contact)


@pytest.mark.parametrize(
    ("settings", "found"), [({"eab_kid": "k"}, "eab_kid"), ({"eab_key_file": "f"}, "eab_key_file")]
)
def test_external_account_needs_both(settings: dict[str, str], found: str) -> None:
    with pytest.raises(ValueError, match='both "eab_kid" and "eab_key_file"'):
        issuer(**settings)
    assert issuer(eab_kid="k", eab_key_file="f").eab_kid == "k"
    assert found in settings


def test_hook_belongs_to_dns() -> None:
    with pytest.raises(ValueError, match='a "hook" for dns-01'):
        issuer(challenge="dns-01")
    with pytest.raises(ValueError, match='no "hook", or challenge = "dns-01"'):
        issuer(hook=["/bin/true"])
    assert issuer(challenge="dns-01", hook=["/bin/hook", "-v"]).hook == ("/bin/hook", "-v")


@pytest.mark.parametrize("profile", ["", "a b", "ü", "x" * 600])
def test_profile_is_a_word(profile: str) -> None:
    with pytest.raises(ValueError, match="a word in ASCII without white space"):
        issuer(profile=profile)
