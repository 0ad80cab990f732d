"""A sealing key in a file, for machines without a token.

It protects sealed data in backups and on lost disks if it is kept apart from them. An attacker who
can read the files of the running proxy can read this one too; so `plexigate check` warns.
"""

import base64
import binascii
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from certs.files.directory import OpenDirectory
from certs.sealing.held_key import HeldKey
from config.reading import read_regular

KEY_BYTES: Final = 32  # AES-256

_HEADER: Final = b"plexigate sealing key 1\n"
_LARGEST_FILE: Final = 4_096


class KeyFileUnusable(Exception):
    """A key file that cannot be used; never has content of it."""

    def __init__(self, path: Path, found: str, allowed: str) -> None:
        super().__init__(path, found, allowed)
        self.path = path
        self.found = found
        self.allowed = allowed

    def __str__(self) -> str:
        return f'sealing key "{self.path}", {self.found}; allowed: {self.allowed}'


@dataclass(frozen=True, slots=True)
class KeyFile:
    """An `AeadKey` in the file `path`."""

    path: Path
    secret: bytes = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key; raises `KeyFileUnusable`, also if a user other than the owner has any
        right to the file.
        """
        try:
            read = read_regular(path, _LARGEST_FILE)
        except OSError as error:
            found = f"which cannot be read ({error.strerror})"
            raise KeyFileUnusable(path, found, "a file that this process may read") from None
        content = read.content
        if read.mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyFileUnusable(path, f"which has mode {read.mode:04o}", "mode 0600 (chmod 600 FILE)")
        try:
            secret = base64.b64decode(content.removeprefix(_HEADER).strip(), validate=True)
        except binascii.Error:
            secret = b""
        if not content.startswith(_HEADER) or len(secret) != KEY_BYTES:
            raise KeyFileUnusable(path, "which is not a sealing key", "the file that plexigate hsm init made")
        return cls(path, secret)

    @classmethod
    def create(cls, path: Path, secret: bytes | bytearray | None = None) -> Self:
        """Write a key (None: a new one) to a new file with mode 0600; raises `KeyFileUnusable`,
        also where there is a file already.
        """
        key = cls(path, os.urandom(KEY_BYTES) if secret is None else bytes(secret))
        if len(key.secret) != KEY_BYTES:
            raise ValueError(f"a sealing key has {KEY_BYTES} bytes")
        try:
            with OpenDirectory.at(path.parent) as directory:
                descriptor = directory.create(path.name)
                with os.fdopen(descriptor, "wb") as file:
                    directory.give(descriptor)
                    file.write(_HEADER + base64.b64encode(key.secret) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                directory.sync()
        except OSError as error:
            raise KeyFileUnusable(
                path, f"which cannot be created ({error.strerror})", "a new file in an existing directory"
            ) from None
        return key

    @property
    def held(self) -> HeldKey:
        """The key itself, which seals."""
        return HeldKey(self.secret)

    @property
    def warning(self) -> str:
        """What its owner should know."""
        return (
            f'the sealing key is the file "{self.path}": it protects only backups that do not contain it; a person who can '
            "read the files of this machine can use it, but not a key in a token"
        )

    @property
    def key_id(self) -> bytes:
        """The id of the key."""
        return self.held.key_id

    def encrypt(self, plain: bytes, associated: bytes) -> tuple[bytes, bytes]:
        """A random nonce, and ciphertext with tag."""
        return self.held.encrypt(plain, associated)

    def decrypt(self, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        """The plain text; raises `Tampered`."""
        return self.held.decrypt(nonce, ciphertext, associated)
