"""Signatures over checkpoints: the seam to the key, one key in a file, and how each kind of signature is checked.

The algorithm follows from the key, so no line can ask for a weaker one:
EC P-256 ECDSA with SHA-256, P-384 with SHA-384, P-521 with SHA-512, DER (FIPS 186-5; RFC 3279 2.2.3);
RSA RSASSA-PSS with SHA-256, MGF1 with SHA-256, salt of 32 bytes (RFC 8017 8.1);
Ed25519 (RFC 8032) and ML-DSA without context (FIPS 204) as they are.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from certs.files.errors import Part
from certs.files.pem import NotPem, read_pem
from certs.keys.signing_key import SUPPORTED, PublicKey, supported_public_key
from certs.keys.software import KeyUnsupported

_CURVE_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)


class SignerUnavailable(Exception):
    """A signature could not be had now: the token is gone, busy or logged out; `reason` has no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CheckpointKey(Protocol):
    """A private key that signs checkpoints, in a token or in a file."""

    @property
    def public_key(self) -> PublicKey:
        """Its public half."""

    def sign(self, data: bytes) -> bytes:
        """A signature in the form that this module says for the kind of key. May take long. Raises `SignerUnavailable`."""


class FileSigner:
    """A `CheckpointKey` whose key was read from a file. Who can read that file can sign a forged log: a token is better."""

    def __init__(
        self, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | mldsa.MLDSA65PrivateKey
    ) -> None:
        self._key = key

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a PEM file without passphrase; raises `CredentialError`."""
        file = read_pem(path, Part.KEY)
        if file.is_exposed:
            raise KeyUnsupported(path, "a key that others may read", "a file with mode 0600 (chmod 600 FILE)")
        try:
            key = load_pem_private_key(file.content, None)
        except (TypeError, ValueError):
            raise NotPem(path, Part.KEY, "no private key that can be read without a passphrase") from None
        if not isinstance(
            key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | mldsa.MLDSA65PrivateKey
        ):
            raise KeyUnsupported(path, "a key of another kind")
        return cls(key)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make an Ed25519 key and write it to a new file with mode 0600; raises `OSError`, also where there is one already."""
        key = ed25519.Ed25519PrivateKey.generate()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            file.flush()
            os.fsync(file.fileno())
        return cls(key)

    @property
    def public_key(self) -> PublicKey:
        """Its public half."""
        return self._key.public_key()

    def sign(self, data: bytes) -> bytes:
        """A signature; never unavailable."""
        match self._key:
            case ec.EllipticCurvePrivateKey():
                return self._key.sign(data, ec.ECDSA(_CURVE_HASHES[self._key.curve.name]))
            case rsa.RSAPrivateKey():
                return self._key.sign(data, _PSS, hashes.SHA256())
            case _:
                return self._key.sign(data)


def is_signature(public_key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether `signature` was made over `data` by the private half of a key."""
    try:
        match public_key:
            case ec.EllipticCurvePublicKey():
                public_key.verify(signature, data, ec.ECDSA(_CURVE_HASHES[public_key.curve.name]))
            case rsa.RSAPublicKey():
                public_key.verify(signature, data, _PSS, hashes.SHA256())
            case _:
                public_key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def fingerprint(public_key: PublicKey) -> str:
    """A name for a key: SHA-256 of its SubjectPublicKeyInfo (RFC 5280 4.1.2.7) in hex."""
    return hashlib.sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def by_fingerprint(public_keys: Iterable[PublicKey]) -> dict[str, PublicKey]:
    """Keys by the name that checkpoints call them."""
    return {fingerprint(key): key for key in public_keys}


def load_public_key(path: Path) -> PublicKey:
    """Read a public key from a PEM file; raises `CredentialError`."""
    file = read_pem(path, Part.KEY)
    try:
        key = supported_public_key(load_pem_public_key(file.content))
    except ValueError:
        raise NotPem(path, Part.KEY, "no public key (BEGIN PUBLIC KEY)") from None
    if key is None:
        raise KeyUnsupported(path, "a public key of another kind", SUPPORTED)
    return key
