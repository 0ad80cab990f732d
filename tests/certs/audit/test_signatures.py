"""Signatures of each kind of key."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

from certs.audit.signatures import SignerUnavailable, is_signature
from certs.audit.signing import FileSigner

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


def test_why_a_signature_could_not_be_had() -> None:
    assert SignerUnavailable("the token is gone").reason == "the token is gone"
