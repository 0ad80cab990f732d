"""A sealing key in a file of the state directory: for those without a token.

It keeps keys out of backups that leave this file out, and no further: whoever may read the files of the proxy can read this one.
"""

import os
import threading
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from certs.keys.software_homes import SealingFailed
from certs.storage.disk import Disk

_KEY_BYTES: Final = 32  # AES-256
_NONCE_BYTES: Final = 12  # NIST SP 800-38D 8.2.2: random, fine for 2**32 keys
# Two rotations at once must not each make one: what the first has sealed would never open again.
_making: Final = threading.Lock()
_MAGIC: Final = b"plexigate sealed 1\n"


class SealFile:
    """A `Seal` whose key is made at the first use."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk

    def seal(self, plain: bytes, label: str) -> bytes:
        """AES-256-GCM with the label as associated data."""
        nonce = os.urandom(_NONCE_BYTES)
        return _MAGIC + nonce + AESGCM(self._key(make=True)).encrypt(nonce, plain, _MAGIC + label.encode())

    def open(self, sealed: bytes, label: str) -> bytes:
        """What was sealed under this label."""
        if not sealed.startswith(_MAGIC):
            raise SealingFailed("what should be sealed is not")
        nonce, hidden = sealed[len(_MAGIC) :][:_NONCE_BYTES], sealed[len(_MAGIC) + _NONCE_BYTES :]
        try:
            return AESGCM(self._key(make=False)).decrypt(nonce, hidden, _MAGIC + label.encode())
        except (InvalidTag, ValueError):
            raise SealingFailed("what is sealed was changed, or belongs elsewhere, or to another sealing key") from None

    def _key(self, *, make: bool) -> bytes:
        try:
            with _making:
                if make and not self._path.exists():
                    self._disk.make_directory(self._path.parent)
                    self._disk.write(self._path, os.urandom(_KEY_BYTES))
            key = self._path.read_bytes()
        except OSError as error:
            raise SealingFailed(f"the sealing key {self._path} cannot be used: {error.strerror}") from None
        if len(key) != _KEY_BYTES:
            raise SealingFailed(f"the sealing key {self._path} is damaged")
        return key
