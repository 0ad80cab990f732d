"""Keys of checkpoints in files: the private key that signs, and the public keys that verify."""

from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from certs.audit.signatures import CURVE_HASHES, PSS
from certs.files.errors import Part
from certs.files.pem import NotPem, read_pem
from certs.keys.signing_key import SUPPORTED, PublicKey, supported_public_key
from certs.keys.software import KeyUnsupported


class FileSigner:
    """A `CheckpointKey` from a file. Who reads that can sign a forged log: prefer a token."""

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

    @property
    def public_key(self) -> PublicKey:
        return self._key.public_key()

    def sign(self, data: bytes) -> bytes:
        """A signature; never unavailable."""
        match self._key:
            case ec.EllipticCurvePrivateKey():
                return self._key.sign(data, ec.ECDSA(CURVE_HASHES[self._key.curve.name]))
            case rsa.RSAPrivateKey():
                return self._key.sign(data, PSS, hashes.SHA256())
            case _:
                return self._key.sign(data)


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
