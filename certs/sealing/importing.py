"""Where a sealing key that was made in memory is put: a token, or a key file."""

from typing import Protocol

from certs.sealing.sealer import AeadKey, SealingKey


class ImportRefused(Exception):
    """The sealing key could not be put in its place, or was not made there; the text says why,
    without a secret.
    """


class KeyImporter(Protocol):
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

    def require_import(self) -> None:
        """Raises `ImportRefused` where no key from outside can be."""

    def import_key(self, secret: bytearray) -> AeadKey:
        """Put a key there, sensitive and not extractable where it is a token, which is read back.

        Raises `ImportRefused`.
        """

    def generate(self) -> SealingKey:
        """Make a key there, which was never anywhere else. Raises `ImportRefused`."""
