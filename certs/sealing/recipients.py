"""Who can open a backup, or the key of a fleet: keys of HPKE (RFC 9180, draft-ietf-hpke-pq) in PEM.

A key is a pair, so that a break of one half tells nothing: ML-KEM-768 with X25519, or ML-KEM-1024
with P-384. In a file stand two blocks of PEM, one for each half, in any order: PKCS #8 (RFC 5958)
or SubjectPublicKeyInfo (RFC 5280). Other programs, such as OpenSSL, can make and read them.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from config.schema import Config

BACKUP_INFO: Final = b"plexigate backup recipient 1"
_ID_DIGITS: Final = 32
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", re.DOTALL)


class RecipientKem(StrEnum):
    """How a secret is encrypted to a key."""

    MLKEM768_X25519 = "MLKEM768-X25519"
    MLKEM1024_P384 = "MLKEM1024-P384"


def kem_of(config: Config) -> RecipientKem:
    """The KEM of the keys that are made by a configuration."""
    return RecipientKem.MLKEM1024_P384 if config.is_quantum_safe else RecipientKem.MLKEM768_X25519


@dataclass(frozen=True, slots=True)
class _Kind:
    """What cryptography has for a KEM: its suite, and for each side the two halves and the pair."""

    suite: hpke.Suite
    public_halves: tuple[type, type]
    public: Callable[..., Any]
    private_halves: tuple[type, type]
    private: Callable[..., Any]


_KINDS: Final[Mapping[RecipientKem, _Kind]] = {
    RecipientKem.MLKEM768_X25519: _Kind(
        hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
        (mlkem.MLKEM768PublicKey, x25519.X25519PublicKey),
        hpke.MLKEM768X25519PublicKey,
        (mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey),
        hpke.MLKEM768X25519PrivateKey,
    ),
    RecipientKem.MLKEM1024_P384: _Kind(
        hpke.Suite(hpke.KEM.MLKEM1024_P384, hpke.KDF.HKDF_SHA384, hpke.AEAD.AES_256_GCM),
        (mlkem.MLKEM1024PublicKey, ec.EllipticCurvePublicKey),
        hpke.MLKEM1024P384PublicKey,
        (mlkem.MLKEM1024PrivateKey, ec.EllipticCurvePrivateKey),
        hpke.MLKEM1024P384PrivateKey,
    ),
}


class KeyUnreadable(Exception):
    """PEM that is no key of a recipient; `found` is a clause about it, without content of it."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return (
            f"{self.found}; allowed: two blocks of PEM, ML-KEM-768 with X25519 or ML-KEM-1024 with P-384 "
            "(plexigate backup key makes them)"
        )


class NotOpened(Exception):
    """A secret that was not encrypted to this key, or was changed."""


@dataclass(frozen=True, slots=True)
class PublicRecipient:
    """A public key that a backup is encrypted to."""

    kem: RecipientKem
    halves: tuple[Any, Any]

    @classmethod
    def parse(cls, content: bytes) -> "PublicRecipient":
        """Read two blocks of PEM. Raises `KeyUnreadable`."""
        found = _loaded(content, b"PUBLIC KEY", load_pem_public_key)
        return cls(*_paired(found, {kem: (kind.public_halves, kind.public) for kem, kind in _KINDS.items()}))

    @property
    def id(self) -> str:
        """A name for the key: SHA-256 of both halves as SubjectPublicKeyInfo, cut to 128 bits."""
        encoded = (one.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for one in self.halves)
        return hashlib.sha256(b"".join(encoded)).hexdigest()[:_ID_DIGITS]

    def pem(self) -> bytes:
        return b"".join(one.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for one in self.halves)

    def seal(self, secret: bytes, info: bytes = BACKUP_INFO) -> bytes:
        """A secret, encrypted so that the private key alone opens it, for the same `info`."""
        kind = _KINDS[self.kem]
        return kind.suite.encrypt(secret, kind.public(*self.halves), info)


@dataclass(frozen=True, slots=True)
class PrivateRecipient:
    """A private key that opens backups."""

    kem: RecipientKem
    halves: tuple[Any, Any] = field(repr=False)

    @classmethod
    def generate(cls, kem: RecipientKem) -> "PrivateRecipient":
        if kem is RecipientKem.MLKEM768_X25519:
            return cls(kem, (mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()))
        return cls(kem, (mlkem.MLKEM1024PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())))

    @classmethod
    def parse(cls, content: bytes) -> "PrivateRecipient":
        """Read two blocks of PEM. Raises `KeyUnreadable`."""
        found = _loaded(content, b"PRIVATE KEY", lambda block: load_pem_private_key(block, None))
        return cls(*_paired(found, {kem: (kind.private_halves, kind.private) for kem, kind in _KINDS.items()}))

    @property
    def public(self) -> PublicRecipient:
        kem, curve = self.halves
        return PublicRecipient(self.kem, (kem.public_key(), curve.public_key()))

    def pem(self) -> bytes:
        return b"".join(one.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for one in self.halves)

    def open(self, sealed: bytes, info: bytes = BACKUP_INFO) -> bytes:
        """The secret that was encrypted to the public half. Raises `NotOpened`."""
        kind = _KINDS[self.kem]
        try:
            return kind.suite.decrypt(sealed, kind.private(*self.halves), info)
        except (InvalidTag, ValueError):
            raise NotOpened from None


def blocks_of(content: bytes) -> list[tuple[bytes, bytes]]:
    """The blocks of PEM in a file, each with its kind."""
    return [(found[1], found[0]) for found in _BLOCK.finditer(content)]


def _loaded(content: bytes, kind: bytes, load: Callable[[bytes], Any]) -> list[Any]:
    blocks = blocks_of(content)
    if not any(found == kind for found, _ in blocks):
        there = " or ".join(sorted({found.decode() for found, _ in blocks})) or "no PEM"
        raise KeyUnreadable(f"found {there} and no {kind.decode()}")
    try:
        return [load(block) for found, block in blocks if found == kind]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyUnreadable("a block of PEM that is no key without a passphrase") from None


def _paired(
    found: list[Any], kinds: Mapping[RecipientKem, tuple[tuple[type, type], Callable[..., Any]]]
) -> tuple[RecipientKem, tuple[Any, Any]]:
    """The two halves in their order, and what they are together."""
    for kem, (halves, pair) in kinds.items():
        match [one for half in halves for one in found if isinstance(one, half)]:
            case [first, second] if len(found) == 2:
                try:
                    pair(first, second)
                except (TypeError, ValueError):
                    break  # another curve
                return kem, (first, second)
    raise KeyUnreadable(f"{len(found)} keys that are no such pair")
