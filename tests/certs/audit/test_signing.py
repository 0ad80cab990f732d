"""Keys of checkpoints in files."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from certs.audit.signatures import fingerprint
from certs.audit.signing import FileSigner, load_public_key
from certs.files.errors import CredentialError
from certs.keys.signing_key import PublicKey
from tests.certs.audit.logs import signer_in

SIGNER = FileSigner(ec.generate_private_key(ec.SECP256R1()))
PEM = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_key_is_read_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    made = signer_in(path)
    assert fingerprint(FileSigner.load(path).public_key) == fingerprint(made.public_key)
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
    path.write_bytes(public_pem(SIGNER.public_key))
    assert load_public_key(path) == SIGNER.public_key
    path.write_bytes(public_pem(dsa.generate_private_key(2_048).public_key()))
    with pytest.raises(CredentialError, match="another kind"):
        load_public_key(path)
    path.write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(CredentialError, match="no public key"):
        load_public_key(path)
