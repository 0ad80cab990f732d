"""Throw-away certificates: they stand for a key in a token wherever no client sees the signature.

A context with one resumes tickets, answers a HelloRetryRequest and judges a ClientHello exactly
like the context of the real key, and never asks the token. Each process makes one of each kind, and
its key never leaves the process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from certs.files.memory_file import MemoryFile
from certs.keys.signing_key import KeyAlgorithm, KeyFamily

_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
# A server does not look at the dates of its own certificate.
_NOT_BEFORE: Final = datetime(2000, 1, 1, tzinfo=UTC)
_NOT_AFTER: Final = datetime(2999, 1, 1, tzinfo=UTC)
_CURVES: Final[Mapping[int, ec.EllipticCurve]] = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}
_MLDSA: Final[Mapping[int, Callable[[], CertificateIssuerPrivateKeyTypes]]] = {
    44: mldsa.MLDSA44PrivateKey.generate,
    65: mldsa.MLDSA65PrivateKey.generate,
    87: mldsa.MLDSA87PrivateKey.generate,
}
# One size stands for RSA keys of every size: all schemes fit into it, and larger keys take long to
# make.
_RSA_BITS: Final = 2_048


@dataclass(frozen=True, slots=True)
class StandIn:
    """A self-signed certificate and its key, as contexts ask for them."""

    _certificate: MemoryFile
    _key: MemoryFile

    @property
    def certificate_path(self) -> Path:
        return self._certificate.path

    @property
    def key_pem_path(self) -> Path:
        return self._key.path


@cache
def stand_in(algorithm: KeyAlgorithm) -> StandIn:
    """The one of this process for keys of this kind.

    The first time takes 100 ms for RSA: not on the event loop.
    """
    key = _private_key(algorithm)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .sign(key, hashes.SHA256() if algorithm.family in (KeyFamily.ECDSA, KeyFamily.RSA) else None)
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return StandIn(MemoryFile("stand-in", certificate.public_bytes(Encoding.PEM)), MemoryFile("stand-in-key", pem))


def _private_key(algorithm: KeyAlgorithm) -> CertificateIssuerPrivateKeyTypes:
    match algorithm.family:
        case KeyFamily.ECDSA:
            return ec.generate_private_key(_CURVES[algorithm.size])
        case KeyFamily.RSA:
            return rsa.generate_private_key(65_537, _RSA_BITS)
        case KeyFamily.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case KeyFamily.MLDSA:
            return _MLDSA[algorithm.size]()
