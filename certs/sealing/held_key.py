"""An AES-256 key that this process holds: read from a file, or derived below the sealing key."""

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from certs.sealing.envelope import KEY_ID_BYTES, NONCE_BYTES
from certs.sealing.errors import Tampered

_ID_LABEL: Final = b"plexigate sealing key id 1"


def key_id_of(secret: bytes | bytearray) -> bytes:
    """The id of a key that is known outside of a token: HMAC-SHA-256 (RFC 2104) of a constant, cut
    to 16 bytes. Tells nothing of the key.
    """
    return hmac.digest(secret, _ID_LABEL, hashlib.sha256)[:KEY_ID_BYTES]


@dataclass(frozen=True, slots=True)
class HeldKey:
    """An `AeadKey` in memory."""

    secret: bytes | bytearray = field(repr=False)
    name: bytes | None = None
    """What envelopes call it, where that is not `key_id_of` its secret."""
    has_shares: bool | None = None

    @property
    def key_id(self) -> bytes:
        return self.name or key_id_of(self.secret)

    def encrypt(self, plain: bytes, associated: bytes) -> tuple[bytes, bytes]:
        """A random nonce, and ciphertext with tag."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce, AESGCM(self.secret).encrypt(nonce, plain, associated)

    def decrypt(self, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        try:
            return AESGCM(self.secret).decrypt(nonce, ciphertext, associated)
        except InvalidTag:
            raise Tampered from None
