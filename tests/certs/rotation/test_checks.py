"""What speaks against a chain, and what does not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.issuing.internal_ca.profiles import IssuerKey, intermediate_certificate, root_certificate, server_certificate
from certs.keys.generating import ALGORITHMS, generate
from certs.keys.signing_key import KeyAlgorithm, KeyFamily
from certs.rotation.checks import ChainUnusable, Expectation, findings, is_weak, read_chain_pem, strength
from tests.certs.authority import DAY, NOW, private_key

ROOT_KEY, INTERMEDIATE_KEY, KEY = (generate(ALGORITHMS["ec-p256"]) for _ in range(3))
ROOT = root_certificate("root", ROOT_KEY, NOW - DAY)
INTERMEDIATE = intermediate_certificate(
    "intermediate", INTERMEDIATE_KEY.public_key(), IssuerKey(ROOT, ROOT_KEY), NOW + 300 * DAY, (), NOW - DAY
)
SIGNER = IssuerKey(INTERMEDIATE, INTERMEDIATE_KEY)
LEAF = server_certificate(("chat.test",), KEY.public_key(), SIGNER, NOW + 7 * DAY, NOW, None)
EXPECTED = Expectation(KEY.public_key(), ("chat.test",), (ROOT,), 128)
CHAIN = (LEAF, INTERMEDIATE)


def leaf(
    usage: x509.ExtendedKeyUsage | None = None,
    digest: Any = hashes.SHA256(),  # noqa: B008 - a value
    key: Any = KEY.public_key(),  # noqa: B008 - as well
    signer: Any = INTERMEDIATE_KEY,
    *,
    ski: bool = False,
) -> x509.Certificate:
    """A certificate with something else than usual in it."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "chat")]))
        .issuer_name(INTERMEDIATE.subject)
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
        .public_key(key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("chat.test")]), critical=False)
    )
    if usage is not None:
        builder = builder.add_extension(usage, critical=False)
    if ski:
        builder = builder.add_extension(x509.SubjectKeyIdentifier(bytes(20)), critical=False)
    return builder.sign(signer, digest)


def test_a_good_chain_has_no_findings() -> None:
    assert findings(CHAIN, EXPECTED, NOW) == []
    assert findings((*CHAIN, ROOT), EXPECTED, NOW) == [], "the root may be sent along"
    assert not is_weak(CHAIN)


NO_ROOT = '"CN=intermediate" at its end is signed by "CN=root", which is not among the roots that are expected'


def test_without_a_root_nothing_is_trusted() -> None:
    assert findings(CHAIN, replace(EXPECTED, roots=()), NOW) == [NO_ROOT]
    assert findings(CHAIN, replace(EXPECTED, roots=(), place="a file"), NOW)[0].endswith("which is not among a file")


def test_a_root_that_has_ended_is_none() -> None:
    old = root_certificate("root", ROOT_KEY, NOW - 10_000 * DAY)
    assert old.not_valid_after_utc < NOW
    assert findings(CHAIN, replace(EXPECTED, roots=(old,)), NOW) == [NO_ROOT]


def test_a_root_has_as_many_authorities_below_it_as_it_may() -> None:
    for path_length, expected in ((0, [NO_ROOT]), (1, [])):
        root = (
            x509.CertificateBuilder(ROOT.subject, ROOT.subject, ROOT_KEY.public_key(), 9, NOW - DAY, NOW + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
            .sign(ROOT_KEY, hashes.SHA256())
        )
        assert findings(CHAIN, replace(EXPECTED, roots=(root,)), NOW) == expected


def test_another_way_that_is_sent_along_does_no_harm() -> None:
    older_key = generate(ALGORITHMS["ec-p256"])
    older = root_certificate("older", older_key, NOW - DAY)
    cross_signed = x509.CertificateBuilder(
        older.subject, ROOT.subject, ROOT_KEY.public_key(), 9, NOW - DAY, NOW + DAY
    ).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    chain = (*CHAIN, cross_signed.sign(older_key, hashes.SHA256()))
    assert findings(chain, EXPECTED, NOW) == []


def test_a_strangers_name_is_shown_on_one_line() -> None:
    units = [x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "a\nb\u202e" + "x" * 50) for _ in range(5)]
    name = x509.Name(units)
    stranger = x509.CertificateBuilder(name, name, ROOT_KEY.public_key(), 9, NOW - DAY, NOW + DAY)
    found = findings((stranger.sign(ROOT_KEY, hashes.SHA256()),), replace(EXPECTED, roots=()), NOW)
    (end,) = (one for one in found if "at its end" in one)
    assert end.isascii()
    assert end.isprintable()
    assert '..."' in end


def test_another_key_or_other_names_are_found() -> None:
    other = replace(EXPECTED, key=INTERMEDIATE_KEY.public_key(), names=("chat.test", "www.test", "a.test"))
    assert findings(CHAIN, other, NOW) == ["it is for another key", "it is not for a.test, www.test"]


def test_its_time_is_looked_at() -> None:
    (early,) = findings(CHAIN, EXPECTED, NOW - 2 * DAY)
    assert early.startswith("its certificate in place 1 is valid from ")
    (late,) = findings(CHAIN, EXPECTED, NOW + 4 * DAY)
    assert late == "more than half of its lifetime is over"


def test_signatures_and_the_end_are_looked_at() -> None:
    stranger = generate(ALGORITHMS["ec-p256"])
    impostor = root_certificate("root", stranger, NOW - DAY)
    assert findings(CHAIN, replace(EXPECTED, roots=(impostor,)), NOW) == [NO_ROOT]
    assert findings((LEAF, impostor), replace(EXPECTED, roots=()), NOW) == [
        "its certificate in place 2 did not sign the one before it"
    ]


