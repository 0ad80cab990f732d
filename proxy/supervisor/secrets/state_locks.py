"""The locks of the directories in which a proxy keeps its state: one proxy at a time has each.

Two proxies in one directory would each make the next key of a ring, and the last one to write would
win. What the other has sealed would never open again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from certs.hierarchy.configured import directory_of
from certs.storage.disk import RESTORING, Disk
from certs.storage.lock import StateInUse, StateLock, StateUnusable, hold, other_holder
from config.loading.loaded import LoadedConfig
from config.values.problems import ConfigError, Location, Problem, shown
from proxy.payload.keys.payload_keys import policies
from proxy.processes.channel import close_all
from proxy.supervisor.secrets.payload_store import payload_directory

_ALLOWED: Final = "a directory that no other process uses"
_TICKETS: Final = ("sealing", "directory")


class StateLocks:
    """The locks of this process, until `release`. Not for several threads at once."""

    def __init__(self) -> None:
        self._held: dict[Path, StateLock] = {}
        self._handed: list[tuple[Path, int]] = []

    def take_over(self, handed: list[tuple[Path, int]]) -> None:
        """Use these locks of the older process in an upgrade, as far as they are wanted."""
        self._handed = handed

    def take(self, loaded: LoadedConfig) -> None:
        """Take the further locks that a configuration wants. Raises `ConfigError`, also while a
        restore is not complete.
        """
        if problems := [*_restore_problems(loaded)]:
            raise ConfigError(problems)
        for place, directory in _directories(loaded):
            real = directory.resolve()
            if real not in self._held and (lock := self._taken(loaded, place, directory)) is not None:
                self._held[real] = lock

    def _taken(self, loaded: LoadedConfig, place: Location, directory: Path) -> StateLock | None:
        for index, (path, number) in enumerate(self._handed):
            if path.resolve() == directory.resolve():
                del self._handed[index]
                lock = StateLock.handed(directory, number)
                if lock is not None:
                    return lock
        try:
            return hold(directory, Disk(), loaded.file.path.resolve())
        except StateInUse as error:
            raise ConfigError([_in_use(loaded, place, error)]) from None
        except StateUnusable as error:
            if place == _TICKETS:
                return None  # nothing is written there then, which is a warning elsewhere
            raise ConfigError([loaded.file.error(place, error.found, error.allowed)]) from None

    def settle(self, loaded: LoadedConfig) -> None:
        """Keep the locks that a configuration wants, and no others. They name this process."""
        close_all([number for _, number in self._handed])
        self._handed = []
        wanted = {directory.resolve() for _, directory in _directories(loaded)}
        for gone in self._held.keys() - wanted:
            self._held.pop(gone).release()
        for lock in self._held.values():
            lock.sign(loaded.file.path.resolve())

    @property
    def held(self) -> list[tuple[Path, int]]:
        """Each directory with the descriptor of its lock, to hand over."""
        return [(path, lock.descriptor) for path, lock in self._held.items() if lock.descriptor is not None]

    def release(self) -> None:
        for lock in self._held.values():
            lock.release()
        self._held.clear()


def lock_problems(loaded: LoadedConfig) -> Iterator[Problem]:
    """An error for each directory that another process holds, unless that is the proxy which runs
    by this very configuration; and one for a restore that is not complete. Only looks.
    """
    yield from _restore_problems(loaded)
    ours = str(loaded.file.path.resolve())
    for place, directory in _directories(loaded):
        holder = other_holder(directory)
        if holder is not None and holder.configuration != ours:
            yield _in_use(loaded, place, StateInUse(directory, holder))


def _restore_problems(loaded: LoadedConfig) -> Iterator[Problem]:
    journal = loaded.file.path.parent / RESTORING
    if journal.exists():
        found = f"{shown(str(journal))}: the restore of a backup did not end, so state is missing"
        yield loaded.file.error((), found, "the end of it: run plexigate backup restore FILE again")


def _in_use(loaded: LoadedConfig, place: Location, error: StateInUse) -> Problem:
    return loaded.file.error(place, f"{shown(str(error.path))}, which is in use by {error.holder}", _ALLOWED)


def _directories(loaded: LoadedConfig) -> Iterator[tuple[Location, Path]]:
    """The directories of the state of a configuration, each once, with the key that names it."""
    config = loaded.config
    file = loaded.file
    found: list[tuple[Location, Path]] = []
    if config.rotation.state is not None:
        found.append((("rotation", "state"), file.resolve(config.rotation.state)))
    if policies(config):
        found.append((("payload", "directory"), payload_directory(file, config.payload, config.sealing)))
    if config.sealing.key is not None:
        found.append((_TICKETS, directory_of(file, config.sealing)))
    seen = set()
    for place, directory in found:
        if (real := directory.resolve()) not in seen:
            seen.add(real)
            yield place, directory
