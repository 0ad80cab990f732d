"""What belongs to the backup of a configuration, and what does not.

All state, the configuration, and the files that it names. Left out: keys in tokens, which never
leave them; the sealing key and previous ones, as a backup beside its key is not encrypted; PINs, so
that shares and a backup alone open no token; and what a proxy makes again by itself (`_PASSING`).
These are known by where their paths lead, and key files by their content. A link in state is
refused: what it leads to would be missing, or be a file that another user may not read.
"""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certs.audit.log import files_of as audit_files_of
from certs.backup.index import LeftOut
from certs.files.directory import PlacedByOthers
from certs.hierarchy.configured import directories_of
from certs.hierarchy.file_sealer import sealing_key_ids
from certs.hierarchy.vault import FILE_NAME as HIERARCHY
from certs.sealing.errors import NotSealed
from certs.sealing.key_file import KeyFileUnusable, is_key_file, load_key
from certs.sealing.own_key import OWN_KEY_FILE
from certs.storage.disk import STAGING
from certs.tokens.used_keys import used_keys
from config.loading.files import places_of
from config.loading.loaded import LoadedConfig
from config.values.kinds import PathRole

SUFFIX: Final = ".pxbackup"
"""Ends the name of a backup."""

DAMAGED: Final = ".damaged"
"""Comes behind that if it was damaged since."""

# Locks; the secret of session tickets, for which clients make one full handshake; refused PINs of
# tokens of this machine; what a crash has left; backups.
_PASSING: Final = re.compile(
    rf"lock|.*\.lock|tickets\.sealed|.*\.new|pin-latch|.*{re.escape(SUFFIX)}({re.escape(DAMAGED)})?|{re.escape(STAGING)}"
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
    apart: tuple[Path, ...]
    """Files with a sealing key or a PIN: in no backup, and no restore removes them."""
    locks: tuple[Path, ...]
    """The directories that a running proxy locks."""

    def present(self) -> Iterator[Path]:
        """Every file that is there now, each once, the configuration first.

        Raises `OSError`: `PlacedByOthers` for a link in state.
        """
        yield self.configuration
        seen = {self.configuration}
        apart = real_paths(self.apart)
        for path in self.files:
            if path not in seen and path.is_file() and os.path.realpath(path) not in apart:
                seen.add(path)
                yield path
        for path in (one for state in self.states for one in state_files(state, self.apart)):
            if path.is_symlink() and path not in self.states and path not in seen:
                raise PlacedByOthers(path, "a backup follows no link in state; move there what it leads to")
            if path not in seen and path.is_file():
                seen.add(path)
                yield path


def is_passing(name: str) -> bool:
    """Whether a file or directory of state is left out of backups. A restore does not remove it."""
    return _PASSING.fullmatch(name) is not None


def real_paths(paths: Collection[Path]) -> frozenset[str]:
    return frozenset(os.path.realpath(one) for one in paths)


def state_files(state: Path, apart: Collection[Path]) -> Iterator[Path]:
    """What is in a directory of state, and in those below it, without sealing keys and PINs.

    A link to a directory is like a file. Raises `OSError`.
    """
    real = real_paths(apart)

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # renamed meanwhile: the next look tells
            raise error

    for place, directories, names in os.walk(state, onerror=refuse):
        directories[:] = sorted(one for one in directories if not is_passing(one))
        links = [one for one in directories if Path(place, one).is_symlink()]
        for path in (Path(place, name) for name in sorted(links + names) if not is_passing(name)):
            if os.path.realpath(path) not in real and not _is_sealing_key(path):
                yield path


def _is_sealing_key(path: Path) -> bool:
    """Whether it is one of `[sealing]`; one of this name is what seals without `[sealing]`."""
    with suppress(FileNotFoundError):
        return path.name != OWN_KEY_FILE and is_key_file(path)
    return False


def contents_of(loaded: LoadedConfig) -> Contents:
    """The files and directories that a configuration names, or that state is in by default.

    Raises `OSError`.
    """
    file = loaded.file
    config = loaded.config
    sealing, *others = map(absolute, directories_of(loaded))
    states = {sealing, *others}
    locked = {*states, sealing / "payload"}
    named = (
        absolute(one.path)
        for one in places_of(loaded, PathRole.READ, PathRole.OWN)
        if one.key != "sealing.key" and not _PIN.fullmatch(one.key)
    )
    log = None if config.audit.file is None else absolute(file.resolve(config.audit.file))
    growing = audit_files_of(log) if log is not None and log.parent.is_dir() else ()
    return Contents(
        configuration=absolute(file.path),
        states=tuple(one for one in sorted(states) if not any(_is_below(one, other) for other in states)),
        files=(*named, *growing),
        growing=frozenset(growing),
        left_out=tuple(_left_out(loaded)),
        apart=(*_apart(loaded), *_previous_keys(sealing, locked)),
        locks=tuple(sorted(locked)),
    )


def _is_below(path: Path, other: Path) -> bool:
    """Whether a walk through `other`, which follows no link, comes to `path`."""
    return other in path.parents and Path(os.path.realpath(path)) == Path(os.path.realpath(other)) / path.relative_to(
        other
    )


def _apart(loaded: LoadedConfig) -> Iterator[Path]:
    for one in places_of(loaded, PathRole.READ, PathRole.OWN, PathRole.CREDENTIAL):
        if one.key == "sealing.key" or _PIN.fullmatch(one.key):
            yield absolute(one.path)


def _previous_keys(sealing: Path, places: Collection[Path]) -> Iterator[Path]:
    """Sealing keys that still open what is there, named as the key of before `[sealing]`."""
    try:
        ids = sealing_key_ids((sealing / HIERARCHY).read_bytes())
    except (FileNotFoundError, NotSealed):
        return
    for path in (one / OWN_KEY_FILE for one in places):
        with suppress(KeyFileUnusable):
            if load_key(path).key_id in ids:
                yield path


def absolute(path: Path) -> Path:
    """A path as a restore writes it: from the root, without following links."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - `Path.absolute` leaves ".." as it is


def _left_out(loaded: LoadedConfig) -> Iterator[LeftOut]:
    config = loaded.config
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
