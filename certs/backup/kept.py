"""The backups in a directory: which are there, the newest, and those that are too many."""

import errno
import os
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from certs.backup.container import BackupDamaged
from certs.backup.contents import DAMAGED, SUFFIX
from certs.backup.manifest import Manifest
from certs.backup.opened import OpenBackup
from certs.backup.unsealing import sealing_keys_of
from certs.files.directory import OpenDirectory, open_state_file
from certs.files.file_lock import lock_within

_UNFINISHED: Final = ".new"


@dataclass(frozen=True, slots=True)
class BackupOwner:
    """Whose backups they are: the name of a machine, and a configuration on it."""

    node: str
    configuration: Path

    def made(self, manifest: Manifest) -> bool:
        found = os.path.realpath(manifest.configuration)
        return manifest.node == self.node and found == os.path.realpath(self.configuration)


@dataclass(frozen=True, slots=True)
class KeptBackup:
    """A backup, and its size in bytes. Its manifest was signed; the content was not read.

    `sealing_keys` are those that open it, as envelopes call them, the newest first.
    """

    path: Path
    size: int
    manifest: Manifest
    sealing_keys: tuple[bytes, ...]

    @classmethod
    def of(cls, path: Path, backup: OpenBackup) -> Self:
        return cls(path, backup.reader.size, backup.manifest, sealing_keys_of(backup.header))


@dataclass(frozen=True, slots=True)
class NoBackup:
    """A file that is named as one, and what is wrong with it."""

    path: Path
    fault: str


def name_of(node: str, now: datetime) -> str:
    return f"{node}-{now:%Y%m%dT%H%M%SZ}{SUFFIX}"


def backups_in(directory: Path) -> list[KeptBackup | NoBackup]:
    """Those in a directory, the newest first, and what is none last. Raises `OSError`."""
    found = [_read(path) for path in sorted(_written_in(directory))]
    return sorted(found, key=lambda one: 0.0 if isinstance(one, NoBackup) else -one.manifest.made_at.timestamp())


def newest_in(directory: Path, owner: BackupOwner, but: Collection[Path] = ()) -> Manifest | None:
    """The manifest of the newest backup of an owner, `but` not of these; it reads few others.
    Raises `OSError`, but not for a directory that is not there yet.
    """
    found = (_read(path) for path in _newest_first(directory) if path not in but)
    return next((one.manifest for one in found if isinstance(one, KeptBackup) and owner.made(one.manifest)), None)


def damaged_in(directory: Path, owner: BackupOwner, told: Callable[[int], None]) -> list[Path]:
    """The backups of an owner that are newer than the newest whole one: damaged, or on a disk that
    does not read them. It reads that one, and them; `told` hears how many bytes. Raises as
    `newest_in`.
    """
    damaged = []
    for path in _newest_first(directory):
        is_ours = _is_named_for(owner.node, path.name)  # as long as its manifest is not read
        try:
            with OpenBackup.at(path) as backup:
                is_ours = owner.made(backup.manifest)
                if is_ours:
                    backup.verify(told)
                    break
        except (BackupDamaged, OSError) as error:
            if is_ours and (isinstance(error, BackupDamaged) or error.errno == errno.EIO):
                damaged.append(path)
    return damaged


def set_aside(path: Path) -> Path:
    """Give a damaged backup a name by which it counts no more, and answer that.

    Raises `OSError`.
    """
    aside = path.with_name(path.name + DAMAGED)
    with OpenDirectory.at(path.parent) as directory:
        directory.rename(path.name, aside.name)
    return aside


def unfinished_name(name: str) -> str:
    """What a backup is called until it is complete. Who writes it holds a lock on it, where that
    is possible.
    """
    return f".{name}{_UNFINISHED}"


def remove_unfinished(directory: Path, node: str) -> None:
    """Remove what backups of a machine have left that were killed, where this process may lock it.

    Raises `OSError`.
    """
    left = [one for one in directory.iterdir() if _is_named_for(f".{node}", one.name.removesuffix(_UNFINISHED))]
    for path in left:
        with (
            suppress(OSError),
            os.fdopen(open_state_file(path, os.O_RDWR)) as file,
            OpenDirectory.at(directory) as opened,
        ):
            if lock_within(file.fileno(), 0.0):
                opened.remove(path.name)


def remove_beyond(keep: int, backups: Sequence[KeptBackup | NoBackup], owner: BackupOwner) -> list[Path]:
    """Remove all but the newest `keep` backups of an owner, and answer them. Raises `OSError`."""
    ours = [one.path for one in backups if isinstance(one, KeptBackup) and owner.made(one.manifest)]
    for path in ours[keep:]:
        with OpenDirectory.at(path.parent) as directory:
            directory.remove(path.name)
    return ours[keep:]


def _newest_first(directory: Path) -> list[Path]:
    """By the times of the files, as each manifest takes a while to read."""
    if not directory.exists():
        return []
    return sorted(_written_in(directory), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _is_named_for(node: str, name: str) -> bool:
    return re.fullmatch(re.escape(f"{node}-") + r"\d{8}T\d{6}Z" + re.escape(SUFFIX), name) is not None


def _written_in(directory: Path) -> list[Path]:
    # of `iterdir`: `glob` is silent about a directory that is not there, or may not be read
    return [one for one in directory.iterdir() if one.name.endswith(SUFFIX) and not one.name.startswith(".")]


def _read(path: Path) -> KeptBackup | NoBackup:
    try:
        with OpenBackup.at(path) as backup:
            return KeptBackup.of(path, backup)
    except BackupDamaged as error:
        return NoBackup(path, str(error))
    except OSError as error:
        return NoBackup(path, error.strerror or str(error))
