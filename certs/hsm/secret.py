"""A text that must not be seen: the PIN of a token."""

import hmac
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Final, NoReturn

from certs.files.memory_file import MemoryFile

LONGEST_PIN: Final = 31
"""Octets that OpenSSL's provider takes of a file; the rest of a longer PIN would be cut off, and a
wrong one counts against the token.
"""

_SHOWN: Final = "Secret(hidden)"


class Secret:
    """Holds a text that only `reveal` shows: its repr, format and pickle do not."""

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text, for the one place that needs it."""
        return self._text

    @property
    def digest(self) -> bytes:
        """What tells it from another one: as secret as the PIN, which could be guessed from it."""
        return sha256(self._text.encode()).digest()

    @cached_property
    def _file(self) -> MemoryFile:
        return MemoryFile("pin", self._text.encode())

    @property
    def path(self) -> Path:
        """A file with the text, for this process and as long as this object is there: OpenSSL takes
        a PIN by its name.
        """
        return self._file.path

    def __repr__(self) -> str:
        return _SHOWN

    def __eq__(self, other: object) -> bool:
        """Whether another one hides the same, in a time that does not tell where they differ."""
        return isinstance(other, Secret) and hmac.compare_digest(self.digest, other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> NoReturn:
        """Refuse: a pickle would be an unprotected copy."""
        raise TypeError("a secret is not pickled")