def test_who_is_no_authority_signs_nothing() -> None:
    signer = IssuerKey(LEAF, KEY)
    below = server_certificate(("chat.test",), INTERMEDIATE_KEY.public_key(), signer, NOW + 6 * DAY, NOW, None)
    chain = (below, LEAF, INTERMEDIATE)
    expected = replace(EXPECTED, key=INTERMEDIATE_KEY.public_key())
    assert findings(chain, expected, NOW) == ["its certificate in place 2 is not allowed to sign the one before it"]


def test_certificates_for_clients_are_refused() -> None:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    assert findings((leaf(usage=usage), INTERMEDIATE), EXPECTED, NOW) == [
        "its extended key usage does not allow TLS servers"
    ]
    assert findings((leaf(), INTERMEDIATE), EXPECTED, NOW) == [], "none at all allows everything (RFC 5280 4.2.1.12)"


def test_weak_ones_are_refused() -> None:
    assert findings(CHAIN, replace(EXPECTED, strength=192), NOW) == ["its key is weaker than before (ecdsa-p256)"]
    small = private_key("rsa-1024")
    weak = server_certificate(("chat.test",), small.public_key(), SIGNER, NOW + DAY, NOW, None)
    expected = replace(EXPECTED, key=small.public_key(), strength=0)
    assert findings((weak, INTERMEDIATE), expected, NOW) == ["its key has a kind or size that TLS does not accept"]
    assert is_weak((weak, INTERMEDIATE))


@pytest.mark.parametrize(
    ("algorithm", "bits"),
    [
        (KeyAlgorithm(KeyFamily.RSA, 2_048), 112),
        (KeyAlgorithm(KeyFamily.RSA, 3_072), 128),
        (KeyAlgorithm(KeyFamily.RSA, 1_024), 0),
        (KeyAlgorithm(KeyFamily.ECDSA, 384), 192),
        (KeyAlgorithm(KeyFamily.MLDSA, 87), 256),
    ],
)
def test_keys_are_as_strong_as_the_tables_say(algorithm: KeyAlgorithm, bits: int) -> None:
    assert strength(algorithm) == bits


def test_what_is_no_chain_is_told() -> None:
    with pytest.raises(ChainUnusable, match="it is not a PEM file with certificates"):
        read_chain_pem(b"rubbish")
    assert str(ChainUnusable(["a", "b"])) == "a; b"


def test_a_lifetime_of_hours_is_judged_by_its_share() -> None:
    short = server_certificate(("chat.test",), KEY.public_key(), SIGNER, NOW + timedelta(hours=2), NOW, None)
    assert findings((short, INTERMEDIATE), EXPECTED, NOW + timedelta(minutes=30)) == []


def test_an_authority_without_key_usage_may_sign() -> None:
    """RFC 5280 6.1.4 n speaks of those that have one."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old root")])
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + 30 * DAY)
        .public_key(ROOT_KEY.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(bytes(20)), critical=False)
        .sign(ROOT_KEY, hashes.SHA256())
    )
    below = server_certificate(("chat.test",), KEY.public_key(), IssuerKey(root, ROOT_KEY), NOW + DAY, NOW, None)
    assert findings((below,), replace(EXPECTED, roots=(root,)), NOW) == []


ED25519_OID = bytes.fromhex("06032b6570")
UNKNOWN_OID = bytes.fromhex("06032b6563")
SHA256_WITH_RSA = bytes.fromhex("06092a864886f70d01010b")
SHA1_WITH_RSA = bytes.fromhex("06092a864886f70d010105")


def test_a_broken_hash_is_found_and_said() -> None:
    signed = leaf(signer=private_key("rsa-2048")).public_bytes(Encoding.DER)
    old = x509.load_der_x509_certificate(
        signed.replace(SHA256_WITH_RSA, SHA1_WITH_RSA)
    )  # nobody signs with it any more
    assert "its certificate in place 1 is signed with sha1" in findings((old, INTERMEDIATE), EXPECTED, NOW)
    assert is_weak((old, INTERMEDIATE))


def test_a_key_that_nobody_knows_is_refused() -> None:
    known = leaf(key=private_key("ed25519").public_key())
    strange = x509.load_der_x509_certificate(known.public_bytes(Encoding.DER).replace(ED25519_OID, UNKNOWN_OID))
    found = findings((strange, INTERMEDIATE), EXPECTED, NOW)
    assert "it is for another key" in found
    assert "its key has a kind or size that TLS does not accept" in found
    assert "its certificate in place 2 did not sign the one before it" in found


def test_a_signature_that_nobody_knows_is_not_taken_for_a_weak_one() -> None:
    signed = leaf(signer=private_key("ed25519"), digest=None)
    strange = x509.load_der_x509_certificate(signed.public_bytes(Encoding.DER).replace(ED25519_OID, UNKNOWN_OID))
    assert not is_weak((strange,))


def test_who_says_nothing_of_being_an_authority_is_none() -> None:
    signer = IssuerKey(leaf(ski=True), KEY)
    below = server_certificate(("chat.test",), INTERMEDIATE_KEY.public_key(), signer, NOW + DAY, NOW, None)
    expected = replace(EXPECTED, key=INTERMEDIATE_KEY.public_key(), roots=())
    assert findings((below, signer.certificate), expected, NOW) == [
        "its certificate in place 2 is not allowed to sign the one before it"
    ]
