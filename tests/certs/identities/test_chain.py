"""Chains by themselves."""

from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from certs.identities.chain import (
    CertificateExpired,
    CertificateNotYetValid,
    ChainBroken,
    SignatureTooWeak,
    alternative_names,
    chain_errors,
    order_errors,
    signature_name,
    weaker_link,
)
from tests.certs.authority import DAY, NOW, Issued, issue, private_key

ROOT = issue("Root", private_key("ecdsa-p384"))
MIDDLE = issue("Middle", private_key("ecdsa-p256", 1), issuer=ROOT)
LEAF = issue("chat", private_key("ecdsa-p256"), issuer=MIDDLE)
PATH = Path("chat.pem")


def chain(*issued: Issued) -> tuple[x509.Certificate, ...]:
    return tuple(one.certificate for one in issued)


@pytest.mark.parametrize("certificates", [chain(LEAF), chain(LEAF, MIDDLE), chain(LEAF, MIDDLE, ROOT), chain(ROOT)])
def test_leaf_first_and_each_one_s_issuer_next_is_right(certificates: tuple[x509.Certificate, ...]) -> None:
    assert list(order_errors(certificates, PATH)) == []


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-2048", "ed25519", "mldsa-65", "mldsa-87"])
def test_the_signature_of_every_kind_of_issuer_is_checked(kind: str) -> None:
    issuer = issue("CA", private_key(kind))
    other = issue("CA", private_key(kind, 1))
    leaf = issue("chat", private_key("ecdsa-p256"), issuer=issuer)
    assert list(order_errors(chain(leaf, issuer), PATH)) == []
    (error,) = order_errors(chain(leaf, other), PATH)
    assert error.found == 'which has in place 2 another key than the issuer\'s where the issuer "CN=CA" belongs'


def test_a_certificate_between_that_is_not_the_issuer_breaks_the_chain() -> None:
    (first, second) = order_errors(chain(LEAF, ROOT, MIDDLE), PATH)
    assert first.found == 'which has in place 2 "CN=Root" where the issuer "CN=Middle" belongs'
    assert first.allowed == "leaf first, then the issuer of each certificate, and no other certificate"
    assert isinstance(second, ChainBroken)
    assert second.found.startswith("which has in place 3 ")


def test_nothing_may_follow_a_self_signed_leaf() -> None:
    (error,) = order_errors(chain(ROOT, LEAF), PATH)
    assert error.found.startswith("which has in place 2 ")


class _Unverifiable:
    """A certificate of an algorithm that cryptography does not know; no such one can be made with it."""

    def __init__(self, issuer: str, error: Exception) -> None:
        self.issuer = issuer
        self.subject = "chat"
        self._error = error

    def verify_directly_issued_by(self, _issuer: object) -> None:
        raise self._error

    @property
    def signature_hash_algorithm(self) -> None:
        raise self._error

    not_valid_before_utc: datetime = NOW - DAY
    not_valid_after_utc: datetime = NOW + DAY


@pytest.mark.parametrize("error", [UnsupportedAlgorithm("x"), TypeError("x")])
def test_where_a_signature_cannot_be_checked_the_name_must_do(error: Exception) -> None:
    root = ROOT.certificate
    matching, other = _Unverifiable("", error), _Unverifiable("Other", error)
    matching.issuer = root.subject  # type: ignore[assignment]
    assert list(order_errors((matching, root), PATH)) == []  # type: ignore[arg-type]
    other.issuer = MIDDLE.certificate.subject  # type: ignore[assignment]
    assert len(list(order_errors((other, root), PATH))) == 1  # type: ignore[arg-type]


def test_a_valid_chain_has_no_errors() -> None:
    assert list(chain_errors(chain(LEAF, MIDDLE, ROOT), PATH, NOW)) == []


def test_an_unknown_signature_algorithm_is_left_to_the_clients() -> None:
    assert list(chain_errors((_Unverifiable("x", UnsupportedAlgorithm("x")),), PATH, NOW)) == []  # type: ignore[arg-type]


