"""Whether this process can write the files that its configuration names. Only reads.

A check, a start and a reload use the same rule. It counts the rights of this process: only the
parent writes these files.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from certs.files.directory import PlacedByOthers, refuse_place
from config.loading.loaded import ConfigFile, LoadedConfig
from config.values.problems import Location, Problem, shown
from proxy.building.outputs import output_problems
from proxy.processes.privileges import ProcessAccount

_FILE: Final = "a file that the user who starts the proxy may append to or make"
_NOT_OF_WORKERS: Final = (
    "a directory that only root can change (chown root DIRECTORY): a compromised worker could put another file there"
)
_DIRECTORY: Final = "a directory that the user who starts the proxy may write to or make"


def place_problems(loaded: LoadedConfig, workers: ProcessAccount | None) -> Iterator[Problem]:
    """Files that cannot be written, or that must not be. An error stops the start.

    A warning means that the proxy starts without the file. `workers`: their account, if it is not
    the one of this process.
    """
    config = loaded.config
    yield from output_problems(loaded)
    if config.log.file is not None:
        yield from _file_problems(loaded.file, ("log", "file"), config.log.file, workers)
    if config.audit.file is not None:
        yield from _file_problems(loaded.file, ("audit", "file"), config.audit.file, workers, is_regular=True)
    if config.rotation.state is not None:
        yield from _directory_problems(loaded.file, ("rotation", "state"), config.rotation.state)
    has_rings = bool(config.payload.ring) or config.payload.sessions is not None
    if config.payload.directory is not None and has_rings:
        yield from _directory_problems(loaded.file, ("payload", "directory"), config.payload.directory)
    if config.sealing.directory is not None:
        fault = directory_fault(loaded.file.resolve(config.sealing.directory))
        if fault is not None:
            found = f"{shown(config.sealing.directory)}, {fault}"
            better = f"{_DIRECTORY}: session tickets do not survive the process without it"
            yield loaded.file.warning(("sealing", "directory"), found, better)


def _file_problems(
    file: ConfigFile, place: Location, written: str, workers: ProcessAccount | None, *, is_regular: bool = False
) -> Iterator[Problem]:
    path = file.resolve(written)
    fault = file_fault(path, is_regular=is_regular)
    if fault is not None:
        yield file.error(place, f"{shown(written)}, {fault}", _FILE)
    open_to = None if workers is None else _open_to(workers, path)
    if open_to is not None:
        assert workers is not None  # above
        found = f"{shown(written)}, in {shown(str(open_to))}, where the workers can write (user {workers.name})"
        yield file.error(place, found, _NOT_OF_WORKERS)


def _open_to(workers: ProcessAccount, path: Path) -> Path | None:
    """The first directory above a file in which workers could put another file in its place."""
    parents = Path(os.path.realpath(path)).parents
    return next((one for one in parents if _may_write(workers, one, is_directly_above=one == parents[0])), None)


def _may_write(workers: ProcessAccount, directory: Path, *, is_directly_above: bool) -> bool:
    try:
        facts = directory.stat()
    except OSError:
        return False
    if facts.st_uid == workers.user:  # who can also change the mode
        return True
    if facts.st_mode & stat.S_ISVTX and not is_directly_above:
        return False  # only the owner of an entry may replace it
    if facts.st_gid in {workers.group, *workers.groups}:
        return bool(facts.st_mode & stat.S_IWGRP)
    return bool(facts.st_mode & stat.S_IWOTH)


def _directory_problems(file: ConfigFile, place: Location, written: str) -> Iterator[Problem]:
    fault = directory_fault(file.resolve(written))
    if fault is not None:
        yield file.error(place, f"{shown(written)}, {fault}", _DIRECTORY)


def file_fault(path: Path, *, is_regular: bool = False) -> str | None:
    """Why a file cannot be appended to or made, in addition to `config.loading.places`, or None.

    A log may go to a pipe or a terminal. A log that is read again must be a regular file
    (`is_regular`). No link of another user leads to it.
    """
    try:
        mode = _mode(path)
        if path.parent.is_dir() and not (mode is not None and stat.S_ISDIR(mode)):
            refuse_place(path, is_stream_fine=not is_regular)
    except PlacedByOthers as error:
        return f"which must not be written: {error.strerror} ({error.filename})"
    except OSError as error:
        return _unseen(error)
    if mode is not None and is_regular and not stat.S_ISREG(mode):
        return "which is not a regular file"
    if mode is not None:
        return None if stat.S_ISDIR(mode) else _write_fault(path)
    return _write_fault(path.parent, is_directory=True) if path.parent.is_dir() else None


def directory_fault(path: Path) -> str | None:
    """Why a directory cannot be written to or made, or None."""
    try:
        there = next(
            one for one in (path, *path.parents) if one.is_symlink() or _mode(one) is not None or one == one.parent
        )
        mode = _mode(there)
    except OSError as error:
        return _unseen(error)
    if mode is None and there.is_symlink():
        link = f"a link to {shown(os.fspath(there.readlink()))}, which does not exist"
        return link if there == path else f"below {shown(str(there))}, {link}"
    if mode is None or not stat.S_ISDIR(mode):
        return "which is not a directory" if there == path else f"below {shown(str(there))}, which is not a directory"
    return _write_fault(there, is_directory=True)


def _mode(path: Path) -> int | None:
    """The mode of the file behind links. None if there is no file. Raises other `OSError`s."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _unseen(error: OSError) -> str:
    return f"which cannot be looked at: {error.strerror}"


def _write_fault(path: Path, *, is_directory: bool = False) -> str | None:
    if os.access(path, os.W_OK | os.X_OK if is_directory else os.W_OK, effective_ids=True):
        return None
    is_read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    reason = "which is on a read-only file system" if is_read_only else "which cannot be written: Permission denied"
    return reason if not is_directory else f"{reason} ({shown(str(path))})"
