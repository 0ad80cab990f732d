"""Homes of software keys: plain files, and files that open only with a sealing key."""

from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.keys.generating import ALGORITHMS, generate, private_pem
from certs.keys.home import HomeFailed, KeyName
from certs.keys.signing_key import KeyAlgorithm
from config.rotation import FILE, SEALED

_MADE: Final = frozenset(ALGORITHMS.values())


class FileHome:
    """Keeps the key itself, which the state directory keeps with mode 0600."""

    name: Final = FILE
    is_software: Final = True

    def makes(self, algorithm: KeyAlgorithm) -> bool:
        """Whatever software can make."""
        return algorithm in _MADE

    def make(self, name: KeyName) -> bytes:
        """A new key in PEM."""
        return private_pem(generate(name.algorithm))

    def signer(self, _name: KeyName, kept: bytes) -> CertificateIssuerPrivateKeyTypes:
        """The key."""
        return _loaded(self.name, kept)

    def openssl_pem(self, _name: KeyName, kept: bytes) -> bytes:
        """The key."""
        return kept

    def destroy(self, _name: KeyName) -> None:
        """There is no more of it than what is kept."""


class SealingFailed(Exception):
    """What a `Seal` raises: the sealing key cannot be used, or what was sealed is not what is there. `str()` is for logs."""


class Seal(Protocol):
    """Hides and opens what rests on disk."""

    def seal(self, plain: bytes, label: str, /) -> bytes:
        """Hide it; only the same label opens it again. Raises `SealingFailed`."""

    def open(self, sealed: bytes, label: str, /) -> bytes:
        """Open it again. Raises `SealingFailed`."""


class SealedHome:
    """Keeps the key sealed: for keys that a token cannot make (ML-DSA), with a sealing key that lives in the token."""

    name: Final = SEALED
    is_software: Final = True

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def makes(self, algorithm: KeyAlgorithm) -> bool:
        """Whatever software can make."""
        return algorithm in _MADE

    def make(self, name: KeyName) -> bytes:
        """A new key, sealed."""
        try:
            return self._seal.seal(private_pem(generate(name.algorithm)), _label(name))
        except SealingFailed as error:
            raise HomeFailed(self.name, str(error)) from None

    def signer(self, name: KeyName, kept: bytes) -> CertificateIssuerPrivateKeyTypes:
        """The key, opened."""
        return _loaded(self.name, self.openssl_pem(name, kept))

    def openssl_pem(self, name: KeyName, kept: bytes) -> bytes:
        """The key, opened."""
        try:
            return self._seal.open(kept, _label(name))
        except SealingFailed as error:
            raise HomeFailed(self.name, str(error)) from None

    def destroy(self, _name: KeyName) -> None:
        """There is no more of it than what is kept."""


def _label(name: KeyName) -> str:
    return f"key: {name}"


def _loaded(home: str, pem: bytes) -> CertificateIssuerPrivateKeyTypes:
    try:
        key = load_pem_private_key(pem, None)
    except (TypeError, ValueError):
        raise HomeFailed(home, "the file of a key is damaged") from None  # not what cryptography says about a secret
    if not isinstance(
        key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
    ):
        raise HomeFailed(home, "the file of a key has one of another kind")
    return key
