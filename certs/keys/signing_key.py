"""The seam between users of signatures and the place of a key.

Code above a `SigningKey` does not know whether the key is in a file or in a token. OpenSSL gets a
PEM file to load; for a key in a token that file only names it. `custody` says whether a signature
may wait for a device.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PublicKey = (
    ec.EllipticCurvePublicKey
    | rsa.RSAPublicKey
    | ed25519.Ed25519PublicKey
    | mldsa.MLDSA44PublicKey
    | mldsa.MLDSA65PublicKey
    | mldsa.MLDSA87PublicKey
)

SUPPORTED = "ECDSA P-256, P-384 or P-521, RSA of 2048 bits or more, Ed25519, ML-DSA-44, -65 or -87"
"""The kinds of keys that can be used, for messages."""

_SMALLEST_RSA = 2_048  # bits: OpenSSL's security level 2 refuses less (112 bits, NIST SP 800-57 part 1, table 2)
_CURVES = {"secp256r1": 256, "secp384r1": 384, "secp521r1": 521}  # the curves of TLS 1.3 (RFC 8446 4.2.3)
_MLDSA = ((mldsa.MLDSA44PublicKey, 44), (mldsa.MLDSA65PublicKey, 65), (mldsa.MLDSA87PublicKey, 87))


class Custody(Enum):
    FILE = "file"
    TOKEN = "token"  # noqa: S105 - a hardware token, not a secret


class KeyFamily(StrEnum):
    """A kind of signature algorithm."""

    ECDSA = "ecdsa"
    ED25519 = "ed25519"
    MLDSA = "mldsa"
    RSA = "rsa"


@dataclass(frozen=True, slots=True)
class KeyAlgorithm:
    """What a key can sign with: its family and `size` (bits of RSA, curve of ECDSA, parameter set
    of ML-DSA, else 0).

    `str()` gives `ecdsa-p256`, `rsa-3072`, `ed25519`, `mldsa-65`.
    """

    family: KeyFamily
    size: int = 0

    def __str__(self) -> str:
        if self.family is KeyFamily.ECDSA:
            return f"ecdsa-p{self.size}"
        return f"{self.family}-{self.size}" if self.size else self.family.value

    @property
    def is_post_quantum(self) -> bool:
        """Whether its signatures withstand a quantum computer."""
        return self.family is KeyFamily.MLDSA

    @property
    def is_too_weak(self) -> bool:
        """Whether OpenSSL refuses it for its size."""
        return self.family is KeyFamily.RSA and self.size < _SMALLEST_RSA

    @property
    def kind(self) -> str:
        """What a client chooses by, as of `KeySpec.kind`. An `SSLContext` holds one credential of
        each: a second one replaces the first.
        """
        if self.family is KeyFamily.ECDSA:
            return "ec"
        return str(self) if self.family is KeyFamily.MLDSA else self.family.value


class SigningKey(Protocol):
    """A private key that can sign handshakes, wherever it lives."""

    @property
    def public_key(self) -> PublicKey: ...

    @property
    def algorithm(self) -> KeyAlgorithm: ...

    @property
    def custody(self) -> Custody:
        """Where the private half is kept."""

    @property
    def location(self) -> str:
        """Where that is, for logs; no secret."""

    @property
    def pem_path(self) -> Path:
        """The file to give to `SSLContext.load_cert_chain` as key."""


def supported_public_key(key: PublicKeyTypes) -> PublicKey | None:
    """The key if its algorithm can be used for handshakes, else None."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key if key.curve.name in _CURVES else None
    return key if isinstance(key, PublicKey) else None


def certified_key(certificate: x509.Certificate) -> PublicKey | None:
    """The key of a certificate if it can be used for handshakes; None for one that is not known at
    all, too.
    """
    try:
        return supported_public_key(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return None


def spki_of(key: CertificatePublicKeyTypes) -> bytes:
    """Its SubjectPublicKeyInfo (RFC 5280 4.1.2.7), in DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def certified_spki(certificate: x509.Certificate) -> bytes | None:
    """`spki_of` the key of a certificate; None for one that cannot be read."""
    try:
        return spki_of(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return None


def algorithm_of(key: PublicKey) -> KeyAlgorithm:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return KeyAlgorithm(KeyFamily.ECDSA, _CURVES[key.curve.name])
    if isinstance(key, rsa.RSAPublicKey):
        return KeyAlgorithm(KeyFamily.RSA, key.key_size)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return KeyAlgorithm(KeyFamily.ED25519)
    return KeyAlgorithm(KeyFamily.MLDSA, next(size for kind, size in _MLDSA if isinstance(key, kind)))
