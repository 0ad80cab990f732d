"""Keys from the key of a domain: derived with HKDF-SHA-384 (RFC 5869), or encrypted under one that is.

The label says what a derived key is for, with each part led by its length, so that no two labels can be spelled the same. SHA-384 and
AES-256 are what CNSA 2.0 asks for against quantum computers.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from certs.hierarchy.key import ManagedKey

DOMAIN_SECRET_BYTES: Final = 48
"""The secret of a domain's key: as much as SHA-384 gives."""
KEY_BYTES: Final = 32
"""A derived key: AES-256."""

NONCE_BYTES: Final = 12


class WrappedKeyDamaged(Exception):
    """A wrapped key that does not open under the key of its domain."""

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self.key_id = key_id

    def __str__(self) -> str:
        return f"key {self.key_id} was damaged, or was wrapped under another key"


def derived(domain_secret: bytes, key: ManagedKey, length: int = KEY_BYTES) -> bytes:
    """The secret of a derived key."""
    return _hkdf(domain_secret, "key", key, length)


def wrap(domain_secret: bytes, key: ManagedKey, secret: bytes, nonce: bytes) -> bytes:
    """A secret encrypted for its place in the hierarchy: the nonce (random, 12 bytes), ciphertext, tag (AES-256-GCM)."""
    return nonce + AESGCM(_hkdf(domain_secret, "wrap", key, KEY_BYTES)).encrypt(nonce, secret, key.id.encode())


def unwrap(domain_secret: bytes, key: ManagedKey, wrapped: bytes) -> bytes:
    """The secret again; raises `WrappedKeyDamaged`."""
    nonce, ciphertext = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
    try:
        return AESGCM(_hkdf(domain_secret, "wrap", key, KEY_BYTES)).decrypt(nonce, ciphertext, key.id.encode())
    except (InvalidTag, ValueError):  # ValueError: too short for a nonce
        raise WrappedKeyDamaged(key.id) from None


def _hkdf(secret: bytes, use: str, key: ManagedKey, length: int) -> bytes:
    parts = ("plexigate hierarchy 1", use, key.domain, key.purpose, str(key.version))
    info = b"".join(len(part.encode()).to_bytes(2, "big") + part.encode() for part in parts)
    return HKDF(hashes.SHA384(), length, None, info).derive(secret)
