"""Make software keys, by the names that the configuration has for their algorithms."""

from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs.keys.signing_key import KeyAlgorithm, KeyFamily

ALGORITHMS: Final = MappingProxyType(
    {
        "ec-p256": KeyAlgorithm(KeyFamily.ECDSA, 256),
        "ec-p384": KeyAlgorithm(KeyFamily.ECDSA, 384),
        "rsa-2048": KeyAlgorithm(KeyFamily.RSA, 2_048),
        "rsa-3072": KeyAlgorithm(KeyFamily.RSA, 3_072),
        "rsa-4096": KeyAlgorithm(KeyFamily.RSA, 4_096),
        "mldsa-65": KeyAlgorithm(KeyFamily.MLDSA, 65),
        "mldsa-87": KeyAlgorithm(KeyFamily.MLDSA, 87),
    }
)
"""By the name in the configuration."""

_CURVES: Final = {256: ec.SECP256R1(), 384: ec.SECP384R1()}
_EXPONENT: Final = 65_537


def generate(algorithm: KeyAlgorithm) -> CertificateIssuerPrivateKeyTypes:
    """A new key of one of `ALGORITHMS`, or of ML-DSA-44; RSA takes a second."""
    match algorithm.family, algorithm.size:
        case KeyFamily.ECDSA, size if size in _CURVES:
            return ec.generate_private_key(_CURVES[size])
        case KeyFamily.RSA, size:
            return rsa.generate_private_key(_EXPONENT, size)
        case KeyFamily.MLDSA, 44:
            return mldsa.MLDSA44PrivateKey.generate()
        case KeyFamily.MLDSA, 65:
            return mldsa.MLDSA65PrivateKey.generate()
        case KeyFamily.MLDSA, 87:
            return mldsa.MLDSA87PrivateKey.generate()
        case _:
            raise ValueError(f"no keys of {algorithm} are made here")


def private_pem(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """A key as `openssl genpkey` writes it (PKCS #8; ML-DSA: with its seed)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def digest_for(key: CertificateIssuerPrivateKeyTypes) -> hashes.SHA256 | hashes.SHA384 | None:
    """What a key hashes with when it signs a certificate or CSR: as strong as the key (None: the
    algorithm has its own).
    """
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return hashes.SHA384() if key.curve.name == "secp384r1" else hashes.SHA256()
    if isinstance(key, rsa.RSAPrivateKey):
        return hashes.SHA256()
    assert isinstance(  # what cryptography has besides is not made here
        key, ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
    )
    return None
