"""What a backup lists: the files in it, by an index among its encrypted content; and, for its
manifest, what is not in it, and the directories around.
"""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath
from typing import Any, Final, Self, TypeVar

from certs.backup.container import BackupDamaged, Written

UNREADABLE: Final = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
"""What JSON of others can raise while it is read."""

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
            files = tuple(typed(IndexedFile, one) for one in facts["files"])
        except UNREADABLE:
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


_Facts = TypeVar("_Facts", "IndexedFile", "KnownDirectory", "LeftOut", Written)


def typed(kind: type[_Facts], facts: Any) -> _Facts:
    """One of texts and counts, as `asdict` gave it. Raises one of `UNREADABLE`."""
    for one in fields(kind):
        if type(facts[one.name]) is not one.type or (one.type is int and facts[one.name] < 0):
            raise TypeError(one.name)
    return kind(**facts)


def require_plain(path: str) -> None:
    """Raises `BackupDamaged` unless a path begins at the root and goes down only."""
    plain = PurePosixPath(path)
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise BackupDamaged(f"has a path that is no text: {path!r:.80}") from None
    if plain.root != "/" or ".." in plain.parts or "\0" in path or str(plain) != path:
        raise BackupDamaged(f"has a path that leads elsewhere: {path!r:.80}")
