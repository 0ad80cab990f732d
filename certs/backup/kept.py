"""The backups in a directory: which are there, the newest, and those that are too many."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from certs.backup.container import BackupDamaged
from certs.backup.contents import SUFFIX
from certs.backup.manifest import Manifest
from certs.backup.opened import OpenBackup
from certs.files.directory import OpenDirectory


@dataclass(frozen=True, slots=True)
class KeptBackup:
    """A backup, its size in bytes and its manifest, or why it is none (`fault`).

    Its manifest was signed; the rest of it was not read.
    """

    path: Path
    size: int
    manifest: Manifest | None
    fault: str = ""


def name_of(node: str, now: datetime) -> str:
    return f"{node}-{now:%Y%m%dT%H%M%SZ}{SUFFIX}"


def backups_in(directory: Path) -> list[KeptBackup]:
    """Those in a directory, the newest first; those with a fault last. Raises `OSError`."""
    found = [_read(path) for path in sorted(_written_in(directory))]
    return sorted(found, key=lambda one: 0.0 if one.manifest is None else -one.manifest.made_at.timestamp())


def newest_in(directory: Path, node: str) -> Manifest | None:
    """The manifest of the newest backup of a machine; it reads few others. Raises `OSError`, but
    not for a directory that is not there yet.
    """
    if not directory.exists():
        return None
    written = sorted(_written_in(directory), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    manifests = (_read(path).manifest for path in written)
    return next((one for one in manifests if one is not None and one.node == node), None)


def remove_beyond(keep: int, backups: Sequence[KeptBackup], made: Manifest) -> list[Path]:
    """Remove all but the newest `keep` backups of the configuration and machine of one that was
    made, and answer them. Raises `OSError`.
    """
    wanted = (made.node, made.configuration)
    ours = [one.path for one in backups if one.manifest and (one.manifest.node, one.manifest.configuration) == wanted]
    for path in ours[keep:]:
        with OpenDirectory.at(path.parent) as directory:
            directory.remove(path.name)
    return ours[keep:]


def _written_in(directory: Path) -> list[Path]:
    # of `iterdir`: `glob` is silent about a directory that is not there, or may not be read
    return [one for one in directory.iterdir() if one.name.endswith(SUFFIX) and not one.name.startswith(".")]


def _read(path: Path) -> KeptBackup:
    try:
        with OpenBackup.at(path) as backup:
            return KeptBackup(path, path.stat().st_size, backup.manifest)
    except BackupDamaged as error:
        return KeptBackup(path, path.stat().st_size, None, str(error))
    except OSError as error:
        return KeptBackup(path, 0, None, error.strerror or str(error))
