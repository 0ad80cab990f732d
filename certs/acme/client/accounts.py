"""ACME accounts and their storage.

A stored account contains a private key. An `AccountStore` keeps documents and does not read them:
the store of plain files here and the store that seals documents have the same two methods.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol, Self

from certs.acme.client.account_key import AccountKey, NoAccountKey
from certs.files.atomic_file import write_state
from certs.files.directory import make_directories

# Far above any account: a key of 241 bytes and two URLs.
_LARGEST_DOCUMENT: Final = 65_536  # bytes
_READABLE: Final = re.compile(r"[^a-z0-9.-]+")
_LONGEST_READABLE: Final = 60


class AccountDamaged(Exception):
    """The stored document of `directory`, which is not shown, is no account."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.directory = directory

    def __str__(self) -> str:
        return f"the stored account of {self.directory} is damaged; restore it, or delete it to make a new account"


@dataclass(frozen=True, slots=True)
class AcmeAccount:
    """An account at the CA of `directory` (a URL).

    `url` names it there (RFC 8555 section 7.3), None as long as it is not registered. `successor`
    is the key that takes the place of `key`: one of both the CA knows. `is_known_outside`: a node
    that was expelled from the fleet knew the key.
    """

    directory: str
    key: AccountKey = field(repr=False)
    url: str | None = None
    successor: AccountKey | None = field(default=None, repr=False)
    is_known_outside: bool = False

    @classmethod
    def fresh(cls, directory: str) -> Self:
        """An account with a new key, not yet registered at the CA."""
        return cls(directory, AccountKey.generate())

    def registered_as(self, url: str) -> Self:
        """The same, known to the CA by `url`."""
        return replace(self, url=url)

    def forgotten(self) -> Self:
        """The same key, of an account that the CA does not know (any more)."""
        return replace(self, url=None)

    def to_be_succeeded(self) -> Self:
        """The same, with a new key that the CA does not know yet."""
        return replace(self, successor=AccountKey.generate(), is_known_outside=False)

    def succeeded(self) -> Self:
        assert self.successor is not None  # since `to_be_succeeded`
        return replace(self, key=self.successor, successor=None)

    def to_document(self) -> bytes:
        """Everything, the private key too."""
        document = {"directory": self.directory, "url": self.url, "key": self.key.to_pem().decode()}
        if self.successor is not None:
            document["successor"] = self.successor.to_pem().decode()
        return json.dumps(document).encode()

    @classmethod
    def from_document(cls, document: bytes, directory: str) -> Self:
        """Read what `to_document` wrote for `directory`. Raises `AccountDamaged`."""
        try:
            facts = json.loads(document)
            if facts["directory"] != directory or not (facts["url"] is None or isinstance(facts["url"], str)):
                raise AccountDamaged(directory)
            key = AccountKey.from_pem(facts["key"].encode())
            successor = AccountKey.from_pem(facts["successor"].encode()) if "successor" in facts else None
            return cls(directory, key, facts["url"], successor, "known_outside" in facts)
        except (ValueError, KeyError, TypeError, AttributeError, NoAccountKey):
            raise AccountDamaged(directory) from None  # what these say may be about the private key


class AccountStore(Protocol):
    """Keeps one document for each directory URL. `load` returns the last one, complete."""

    def load(self, directory: str) -> bytes | None:
        """The document for a directory URL, or None. Raises `OSError`."""

    def save(self, directory: str, document: bytes) -> None:
        """Replace the document durably, or raise `OSError` and keep the previous one."""


class FileAccountStore:
    """An `AccountStore` of files with mode 0600 in a directory of mode 0700."""

    def __init__(self, path: Path) -> None:
        """`path` is the directory, made when something is saved."""
        self._path = path

    def load(self, directory: str) -> bytes | None:
        try:
            with self._file(directory).open("rb") as file:
                return file.read(_LARGEST_DOCUMENT)
        except FileNotFoundError:
            return None

    def save(self, directory: str, document: bytes) -> None:
        make_directories(self._path)
        write_state(self._file(directory), document)

    def _file(self, directory: str) -> Path:
        """A file name in which an operator recognises the CA, unique for each directory URL."""
        readable = _READABLE.sub("-", directory.lower().removeprefix("https://")).strip("-.")[:_LONGEST_READABLE]
        return self._path / f"{readable}-{hashlib.sha256(directory.encode()).hexdigest()[:16]}.json"
