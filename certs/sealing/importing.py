"""Where a sealing key that was made in memory is put: a token, or a key file."""

from typing import Protocol

from certs.sealing.sealer import AeadKey


class ImportRefused(Exception):
    """The sealing key was not put in its place or made there; the text says why, not the key."""


class KeyImporter(Protocol):
    @property
    def place(self) -> str:
        """Where that is, for people: `token plexi`."""

    @property
    def is_outside_again(self) -> bool:
        """Whether the key can be read from there: a file, not a token."""

    def require_free(self) -> None:
        """Raises `ImportRefused` if there is a sealing key already, which would be lost."""

    def envelope_id(self, secret: bytearray) -> bytes:
        """What envelopes would call that key there."""

    def import_key(self, secret: bytearray) -> AeadKey:
        """Put a key there and read it back: not extractable in a token. Raises `ImportRefused`."""

    def generate(self) -> AeadKey:
        """Make a key there, which was never anywhere else. Raises `ImportRefused`."""
