"""The id of a state directory: in the names of its keys in tokens, which others may use as well."""

import secrets
from pathlib import Path
from typing import Final

from certs.storage.disk import Disk

OWNER_DIGITS: Final = 8
"""Hexadecimal digits of an id."""

_NAME: Final = "owner"


class OwnerDamaged(Exception):
    """The file `path` has no id; with a new one, keys in tokens would never be destroyed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: found no id of {OWNER_DIGITS} hexadecimal digits; restore the file, because keys in tokens are named after its id"


class Owner:
    """Made when it is first asked for."""

    def __init__(self, state: Path, disk: Disk) -> None:
        self._path = state / _NAME
        self._disk = disk

    def id(self) -> str:
        """The id. Raises `OSError` or `OwnerDamaged`."""
        try:
            found = self._path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            found = secrets.token_hex(OWNER_DIGITS // 2)
            self._disk.make_directory(self._path.parent)
            self._disk.write(self._path, f"{found}\n".encode())
        except ValueError:
            raise OwnerDamaged(self._path) from None
        if len(found) != OWNER_DIGITS or not all(digit in "0123456789abcdef" for digit in found):
            raise OwnerDamaged(self._path)
        return found
