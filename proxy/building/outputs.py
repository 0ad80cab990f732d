"""What the process writes is never also what it reads, and no two things are written to one file.

A log that is the configuration or a key destroys it line by line, and the next start fails.
Two paths are the same if they lead to the same file (by inode, through links), or, for a file that
is not there yet, to the same name in the same directory.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from config.loading.files import NamedFile, named_files, places_of
from config.loading.loaded import LoadedConfig
from config.tables.issuers import AcmeIssuerConfig
from config.values.kinds import PathRole
from config.values.problems import Problem, shown

_STATE_KEYS: Final = frozenset({"rotation.state", "sealing.directory", "payload.directory"})
# What is made in a state directory. Other names there are the operator's.
_STATE_NAME: Final = re.compile(
    r"lock|owner|accounts|credentials|ca|payload|pin-latch|key-versions|.*\.(json|sealed|key|new|damaged)"
)
_ALLOWED: Final = "a path of its own: the proxy writes to it"


def output_problems(loaded: LoadedConfig) -> Iterator[Problem]:
    """An error for each output that is also an input, another output, or a file of the state."""
    written = places_of(loaded, PathRole.WRITTEN)
    state = [one for one in written if one.key in _STATE_KEYS]
    taken = {place: key for key, path in _inputs(loaded) if (place := _place(path)) is not None}
    for key, purpose, path in _outputs(one for one in written if one.key not in _STATE_KEYS):
        place = _place(path)
        inside = [one.key for one in state if _is_of_state(path, one.path)]
        if place in taken:
            yield _problem(loaded, key, path, taken[place])
        elif inside:
            yield _problem(loaded, key, path, f"a file of {inside[0]}")
        elif place is not None:
            taken[place] = purpose


def _problem(loaded: LoadedConfig, key: str, path: Path, other: str) -> Problem:
    found = f"{shown(str(path))}, which is also {other}"
    return loaded.file.positions.located(Problem(str(loaded.file.path), key, found, _ALLOWED))


def _inputs(loaded: LoadedConfig) -> Iterator[tuple[str, Path]]:
    yield "this configuration", loaded.file.path
    for named in (*named_files(loaded), *places_of(loaded, PathRole.LIBRARY)):
        yield named.key, named.path
    config = loaded.config
    programs = {"alerts.command": config.alerts.command}
    for name, issuer in config.issuer.items():
        if isinstance(issuer, AcmeIssuerConfig):
            programs[f"issuer.{name}.hook"] = issuer.hook
    for key, command in programs.items():
        program = shutil.which(command[0]) if command and "\0" not in command[0] else None
        if program is not None:
            yield f"the program of {key}", Path(program)


def _outputs(written: Iterator[NamedFile]) -> Iterator[tuple[str, str, Path]]:
    """The key of each file that is written, what the file is, and its path."""
    for one in written:
        yield one.key, one.key, one.path
        if one.key == "audit.file":
            yield one.key, "the lock of audit.file", one.path.with_name(f"{one.path.name}.lock")


def _place(path: Path) -> tuple[object, ...] | None:
    """What tells a file from all others. None for a device or a pipe, which may be shared."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return _place_of_new(Path(os.path.realpath(path)))
    is_own = stat.S_ISREG(facts.st_mode) or stat.S_ISSOCK(facts.st_mode)
    return (facts.st_dev, facts.st_ino) if is_own else None


def _place_of_new(path: Path) -> tuple[object, ...]:
    try:
        above = path.parent.stat()
    except (OSError, ValueError):
        return (str(path),)
    return (above.st_dev, above.st_ino, path.name)


def _is_of_state(path: Path, directory: Path) -> bool:
    real = Path(os.path.realpath(path))
    state = Path(os.path.realpath(directory))
    return real == state or (
        real.is_relative_to(state) and _STATE_NAME.fullmatch(real.relative_to(state).parts[0]) is not None
    )
