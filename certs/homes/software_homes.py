"""Homes of software keys: plain files, and files that open only with a sealing key."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.keys.generating import ALGORITHMS, generate, private_pem
from certs.keys.home import HomeFailed, KeyName
from certs.keys.signing_key import KeyAlgorithm
from certs.sealing.envelope import Purpose
from certs.sealing.errors import SealingError
from certs.sealing.sealer import Sealer
from config.tables.rotation import FILE, SEALED

_MADE: Final = frozenset(ALGORITHMS.values())


class FileHome:
    """Keeps the key itself, which the state directory keeps with mode 0600."""

    is_software: Final = True
    name: str = FILE

    def makes(self, algorithm: KeyAlgorithm) -> bool:
        return algorithm in _MADE

    def make(self, name: KeyName) -> bytes:
        """What is kept of a new key: here the key in PEM."""
        return self.keep(name, private_pem(generate(name.algorithm)))

    def keep(self, _name: KeyName, pem: bytes) -> bytes:
        """What is kept of a key that another node has made. Raises `HomeFailed`."""
        return pem

    def signer(self, name: KeyName, kept: bytes) -> CertificateIssuerPrivateKeyTypes:
        return _loaded(self.name, self.for_workers(name, kept))

    def for_workers(self, _name: KeyName, kept: bytes) -> bytes:
        return kept

    def has(self, _name: KeyName, _kept: bytes) -> bool:
        return True

    def destroy(self, _name: KeyName) -> None:
        """There is no more of it than what is kept."""


class SealedHome(FileHome):
    """Keeps the key sealed: for keys that a token cannot make (ML-DSA), with a sealing key that may
    live in one.
    """

    name = SEALED

    def __init__(self, sealer: Sealer) -> None:
        """`sealer` hides keys, and opens them again."""
        self._sealer = sealer

    def keep(self, name: KeyName, pem: bytes) -> bytes:
        try:
            return self._sealer.seal(pem, _label(name))
        except SealingError as error:
            raise HomeFailed(self.name, f"{name} {error.reason}") from None

    def for_workers(self, name: KeyName, kept: bytes) -> bytes:
        try:
            return self._sealer.open(kept, _label(name))
        except SealingError as error:
            raise HomeFailed(self.name, f"{name} {error.reason}") from None


def _label(name: KeyName) -> str:
    return Purpose.CREDENTIAL_KEY.label(str(name))


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
