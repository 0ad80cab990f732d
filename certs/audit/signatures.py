"""Signatures over checkpoints: the seam to the key, and how each kind of signature is made and
checked. Pure.

The algorithm follows from the key, so a line of the log cannot ask for a weaker one: EC P-256 ECDSA
with SHA-256, P-384 with SHA-384, P-521 with SHA-512, DER (FIPS 186-5; RFC 3279 2.2.3); RSA
RSASSA-PSS with SHA-256, MGF1 with SHA-256, salt of 32 bytes (RFC 8017 8.1); Ed25519 (RFC 8032) and
ML-DSA without context (FIPS 204) as they are.
"""

import hashlib
from collections.abc import Iterable
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from certs.keys.signing_key import PublicKey, spki_of

CURVE_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
PSS: Final = padding.PSS(padding.MGF1(hashes.SHA256()), 32)


class SignerUnavailable(Exception):
    """The token is gone, busy or logged out, so there is no signature; `reason` has no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CheckpointKey(Protocol):
    """A private key that signs checkpoints, in a token or in a file."""

    @property
    def public_key(self) -> PublicKey: ...

    def sign(self, data: bytes) -> bytes:
        """A signature in the form that this module says for the kind of key.

        May take long. Raises `SignerUnavailable`.
        """


def is_signature(public_key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether `signature` was made over `data` by the private half of a key."""
    try:
        match public_key:
            case ec.EllipticCurvePublicKey():
                public_key.verify(signature, data, ec.ECDSA(CURVE_HASHES[public_key.curve.name]))
            case rsa.RSAPublicKey():
                public_key.verify(signature, data, PSS, hashes.SHA256())
            case _:
                public_key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def fingerprint(public_key: PublicKey) -> str:
    """A name for a key: SHA-256 of its SubjectPublicKeyInfo (RFC 5280 4.1.2.7) in hex."""
    return hashlib.sha256(spki_of(public_key)).hexdigest()


def by_fingerprint(public_keys: Iterable[PublicKey]) -> dict[str, PublicKey]:
    """Keys by the name that checkpoints call them."""
    return {fingerprint(key): key for key in public_keys}
