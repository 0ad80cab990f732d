"""The highest version of each series of keys in a token: the name of a destroyed key must not be
used again.

A destroyed key leaves no trace in the token. If its name came again, audit logs and old
configurations would mean two keys. The versions are on disk, one file per token, beside the PIN
latches: this machine knows the keys that were made or destroyed from it, and sees the other ones in
the token.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from certs.files.atomic_file import write_state
from certs.files.directory import make_directories
from certs.files.file_lock import StillLocked, locked
from certs.hsm.access import file_stem, state_directory
from certs.hsm.facts import TokenFacts
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import TokenKeyName

_LOCK_SECONDS: Final = 10.0


class VersionsUnusable(Exception):
    """The file of a token cannot be used, so no name is known to be new."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(path, found)
        self.path = path
        self.found = found

    def __str__(self) -> str:
        return f'versions of keys that were there, "{self.path}": found {self.found}; allowed: a file that plexigate has written, or none'


def default_versions_directory() -> Path:
    """Where versions are remembered: in the state directory."""
    return state_directory() / "key-versions"


class UsedVersions:
    """The versions of one token. Raises VersionsUnusable."""

    def __init__(self, directory: Path, token: TokenFacts) -> None:
        """For the token with this serial; one without serial is known by its label."""
        self._directory = directory
        self._token = token
        stem = file_stem(token.label, token.serial)
        self._path = directory / f"{stem}.json"
        self._lock_path = directory / f"{stem}.lock"

    def labels(self) -> list[str]:
        """The label of the last key of each series."""
        return [name.label for name in self._read().values()]

    def note(self, label: str) -> None:
        """Remember that there was a key of this label.

        On disk when this returns; a label of another making is passed over.
        """
        name = TokenKeyName.parse(label)
        if name is None:
            return
        try:
            make_directories(self._directory)
            with locked(self._lock_path, _LOCK_SECONDS):
                known = self._read()
                before = known.get((name.identity, name.kind))
                if before is None or before < name:
                    self._write({**known, (name.identity, name.kind): name})
        except OSError as error:
            raise VersionsUnusable(self._path, (error.strerror or "an error").lower()) from None
        except StillLocked as error:
            raise VersionsUnusable(self._path, str(error)) from None

    def _read(self) -> dict[tuple[str, KeyKind], TokenKeyName]:
        try:
            document: Any = json.loads(self._path.read_bytes())
            names = [TokenKeyName.parse(label) for label in document["last"]]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise VersionsUnusable(self._path, (error.strerror or "an error").lower()) from None
        except (ValueError, KeyError, TypeError):
            raise VersionsUnusable(self._path, "something else") from None
        return {(name.identity, name.kind): name for name in names if name is not None}

    def _write(self, known: Mapping[tuple[str, KeyKind], TokenKeyName]) -> None:
        document = {
            "token": self._token.label,
            "serial": self._token.serial,
            "last": sorted(name.label for name in known.values()),
        }
        write_state(self._path, json.dumps(document, indent=2).encode() + b"\n")
