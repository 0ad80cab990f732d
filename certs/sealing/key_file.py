"""A sealing key in a file, for machines without a token.

It protects sealed data in backups and on lost disks if it is kept apart from them. An attacker who
can read the files of the running proxy can read this one too; so `plexigate check` warns.
"""

import base64
import binascii
import os
import stat
from pathlib import Path
from typing import Final

from certs.files.directory import OpenDirectory
from certs.sealing.held_key import HeldKey, key_id_of
from certs.sealing.importing import ImportRefused
from certs.sealing.sealer import AeadKey, AeadSealer
from config.loading.reading import read_regular

KEY_BYTES: Final = 32  # AES-256

_HEADER: Final = b"plexigate sealing key 1\n"
# Behind the key, in a line of its own.
_NOTES: Final = {None: b"", True: b"It has recovery shares.\n", False: b"It has no recovery shares.\n"}
_LARGEST_FILE: Final = 4_096


class KeyFileUnusable(Exception):
    """A key file that cannot be used; never has content of it.

    `is_shut`: its rights are wrong, and what is in it may be the key.
    """

    def __init__(self, path: Path, found: str, allowed: str, *, is_shut: bool = False) -> None:
        super().__init__(path, found, allowed)
        self.is_shut = is_shut
        self.path = path
        self.found = found
        self.allowed = allowed

    def __str__(self) -> str:
        return f'sealing key "{self.path}", {self.found}; allowed: {self.allowed}'


def is_key_file(path: Path) -> bool:
    """Whether a file is a sealing key, also one that `load_key` refuses. Raises `OSError`."""
    facts = path.lstat()
    if not stat.S_ISREG(facts.st_mode) or not len(_HEADER) <= facts.st_size <= _LARGEST_FILE:
        return False
    with path.open("rb") as file:
        return file.read(len(_HEADER)) == _HEADER


def load_key(path: Path) -> HeldKey:
    """Read a key; raises `KeyFileUnusable`, also if others than the owner have any right."""
    try:
        read = read_regular(path, _LARGEST_FILE)
    except OSError as error:
        found = f"which cannot be read ({error.strerror})"
        is_shut = isinstance(error, PermissionError)
        raise KeyFileUnusable(path, found, "a file that this process may read", is_shut=is_shut) from None
    content = read.content
    if read.mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileUnusable(path, f"which has mode {read.mode:04o}", "mode 0600 (chmod 600 FILE)", is_shut=True)
    encoded, _, note = content.removeprefix(_HEADER).strip().partition(b"\n")
    try:
        secret = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        secret = b""
    has_shares = [known for known, line in _NOTES.items() if line.strip() == note]
    if not content.startswith(_HEADER) or len(secret) != KEY_BYTES or not has_shares:
        raise KeyFileUnusable(path, "which is not a sealing key", "the file that plexigate hsm init made")
    return HeldKey(secret, has_shares=has_shares[0])


def create_key(path: Path, secret: bytes | bytearray | None = None, *, has_shares: bool | None = None) -> HeldKey:
    """Write a key (None: a new one) to a new file with mode 0600; raises `KeyFileUnusable`, also
    where there is a file already.
    """
    key = HeldKey(os.urandom(KEY_BYTES) if secret is None else bytes(secret), has_shares=has_shares)
    if len(key.secret) != KEY_BYTES:
        raise ValueError(f"a sealing key has {KEY_BYTES} bytes")
    try:
        with OpenDirectory.at(path.parent) as directory:
            descriptor = directory.create(path.name)
            with os.fdopen(descriptor, "wb") as file:
                directory.give(descriptor)
                file.write(_HEADER + base64.b64encode(key.secret) + b"\n" + _NOTES[has_shares])
                file.flush()
                os.fsync(file.fileno())
            directory.sync()
    except OSError as error:
        raise KeyFileUnusable(
            path, f"which cannot be created ({error.strerror})", "a new file in an existing directory"
        ) from None
    return key


class KeyFileImporter:
    """A key file as the place for the sealing key."""

    is_outside_again = True

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def place(self) -> str:
        return f"the file {self._path}"

    def require_free(self) -> None:
        """Raises `ImportRefused` if there is a file."""
        if self._path.exists():
            raise ImportRefused(f"{self._path} exists already; move it away if nothing is sealed with it")

    def envelope_id(self, secret: bytearray) -> bytes:
        return key_id_of(secret)

    def import_key(self, secret: bytearray) -> AeadKey:
        return self._created(secret, has_shares=True)

    def require_import(self) -> None:
        pass  # any key can be in a file

    def generate(self) -> AeadSealer:
        return AeadSealer(self._created(None, has_shares=False))

    def _created(self, secret: bytearray | None, *, has_shares: bool) -> AeadKey:
        try:
            return create_key(self._path, secret, has_shares=has_shares)
        except KeyFileUnusable as error:
            raise ImportRefused(str(error)) from None
