"""What belongs to the backup of a configuration, and what does not.

All state, the configuration, and the files that it names. Left out: keys in tokens, which never
leave them; the sealing key, which its recovery shares bring back; PINs, so that shares and a backup
alone open no token; and what a proxy makes again by itself (`_PASSING`).
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certs.audit.log import files_of as audit_files_of
from certs.backup.index import LeftOut
from certs.hierarchy.configured import directory_of
from certs.tokens.used_keys import used_keys
from config.loading.files import places_of
from config.loading.loaded import LoadedConfig
from config.values.kinds import PathRole

STAGING: Final = ".plexigate-restore"
"""The directory of a restore that has not ended, beside what it will replace."""

SUFFIX: Final = ".pxbackup"
"""Ends the name of a backup."""

# Locks; the secret of session tickets, for which clients make one full handshake; refused PINs of
# tokens of this machine; what a crash has left; backups.
_PASSING: Final = re.compile(
    rf"lock|.*\.lock|tickets\.sealed|.*\.new|pin-latch|.*{re.escape(SUFFIX)}|{re.escape(STAGING)}"
)
_PIN: Final = re.compile(r"hsm\.token\..+\.pin_(file|credential)")


@dataclass(frozen=True, slots=True)
class Contents:
    """Directories of state, of which everything is taken, and single files.

    `growing` are files that are only appended to: what is in them at a moment is whole.
    """

    configuration: Path
    states: tuple[Path, ...]
    files: tuple[Path, ...]
    growing: frozenset[Path]
    left_out: tuple[LeftOut, ...]
    lock: Path | None
    """The directory that a running proxy locks."""

    def present(self) -> Iterator[Path]:
        """Every file that is there now, each once, the configuration first. Raises `OSError`."""
        yield self.configuration
        seen = {self.configuration}
        below = (path for state in self.states for path in state_files(state))
        for path in (*self.files, *below):
            if path not in seen and path.is_file():
                seen.add(path)
                yield path


def is_passing(name: str) -> bool:
    """Whether a file or directory of state is left out of backups. A restore does not remove it."""
    return _PASSING.fullmatch(name) is not None


def state_files(state: Path) -> Iterator[Path]:
    """What is in a directory of state, and in those below it. Raises `OSError`."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # renamed meanwhile: the next look tells
            raise error

    for place, directories, names in os.walk(state, onerror=refuse):
        directories[:] = sorted(one for one in directories if not is_passing(one))
        yield from (Path(place, name) for name in sorted(names) if not is_passing(name))


def contents_of(loaded: LoadedConfig) -> Contents:
    """The files and directories that a configuration names, or that state is in by default.

    Raises `OSError`.
    """
    file = loaded.file
    config = loaded.config
    written = (config.rotation.state, config.payload.directory)
    states = {absolute(directory_of(file, config.sealing)), *(absolute(file.resolve(one)) for one in written if one)}
    named = (
        absolute(one.path)
        for one in places_of(loaded, PathRole.READ, PathRole.OWN)
        if one.key != "sealing.key" and not _PIN.fullmatch(one.key)
    )
    log = None if config.audit.file is None else absolute(file.resolve(config.audit.file))
    growing = audit_files_of(log) if log is not None and log.parent.is_dir() else ()
    return Contents(
        configuration=absolute(file.path),
        states=tuple(one for one in sorted(states) if not any(other in one.parents for other in states)),
        files=(*named, *growing),
        growing=frozenset(growing),
        left_out=tuple(_left_out(loaded)),
        lock=None if config.rotation.state is None else absolute(file.resolve(config.rotation.state)),
    )


def absolute(path: Path) -> Path:
    """A path as a restore writes it: from the root, without following links."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - `Path.absolute` leaves ".." as it is


def _left_out(loaded: LoadedConfig) -> Iterator[LeftOut]:
    config = loaded.config
    if config.sealing.key is not None:
        yield LeftOut("the sealing key", "its recovery shares bring it back: plexigate hsm recover")
    for one in places_of(loaded, PathRole.READ, PathRole.CREDENTIAL):
        if _PIN.fullmatch(one.key):
            yield LeftOut(f"the PIN in {absolute(one.path)}", "put it there before the start")
    for key in used_keys(loaded.file, config.rotation.state, config.sealing, loaded.document):
        if key.label is not None and not key.where.startswith("sealing."):
            yield LeftOut(f"the key {key.label} in its token ({key.where})", _remedy(key.where))


def _remedy(where: str) -> str:
    if "/issuers/" in where:
        return "without its token, move away the directory of this issuer: it makes a new root, which clients need"
    if "/credentials/" in where:
        return "without its token, the proxy makes a new one and orders a certificate"
    return "without its token, make a new one (plexigate hsm generate) and get a certificate for it"
