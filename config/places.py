"""Checks the paths of a configuration in the file system without opening them."""

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from config.files import NamedFile, named_files
from config.loaded import LoadedConfig
from config.problems import Location, Problem, shown

# Special files: opening a pipe waits for its other end, reading a device may never end, or has an
# effect.
_UNFIT: Final = {
    stat.S_IFIFO: "a pipe, which may keep its reader waiting for ever",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_NOWHERE: Final = Path("/dev/null/unfit")
"""A path that nothing can ever be at: below a file."""


def missing_places(loaded: LoadedConfig) -> list[Problem]:
    """Directories and libraries that must be there; what certificates and keys are is judged by
    those who read them.
    """
    problems = []
    openssl, log, hsm = loaded.config.openssl, loaded.config.log, loaded.config.hsm
    audit = loaded.config.audit.file
    if hsm is not None and not _is_file(loaded.file.resolve(hsm.module)):
        allowed = "the PKCS#11 library of the token's vendor, such as /usr/lib/softhsm/libsofthsm2.so"
        problems.append(loaded.file.error(("hsm", "module"), f"{shown(hsm.module)}, which is not there", allowed))
    if openssl.module_path is not None and not _is_directory(loaded.file.resolve(openssl.module_path)):
        problems.append(_no_directory(loaded, ("openssl", "module_path"), openssl.module_path))
    if log.file is not None and not _is_directory(loaded.file.resolve(log.file).parent):
        problems.append(_no_directory(loaded, ("log", "file"), log.file))
    elif log.file is not None and _is_directory(loaded.file.resolve(log.file)):
        problems.append(
            loaded.file.error(("log", "file"), f"{shown(log.file)}, which is a directory", "the path of a file")
        )
    if audit is not None and not _is_directory(loaded.file.resolve(audit).parent):
        problems.append(_no_directory(loaded, ("audit", "file"), audit))
    return problems


def unfit_files(loaded: LoadedConfig) -> tuple[LoadedConfig, list[Problem]]:
    """Named files that are not files, and the configuration without them, so that later code does
    not open them.
    """
    problems, instead = [], dict(loaded.file.files)
    for file, kind in _unfit(loaded):
        problems.append(
            loaded.file.positions.located(
                Problem(str(loaded.file.path), file.key, f"{shown(str(file.path))}, which is {kind}", "a regular file")
            )
        )
        instead[file.path] = _NOWHERE
    return replace(loaded, file=replace(loaded.file, files=instead)), problems


def _unfit(loaded: LoadedConfig) -> Iterator[tuple[NamedFile, str]]:
    for file in named_files(loaded):
        try:
            kind = _UNFIT.get(stat.S_IFMT(file.path.stat().st_mode))
        except (OSError, ValueError):
            continue  # those who read it say that it is not there
        if kind is not None:
            yield file, kind


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, a directory that may not be searched
        return False


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _no_directory(loaded: LoadedConfig, location: Location, path: str) -> Problem:
    allowed = "a path whose directory exists (relative paths start at this file)"
    return loaded.file.error(location, f"{shown(path)}, which does not exist", allowed)
