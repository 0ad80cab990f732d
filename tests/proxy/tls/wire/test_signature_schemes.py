"""The signature algorithm list decides which credential a client gets; OpenSSL is asked whether it does."""

import ssl

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.serialization import Encoding

from certs.keys.signing_key import KeyAlgorithm, KeyFamily
from config.schema import CredentialPreference, SecurityLevel
from proxy.tls.wire.client_hello import parse_client_hello
from proxy.tls.wire.signature_schemes import SIGNATURE_SCHEMES, preference_at, ranking, sigalgs_list
from tests.proxy.tls.hellos import (
    SET_SIGALGS_LIST,
    client_context,
    converse,
    load_pem,
    openssl_takes,
    peer,
    pem,
    self_signed,
    server_context,
)

CLASSICAL, MLDSA = CredentialPreference.CLASSICAL, CredentialPreference.MLDSA
EC_KEY, MLDSA_KEY = ec.generate_private_key(ec.SECP256R1()), mldsa.MLDSA65PrivateKey.generate()
EC_CERTIFICATE, MLDSA_CERTIFICATE = self_signed(EC_KEY), self_signed(MLDSA_KEY)


@pytest.mark.parametrize("prefer", CredentialPreference)
def test_openssl_takes_the_list(prefer: CredentialPreference) -> None:
    assert openssl_takes(server_context("X25519"), SET_SIGALGS_LIST, sigalgs_list(prefer))


@pytest.mark.parametrize("prefer", CredentialPreference)
def test_every_scheme_is_listed_once(prefer: CredentialPreference) -> None:
    assert sorted(sigalgs_list(prefer).split(":")) == sorted(SIGNATURE_SCHEMES)


def test_the_preferred_kind_comes_first() -> None:
    assert sigalgs_list(CLASSICAL).startswith("ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:")
    assert sigalgs_list(CLASSICAL).endswith(":mldsa44:mldsa65:mldsa87")
    assert sigalgs_list(MLDSA).startswith("mldsa44:mldsa65:mldsa87:ecdsa_secp256r1_sha256:")


def test_sha_1_and_pkcs_1_are_not_offered() -> None:
    """RFC 8446 section 4.2.3: neither may sign a handshake of TLS 1.3."""
    assert not [name for name in SIGNATURE_SCHEMES if "sha1" in name or "pkcs1" in name]


@pytest.mark.parametrize("name", SIGNATURE_SCHEMES)
def test_a_code_point_is_the_one_that_openssl_sends(name: str) -> None:
    context = client_context("X25519")
    assert openssl_takes(context, SET_SIGALGS_LIST, name)
    hello = parse_client_hello(peer(context).answer(b"")[5:])
    assert hello.signature_algorithms == (SIGNATURE_SCHEMES[name],)


@pytest.mark.parametrize(
    ("prefer", "client_schemes", "certificate"),
    [
        (CLASSICAL, "mldsa65:ecdsa_secp256r1_sha256", EC_CERTIFICATE),
        (CLASSICAL, "ecdsa_secp256r1_sha256", EC_CERTIFICATE),
        (CLASSICAL, "mldsa65", MLDSA_CERTIFICATE),
        (MLDSA, "ecdsa_secp256r1_sha256:mldsa65", MLDSA_CERTIFICATE),
        (MLDSA, "ecdsa_secp256r1_sha256", EC_CERTIFICATE),
        (MLDSA, "mldsa65", MLDSA_CERTIFICATE),
    ],
)
def test_a_client_gets_the_preferred_credential_that_it_accepts(
    prefer: CredentialPreference, client_schemes: str, certificate: object
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_pem(server, pem(EC_CERTIFICATE, EC_KEY))
    load_pem(server, pem(MLDSA_CERTIFICATE, MLDSA_KEY))
    assert openssl_takes(server, SET_SIGALGS_LIST, sigalgs_list(prefer))
    context = client_context("X25519")
    assert openssl_takes(context, SET_SIGALGS_LIST, client_schemes)
    client = peer(context)
    converse(client, peer(server))
    shown = client.tls.getpeercert(binary_form=True)
    names = {c.public_bytes(Encoding.DER): c for c in (EC_CERTIFICATE, MLDSA_CERTIFICATE)}
    assert shown is not None
    assert names[shown] is certificate


class TestRanking:
    """Which key signs for whom is known before OpenSSL is asked; `test_stand_in` asks it."""

    P256, RSA = KeyAlgorithm(KeyFamily.ECDSA, 256), KeyAlgorithm(KeyFamily.RSA, 3072)
    MLDSA_65 = KeyAlgorithm(KeyFamily.MLDSA, 65)

    def test_every_key_stands_where_its_schemes_do(self) -> None:
        ranked = ranking(CLASSICAL, [self.MLDSA_65, self.RSA, self.P256])
        assert ranked == ((0x0403, 2), (0x0804, 1), (0x0805, 1), (0x0806, 1), (0x0905, 0))

    def test_preference_of_the_identity_decides(self) -> None:
        assert ranking(MLDSA, [self.P256, self.MLDSA_65]) == ((0x0905, 1), (0x0403, 0))

    @pytest.mark.parametrize("prefer", CredentialPreference)
    @pytest.mark.parametrize(
        "client_schemes", ["mldsa65:ecdsa_secp256r1_sha256", "ecdsa_secp256r1_sha256:mldsa65", "mldsa65"]
    )
    def test_openssl_agrees(self, prefer: CredentialPreference, client_schemes: str) -> None:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_pem(server, pem(EC_CERTIFICATE, EC_KEY))
        load_pem(server, pem(MLDSA_CERTIFICATE, MLDSA_KEY))
        assert openssl_takes(server, SET_SIGALGS_LIST, sigalgs_list(prefer))
        context = client_context("X25519")
        assert openssl_takes(context, SET_SIGALGS_LIST, client_schemes)
        client = peer(context)
        converse(client, peer(server))
        offered = {SIGNATURE_SCHEMES[name] for name in client_schemes.split(":")}
        position = next(place for scheme, place in ranking(prefer, [self.P256, self.MLDSA_65]) if scheme in offered)
        expected = (EC_CERTIFICATE, MLDSA_CERTIFICATE)[position]
        assert client.tls.getpeercert(binary_form=True) == expected.public_bytes(Encoding.DER)


def test_an_edwards_key_signs_by_its_own_scheme_only() -> None:
    found = ranking(CredentialPreference.CLASSICAL, [KeyAlgorithm(KeyFamily.ED25519, 256)])
    assert found == ((SIGNATURE_SCHEMES["ed25519"], 0),)


def test_a_level_that_promises_mldsa_prefers_it_whatever_the_identity_does() -> None:
    for prefer in CredentialPreference:
        for level in SecurityLevel:
            is_promised = level is SecurityLevel.QUANTUM_SAFE
            assert preference_at(level, prefer) is (MLDSA if is_promised else prefer)
