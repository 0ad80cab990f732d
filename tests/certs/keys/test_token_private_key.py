"""CSRs and certificates are signed in the token, and others verify them."""

import copy
import datetime
import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

from certs.hsm.clients import calls
from certs.hsm.clients.client import TokenProcess
from certs.hsm.errors import KeyMissing
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import TokenKeyName
from certs.keys.token_private_key import (
    KeyStaysInside,
    SignatureUnsupported,
    TokenEcKey,
    TokenRsaKey,
    token_private_key,
)
from certs.keys.token_public_key import public_key_of
from tests.hsm_tokens import softhsm, token_process, tool

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chat.example.org")])
KINDS = [KeyKind.ECDSA_P256, KeyKind.ECDSA_P384, KeyKind.RSA_3072]
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenProcess]:
    """A token with a key of each kind."""
    with softhsm(tmp_path_factory.mktemp("hsm")) as hsm, token_process(hsm.init_token("plexi")) as process:
        for kind in KINDS:
            process.perform(calls.generate(TokenKeyName("chat", kind, 1)))
        yield process


def key_of(token: TokenProcess, kind: KeyKind) -> TokenEcKey | TokenRsaKey:
    address = KeyAddress.of(TokenKeyName("chat", kind, 1))
    return token_private_key(public_key_of(token.perform(calls.public_parts(address))), address, token.perform)


def ec_key(token: TokenProcess) -> TokenEcKey:
    key = key_of(token, KeyKind.ECDSA_P256)
    assert isinstance(key, TokenEcKey)
    return key


def rsa_key(token: TokenProcess) -> TokenRsaKey:
    key = key_of(token, KeyKind.RSA_3072)
    assert isinstance(key, TokenRsaKey)
    return key


def self_signed(key: CertificateIssuerPrivateKeyTypes, pss: padding.PSS | None = None) -> x509.Certificate:
    builder = x509.CertificateBuilder(NAME, NAME, key.public_key(), 1, START, START + datetime.timedelta(days=9_999))
    return builder.sign(key, hashes.SHA256(), rsa_padding=pss)


@pytest.mark.parametrize("kind", KINDS)
def test_a_csr_is_verified_by_openssl(token: TokenProcess, tmp_path: Path, kind: KeyKind) -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("chat.example.org")])
    csr = x509.CertificateSigningRequestBuilder(NAME).add_extension(names, critical=False)
    signed = csr.sign(key_of(token, kind), hashes.SHA384())
    assert signed.is_signature_valid
    path = tmp_path / "csr.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    command = [tool("openssl", "openssl"), "req", "-in", str(path), "-verify", "-noout"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "verify OK" in answer.stdout + answer.stderr


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("has_pss", [False, True])
def test_a_certificate_is_verified_by_openssl(
    token: TokenProcess, tmp_path: Path, kind: KeyKind, *, has_pss: bool
) -> None:
    is_rsa = kind is KeyKind.RSA_3072
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH) if has_pss and is_rsa else None
    path = tmp_path / "certificate.pem"
    path.write_bytes(self_signed(key_of(token, kind), pss).public_bytes(serialization.Encoding.PEM))
    command = [tool("openssl", "openssl"), "verify", "-CAfile", str(path), "-check_ss_sig", str(path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.strip().endswith(": OK")


def test_a_digest_is_signed_as_it_is(token: TokenProcess) -> None:
    key, digest = ec_key(token), hashlib.sha256(b"message").digest()
    signature = key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    key.public_key().verify(signature, b"message", ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_a_digest_longer_than_the_curve_is_cut(token: TokenProcess, algorithm: hashes.HashAlgorithm) -> None:
    key = ec_key(token)
    key.public_key().verify(key.sign(b"message", ec.ECDSA(algorithm)), b"message", ec.ECDSA(algorithm))


@pytest.mark.parametrize("salt", [48, padding.PSS.DIGEST_LENGTH])
def test_pss_has_the_salt_of_tls(token: TokenProcess, salt: int) -> None:
    key, pss = rsa_key(token), padding.PSS(padding.MGF1(hashes.SHA384()), salt)
    key.public_key().verify(key.sign(b"message", pss, hashes.SHA384()), b"message", pss, hashes.SHA384())


def test_keys_know_what_they_are(token: TokenProcess) -> None:
    elliptic, other = ec_key(token), rsa_key(token)
    assert (elliptic.curve.name, elliptic.key_size, other.key_size) == ("secp256r1", 256, 3072)
    assert "chat.ecdsa-p256.v1" in repr(elliptic)
    assert "chat.rsa-3072.v1" in repr(other)
    for key in (elliptic, other):
        assert copy.copy(key) is key
        assert copy.deepcopy(key) is key


def test_they_give_nothing_away_and_do_nothing_else(token: TokenProcess) -> None:
    elliptic, other = ec_key(token), rsa_key(token)
    encoding, pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    attempts: list[Callable[[], object]] = [
        elliptic.private_numbers,
        other.private_numbers,
        lambda: elliptic.private_bytes(encoding, pem, serialization.NoEncryption()),
        lambda: other.private_bytes(encoding, pem, serialization.NoEncryption()),
        lambda: elliptic.exchange(ec.ECDH(), elliptic.public_key()),
        lambda: other.decrypt(bytes(384), padding.PKCS1v15()),
    ]
    for attempt in attempts:
        with pytest.raises(KeyStaysInside, match="stays in its token"):
            attempt()


def test_other_ways_to_sign_are_refused(token: TokenProcess) -> None:
    elliptic, other = ec_key(token), rsa_key(token)
    short = padding.PSS(padding.MGF1(hashes.SHA256()), 20)
    mixed = padding.PSS(padding.MGF1(hashes.SHA384()), 32)
    attempts: list[Callable[[], object]] = [
        lambda: elliptic.sign(b"", ec.ECDSA(hashes.SHA1())),  # noqa: S303 - it is refused
        lambda: elliptic.sign(b"", object()),  # type: ignore[arg-type]
        lambda: other.sign(b"", short, hashes.SHA256()),
        lambda: other.sign(b"", mixed, hashes.SHA256()),
        lambda: other.sign(bytes(32), padding.PKCS1v15(), utils.Prehashed(hashes.SHA256())),
        lambda: other.sign(b"", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None), hashes.SHA256()),
        lambda: token_private_key(mldsa.MLDSA65PrivateKey.generate().public_key(), KeyAddress("a"), token.perform),
    ]
    for attempt in attempts:
        with pytest.raises(SignatureUnsupported, match="allowed: SHA-256"):
            attempt()


def test_a_token_that_fails_is_an_error_of_the_signature(token: TokenProcess) -> None:
    public = rsa.RSAPublicNumbers(65537, (1 << 3071) + 1).public_key()
    key = token_private_key(public, KeyAddress("none"), token.perform)
    with pytest.raises(KeyMissing):
        self_signed(key)
