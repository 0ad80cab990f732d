"""DiskRoom on the file systems that the proxy writes to."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge
from proxy.doctor.machine.places import Content, places_of

_DISK: Final = Judge("disk space")
_MIB: Final = 1_048_576
_LITTLE: Final = 512 * _MIB
_TOO_LITTLE: Final = 32 * _MIB
_LITTLE_SHARE: Final = 0.05
_FEW_FILES: Final = 1_000
_REMEDY: Final = "Remove old logs or give it more room; a log that cannot be written loses lines, a key that cannot be stored does not rotate."


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """What an unprivileged process may still use of a file system; `files` None: not told."""

    free: int
    size: int
    files: int | None
    is_read_only: bool


def room_at(path: Path) -> DiskRoom:
    """The room where a file is, or will be. Raises `OSError`."""
    there = next(one for one in (path, *path.absolute().parents) if one.exists())
    facts = os.statvfs(there)
    return DiskRoom(
        facts.f_bavail * facts.f_frsize,
        facts.f_blocks * facts.f_frsize,
        facts.f_favail if facts.f_files else None,
        bool(facts.f_flag & os.ST_RDONLY),
    )


def disk_finding(subject: str, room: DiskRoom) -> Finding:
    found = f"{room.free // _MIB} MiB free of {room.size // _MIB} MiB"
    if room.is_read_only:
        return _DISK.failure(subject, "a read-only file system", "Choose another place, or mount it for writing.")
    if room.free < _TOO_LITTLE:
        return _DISK.failure(subject, found, _REMEDY)
    if room.files is not None and room.files < _FEW_FILES:
        return _DISK.failure(subject, f"{found}, room for {room.files} more files only", _REMEDY)
    if room.free < _LITTLE or (room.free < room.size * _LITTLE_SHARE and room.free < 10 * _LITTLE):
        return _DISK.warning(subject, found, _REMEDY)
    return _DISK.ok(subject, found)


def _disk(examined: Examined) -> Iterator[Finding]:
    for place in places_of(examined.loaded):
        if place.is_written and place.content is not Content.SOCKET:
            subject = f"{place.key} ({place.path})"
            try:
                yield disk_finding(subject, room_at(place.path))
            except OSError as error:
                yield _DISK.unknown(subject, f"it cannot be looked at: {error.strerror}")


DISK: Final = (Checkup("disk space", Area.FILES, _disk),)
