"""A signing key in a PEM file.

The private half is read once to learn its public half and is not kept: OpenSSL reads the file
itself.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.files.errors import CredentialError, Part
from certs.files.pem import NotPem, PemFile, read_pem
from certs.keys.mldsa_pkcs8 import Form, public_key_of
from certs.keys.signing_key import (
    SUPPORTED,
    Custody,
    KeyAlgorithm,
    PublicKey,
    algorithm_of,
    supported_public_key,
)

_TRADITIONAL_ENCRYPTION = b"Proc-Type: 4,ENCRYPTED"  # RFC 1421 4.6.1.1


class KeyEncrypted(CredentialError):
    """The key is protected by a passphrase, which a service cannot ask for."""

    part = Part.KEY

    def __init__(self, path: Path) -> None:
        remedy = "(openssl pkey -in FILE -out FILE.plain; chmod 600 FILE.plain)"
        super().__init__(path, "which is encrypted", f"a key without passphrase, protected by its file mode {remedy}")


class KeyUnsupported(CredentialError):
    """A private key that handshakes cannot be signed with; `kind` says what it is."""

    part = Part.KEY

    def __init__(self, path: Path, kind: str, allowed: str = SUPPORTED) -> None:
        super().__init__(path, f"which holds {kind}", allowed)


class KeyTooWeak(CredentialError):
    """A key that is too small for OpenSSL's security level."""

    part = Part.KEY

    def __init__(self, path: Path, algorithm: KeyAlgorithm) -> None:
        super().__init__(path, f"which is a weak key ({algorithm})", SUPPORTED)


@dataclass(frozen=True, slots=True)
class SoftwareKey:
    """A `SigningKey` whose private half is the PEM file `pem_path` with the mode `mode`."""

    pem_path: Path
    public_key: PublicKey
    mode: int
    is_exposed: bool

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key; raises a `CredentialError` of this module or of `pem`."""
        file = read_pem(path, Part.KEY)
        public = _public_key(file)
        if isinstance(public, Form):
            allowed = (
                "a key with its seed, as openssl genpkey writes it; the seed cannot be computed, so make a new key"
            )
            raise KeyUnsupported(path, f"an ML-DSA {public.value}", allowed)
        supported = supported_public_key(public)
        if supported is None:
            raise KeyUnsupported(path, f"a key of another kind ({_kind(public)})")
        if algorithm_of(supported).is_too_weak:
            raise KeyTooWeak(path, algorithm_of(supported))
        return cls(path, supported, file.mode, file.is_exposed)

    @property
    def algorithm(self) -> KeyAlgorithm:
        return algorithm_of(self.public_key)

    @property
    def custody(self) -> Custody:
        return Custody.FILE

    @property
    def location(self) -> str:
        return str(self.pem_path)


def _kind(key: PublicKeyTypes) -> str:
    return key.curve.name if isinstance(key, EllipticCurvePublicKey) else type(key).__name__.removesuffix("PublicKey")


def _public_key(file: PemFile) -> PublicKeyTypes | Form:
    # `from None` throughout: what cryptography says, or shows in a traceback, is about the content
    # of a private key.
    try:
        return _read_public_key(file.content)
    except TypeError:
        raise KeyEncrypted(file.path) from None
    except UnsupportedAlgorithm:
        raise KeyUnsupported(file.path, "a key of an unknown algorithm") from None
    except ValueError:
        raise _fault(file) from None


def _read_public_key(pem: bytes) -> PublicKeyTypes | Form:
    try:
        return load_pem_private_key(pem, None).public_key()
    except ValueError:
        public = public_key_of(pem)
        if public is None:
            raise
        return public


def _fault(file: PemFile) -> CredentialError:
    """Why cryptography found no private key in a file."""
    private = [label for label in file.labels if label.endswith("PRIVATE KEY")]
    if private[:1] == ["ENCRYPTED PRIVATE KEY"] or (private and _TRADITIONAL_ENCRYPTION in file.content):
        return KeyEncrypted(file.path)
    if "PKCS#11 PROVIDER URI" in file.labels:
        return KeyUnsupported(
            file.path, "the address of a key in a PKCS#11 token", f"a private key in the file: {SUPPORTED}"
        )
    if private:
        return NotPem(file.path, Part.KEY, f"a damaged {private[0]}, or one in a form that is not standard")
    return NotPem(file.path, Part.KEY, f"no private key but {', '.join(dict.fromkeys(file.labels))}")
