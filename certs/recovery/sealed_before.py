"""The keys that a sealing key has sealed before: whether one that is made or brought back would open them."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from certs.hierarchy.store import LABEL
from certs.sealing.envelope import NONCE_BYTES
from certs.sealing.errors import OtherKey, SealingError, Tampered
from certs.sealing.files import SealedFileUnusable, read_sealed
from certs.sealing.importing import ImportRefused
from certs.sealing.sealer import AeadSealer


@dataclass(frozen=True, slots=True)
class SealedBefore:
    """The file of the keys below a sealing key, which need not be there."""

    path: Path

    def require_none(self) -> None:
        """Before a sealing key is made. Raises `ImportRefused` where there is a file: no new key opens it."""
        if self.path.exists():
            raise ImportRefused(
                f'"{self.path}" is sealed by a key that a new one would not open: bring that back (plexigate hsm recover), or, if it is '
                "lost for ever, move this file away first, with whatever else was sealed below it; it is not looked at without --config"
            )

    def require_opened(self, secret: bytearray, name: Callable[[bytearray], bytes]) -> None:
        """Before a key is brought back, whose `name` in envelopes its place gives. Raises `ImportRefused` where it does not open the file."""
        key = _Outside(secret, name(secret))
        try:
            read_sealed(self.path, LABEL, AeadSealer(key))
        except FileNotFoundError:
            return
        except SealedFileUnusable as error:
            raise ImportRefused(self._refused(error.cause)) from None

    def _refused(self, cause: SealingError | OSError) -> str:
        go_on = "to put it there all the same, move this file away, or leave out --config"
        match cause:
            case OtherKey():
                return (
                    f'"{self.path}" {cause.reason}, as it would be called in this place: bring it back where it was (--key-file or a token), '
                    f"under the same --key-version; {go_on}"
                )
            case Tampered():
                return (
                    f'the key of these shares does not open "{self.path}": that is sealed by another one, whose shares are needed, or was '
                    f"damaged since; {go_on}"
                )
            case SealingError():
                return f'"{self.path}" {cause.reason}; {go_on}'
            case _:
                return f'"{self.path}": {cause.strerror}; allowed: a file that this process may read'


@dataclass(frozen=True, slots=True)
class _Outside:
    """The `AeadKey` that opens while the key is in this memory, and is not copied."""

    secret: bytearray = field(repr=False)
    key_id: bytes

    def encrypt(self, plain: bytes, associated: bytes) -> tuple[bytes, bytes]:
        nonce = os.urandom(NONCE_BYTES)
        return nonce, AESGCM(self.secret).encrypt(nonce, plain, associated)

    def decrypt(self, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        try:
            return AESGCM(self.secret).decrypt(nonce, ciphertext, associated)
        except InvalidTag:
            raise Tampered from None