def test_every_certificate_must_be_valid_now() -> None:
    old = issue("Old", private_key("ecdsa-p256", 1), issuer=ROOT, valid=(NOW - 9 * DAY, NOW - DAY))
    young = issue("Young", private_key("ecdsa-p256"), issuer=old, valid=(NOW + DAY, NOW + 9 * DAY))
    early, late = chain_errors(chain(young, old), PATH, NOW)
    assert isinstance(early, CertificateNotYetValid)
    assert early.found == 'whose certificate "CN=Young" is valid only from 2026-06-02 12:00 UTC'
    assert "clock" in early.allowed
    assert isinstance(late, CertificateExpired)
    assert late.found == 'whose certificate "CN=Old" expired at 2026-05-31 12:00 UTC'
    assert late.allowed == "a certificate that is valid now"


def test_the_last_moment_is_over() -> None:
    issued = issue("chat", private_key("ecdsa-p256"), valid=(NOW, NOW + DAY))
    assert list(chain_errors(chain(issued), PATH, NOW)) == []
    assert len(list(chain_errors(chain(issued), PATH, NOW + DAY))) == 1


def _sha1(*, self_signed: bool) -> x509.Certificate:
    """A certificate that says it is signed with SHA-1; cryptography makes none, so the name of the algorithm is changed."""
    issued = issue(
        "chat", private_key("rsa-2048"), issuer=None if self_signed else issue("CA", private_key("rsa-2048", 1))
    )
    der = issued.certificate.public_bytes(Encoding.DER)
    return x509.load_der_x509_certificate(
        der.replace(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05")
    )


def test_a_sha1_signature_is_refused() -> None:
    certificate = _sha1(self_signed=False)
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA1)
    (error,) = chain_errors((certificate,), PATH, NOW)
    assert isinstance(error, SignatureTooWeak)
    assert error.found == "whose certificate in place 1 is signed with sha1"
    assert error.allowed == "certificates signed with SHA-256 or better"


def test_nobody_relies_on_the_signature_of_a_root() -> None:
    assert list(chain_errors((_sha1(self_signed=True),), PATH, NOW)) == []


def test_names_are_those_of_the_subject_alternative_name() -> None:
    issued = issue(
        "common.example",
        private_key("ecdsa-p256"),
        names=["Chat.example.org", "*.example.org", "192.0.2.1", "2001:DB8::1"],
    )
    assert list(alternative_names(issued.certificate)) == [
        "chat.example.org",
        "*.example.org",
        "192.0.2.1",
        "2001:db8::1",
    ]
    assert list(alternative_names(LEAF.certificate)) == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("mldsa-87", "mldsa-87"),
        ("mldsa-44", "mldsa-44"),
        ("ecdsa-p384", "ecdsa-sha256"),
        ("rsa-2048", "rsa-sha256"),
        ("ed448", "ed448"),
    ],
)
def test_signature_is_named_and_a_weaker_one_than_ml_dsa_87_is_found(kind: str, name: str) -> None:
    root = issue("Root", private_key(kind, 5))
    leaf = issue("leaf", private_key("mldsa-87"), issuer=root)
    assert signature_name(leaf.certificate) == name
    expected = None if kind == "mldsa-87" else f'signed with {name} by "CN=Root"'
    assert weaker_link([leaf.certificate, root.certificate]) == expected


def test_unknown_signature_is_named_by_its_identifier() -> None:
    root = issue("Root", private_key("ecdsa-p256", 5), digest=hashes.SHA224())
    assert signature_name(root.certificate) == "1.2.840.10045.4.3.1"


def test_without_a_time_no_date_is_wrong() -> None:
    old = issue("old", private_key("ecdsa-p256"), valid=(NOW - 3 * DAY, NOW - DAY))
    assert list(chain_errors(chain(old), PATH, None)) == []
    assert len(list(chain_errors(chain(old), PATH, NOW))) == 1
