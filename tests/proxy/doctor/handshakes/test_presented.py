"""Chains as a listener presents them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from proxy.doctor.finding import State
from proxy.doctor.handshakes.judgement import Subject
from proxy.doctor.handshakes.presented import chain

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SUBJECT = Subject("public", "127.0.0.1:443", "chat.test")


@dataclass(frozen=True)
class Party:
    certificate: x509.Certificate
    key: ed25519.Ed25519PrivateKey


def party(
    name: str, issuer: Party | None = None, names: Sequence[str] = (), until: datetime = NOW + timedelta(days=9)
) -> Party:
    key = ed25519.Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        subject if issuer is None else issuer.certificate.subject,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        NOW - timedelta(days=1),
        until,
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False
        )
    return Party(builder.sign(key if issuer is None else issuer.key, None), key)


ROOT = party("root")
INTERMEDIATE = party("intermediate", ROOT)
LEAF = party("leaf", INTERMEDIATE, ["chat.test"])


def judged(*parties: Party) -> tuple[State, str]:
    finding = chain(SUBJECT, [one.certificate for one in parties], NOW)
    assert (finding.state is State.OK) != bool(finding.remedy)
    return finding.state, finding.found


def test_chain_says_until_when_it_is_valid_and_where_it_leads() -> None:
    state, found = judged(LEAF, INTERMEDIATE)
    assert state is State.OK
    assert found == "2 certificates, valid until 2026-06-10 00:00 UTC, up to CN=root"
    assert judged(LEAF)[1].startswith("1 certificate, valid")


def test_wrong_order_is_a_failure() -> None:
    state, found = judged(LEAF, ROOT, INTERMEDIATE)
    assert state is State.FAILURE
    assert found.startswith("a chain has in place 2 ")


def test_certificate_that_is_not_valid_yet_leads_to_the_clock_first() -> None:
    finding = chain(SUBJECT, [LEAF.certificate], NOW - timedelta(days=2))
    assert (finding.state, finding.remedy.startswith("Check the clock of this machine first")) == ("failure", True)


def test_foreign_certificate_in_the_chain_is_a_failure() -> None:
    assert judged(LEAF, party("other"))[0] is State.FAILURE


@pytest.mark.parametrize("end", [NOW, NOW - timedelta(hours=1)])
def test_expired_certificate_is_a_failure(end: datetime) -> None:
    state, found = judged(party("leaf", INTERMEDIATE, ["chat.test"], end), INTERMEDIATE)
    assert state is State.FAILURE
    assert "expired at" in found


def test_other_names_are_a_failure() -> None:
    state, found = judged(party("leaf", INTERMEDIATE, ["a.test", "b.test"]), INTERMEDIATE)
    assert state is State.FAILURE
    assert found == "the certificate is for a.test, b.test"
    assert judged(party("leaf", INTERMEDIATE), INTERMEDIATE)[1] == "the certificate is for no name"


def test_wildcard_covers_one_label() -> None:
    wide = party("leaf", INTERMEDIATE, ["*.test"])
    assert judged(wide, INTERMEDIATE)[0] is State.OK


def test_no_certificate_is_a_failure() -> None:
    assert judged()[0] is State.FAILURE
