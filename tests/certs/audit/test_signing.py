"""Signatures of each kind of key, and keys in files."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from certs.audit.signing import FileSigner, SignerUnavailable, fingerprint, is_signature, load_public_key
from certs.files.errors import CredentialError
from certs.keys.signing_key import PublicKey

PEM = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SIGNERS = [
    FileSigner(ec.generate_private_key(ec.SECP256R1())),
    FileSigner(ec.generate_private_key(ec.SECP384R1())),
    FileSigner(rsa.generate_private_key(65_537, 2_048)),
    FileSigner(ed25519.Ed25519PrivateKey.generate()),
    FileSigner(mldsa.MLDSA65PrivateKey.generate()),
]


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda one: type(one.public_key).__name__)
def test_a_signature_is_of_one_key_and_one_text(signer: FileSigner) -> None:
    signature = signer.sign(b"text")
    assert is_signature(signer.public_key, signature, b"text")
    assert not is_signature(signer.public_key, signature, b"texT")
    assert not is_signature(signer.public_key, signature[:-1], b"text")
    assert [is_signature(other.public_key, signature, b"text") for other in SIGNERS].count(True) == 1


def test_a_made_key_is_for_its_owner_alone_and_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    made = FileSigner.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert fingerprint(FileSigner.load(path).public_key) == fingerprint(made.public_key)
    with pytest.raises(FileExistsError):
        FileSigner.create(path)
    assert "PRIVATE" not in repr(made)


def test_keys_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    path.write_bytes(dsa.generate_private_key(2_048).private_bytes(*PEM))
    path.chmod(0o600)
    with pytest.raises(CredentialError, match="a key of another kind"):
        FileSigner.load(path)
    path.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(CredentialError, match="no private key that can be read"):
        FileSigner.load(path)
    path.chmod(0o644)
    with pytest.raises(CredentialError, match="others may read"):
        FileSigner.load(path)


def public_pem(key: PublicKey | dsa.DSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_public_key_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.pub"
    path.write_bytes(public_pem(SIGNERS[0].public_key))
    assert load_public_key(path) == SIGNERS[0].public_key
    path.write_bytes(public_pem(dsa.generate_private_key(2_048).public_key()))
    with pytest.raises(CredentialError, match="another kind"):
        load_public_key(path)
    path.write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(CredentialError, match="no public key"):
        load_public_key(path)


def test_why_a_signature_could_not_be_had() -> None:
    assert SignerUnavailable("the token is gone").reason == "the token is gone"
