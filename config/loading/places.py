"""Checks the paths of a configuration in the file system, before anything is done with them."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from config.loading.files import NamedFile, named_files, places_of
from config.loading.loaded import LoadedConfig
from config.loading.reading import FileUnfit, faults
from config.values.kinds import PathRole
from config.values.problems import Location, Problem, shown

_NOWHERE: Final = Path("/dev/null/unfit")
"""A path that nothing can ever be at: below a file."""


def missing_places(loaded: LoadedConfig) -> list[Problem]:
    """Directories and libraries that must be there; what certificates and keys are is judged by
    those who read them. What does not answer was left out before (`unfit_files`).
    """
    problems = []
    openssl = loaded.config.openssl
    log = loaded.config.log
    hsm = loaded.config.hsm
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
    """Named files that are not files, and places that do not answer; and the configuration without
    them, so that later code does not open them.
    """
    files = named_files(loaded)
    places = places_of(loaded, PathRole.WRITTEN, PathRole.DIRECTORY, PathRole.LIBRARY)
    found = faults([one.path for one in files], [one.path for one in places])
    problems = []
    instead = dict(loaded.file.files)
    for named in (*files, *places):
        fault = found.get(named.path)
        if fault is not None:
            problems.append(loaded.file.positions.located(_problem(loaded, named, fault)))
            instead[named.path] = _NOWHERE
    return replace(loaded, file=replace(loaded.file, files=instead)), problems


def _problem(loaded: LoadedConfig, named: NamedFile, fault: OSError) -> Problem:
    path = shown(str(named.path))
    if isinstance(fault, FileUnfit):
        return Problem(str(loaded.file.path), named.key, f"{path}, which is {fault.strerror}", "a regular file")
    allowed = "a path on a file system that answers (a network share may be away)"
    return Problem(str(loaded.file.path), named.key, f"{path}, which gives {fault.strerror}", allowed)


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
