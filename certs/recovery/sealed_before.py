"""The file that a sealing key has sealed before: a recovered key must open it, and a new key must
not orphan it.
"""

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
    """The file of the keys below a sealing key; it may be missing."""

    path: Path

    def require_none(self) -> None:
        """Require that there is no file, before a sealing key is made: a new key would not open it.

        Raises `ImportRefused`.
        """
        if self.path.exists():
            raise ImportRefused(
                f'"{self.path}" is sealed with an earlier sealing key, and a new key would not open it: recover the earlier key '
                "(plexigate hsm recover). If that key is lost, first move away this file and everything that was sealed below it. "
                "Without --config the file is not checked"
            )

    def require_opened(self, secret: bytearray, name: Callable[[bytearray], bytes]) -> None:
        """Require that a recovered key opens the file; its place gives its `name` in envelopes.

        Raises `ImportRefused`.
        """
        key = _Outside(secret, name(secret))
        try:
            read_sealed(self.path, LABEL, AeadSealer(key))
        except FileNotFoundError:
            return
        except SealedFileUnusable as error:
            raise ImportRefused(self._refused(error.cause)) from None

    def _refused(self, cause: SealingError | OSError) -> str:
        go_on = "to store the key anyway, move this file away, or leave out --config"
        match cause:
            case OtherKey():
                return (
                    f'"{self.path}" {cause.reason}, because the key has another name in this place: recover it in its former place '
                    f"(--key-file or a token), under the same --key-version; {go_on}"
                )
            case Tampered():
                return (
                    f'the key of these shares does not open "{self.path}": another key sealed it, whose shares are needed, or the file '
                    f"is damaged; {go_on}"
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
