"""What a backup lists: the files in it, by an index among its encrypted content; and, for its
manifest, what is not in it, and the directories around.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Self

from certs.backup.container import BackupDamaged

MEMBER: Final = "index.json"
"""The last member of the archive."""


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file: where a restore puts it, and under which name (`member`) the archive has it."""

    path: str
    member: str
    size: int
    sha384: str
    mode: int
    user: str
    group: str


@dataclass(frozen=True, slots=True)
class Index:
    files: tuple[IndexedFile, ...]

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read what `encode` wrote. Raises `BackupDamaged`."""
        try:
            facts: dict[str, Any] = json.loads(content)
            files = tuple(IndexedFile(**one) for one in facts["files"])
        except (KeyError, TypeError, ValueError):
            raise BackupDamaged("has an index that Plexigate did not write") from None
        for one in files:
            require_plain(one.path)
        return cls(files)


@dataclass(frozen=True, slots=True)
class KnownDirectory:
    """How a restore makes a directory that is missing."""

    path: str
    mode: int
    user: str
    group: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is not in a backup: what it is, and what to do about it at a restore."""

    what: str
    remedy: str


def require_plain(path: str) -> None:
    """Raises `BackupDamaged` unless a path begins at the root and goes down only."""
    plain = PurePosixPath(path)
    if plain.root != "/" or ".." in plain.parts or "\0" in path or str(plain) != path:
        raise BackupDamaged(f"has a path that leads elsewhere: {path!r:.80}")
