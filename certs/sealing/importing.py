"""Stores a sealing key that was made in memory: the seam to the token, or a key file."""

from pathlib import Path
from typing import Protocol

from certs.sealing.held_key import key_id_of
from certs.sealing.key_file import KeyFile, KeyFileUnusable
from certs.sealing.sealer import AeadKey


class ImportRefused(Exception):
    """The sealing key could not be put in its place, or was not made there; the text says why,
    without a secret.
    """


class KeyImporter(Protocol):
    """A place for the sealing key."""

    @property
    def place(self) -> str:
        """Where that is, for people: `token plexi`."""

    @property
    def is_outside_again(self) -> bool:
        """Whether the key can be read from there: a file, not a token."""

    def require_free(self) -> None:
        """Raises `ImportRefused` where there is a sealing key already: it would be lost with all
        that it has sealed.
        """

    def envelope_id(self, secret: bytearray) -> bytes:
        """What envelopes would call that key there."""

    def import_key(self, secret: bytearray) -> AeadKey:
        """Put a key there, sensitive and not extractable where it is a token, which is read back.

        Raises `ImportRefused`.
        """

    def generate(self) -> AeadKey:
        """Make a key there, which was never anywhere else. Raises `ImportRefused`."""


class KeyFileImporter:
    """A key file as the place for the sealing key."""

    is_outside_again = True

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def place(self) -> str:
        """The file."""
        return f"the file {self._path}"

    def require_free(self) -> None:
        """Raises `ImportRefused` if there is a file."""
        if self._path.exists():
            raise ImportRefused(f"{self._path} exists already; move it away if nothing is sealed with it")

    def envelope_id(self, secret: bytearray) -> bytes:
        """Of the key itself."""
        return key_id_of(secret)

    def import_key(self, secret: bytearray) -> AeadKey:
        """Write the file."""
        try:
            return KeyFile.create(self._path, secret)
        except KeyFileUnusable as error:
            raise ImportRefused(str(error)) from None

    def generate(self) -> AeadKey:
        """Write a file with a new key."""
        try:
            return KeyFile.create(self._path)
        except KeyFileUnusable as error:
            raise ImportRefused(str(error)) from None
