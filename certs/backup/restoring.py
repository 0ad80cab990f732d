"""A backup is restored: as a whole, or not at all.

Theory of operation. All of it is read and verified before anything is written. Then each file is
written into a directory beside its place (`STAGING`, mode 0700). When all are on the disk, a
journal says so. From then on nothing but renames is left, and who finds the journal makes the rest
of them, without the backup's key. The configuration file is removed first and comes last, because a
proxy without one does not start. Without a journal, the next restore discards what it finds there.
"""

import grp
import json
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import IO, Final

from certs.backup.archive import copied, require_all, unpacked
from certs.backup.contents import STAGING, is_passing, state_files
from certs.backup.index import Index, IndexedFile, KnownDirectory
from certs.backup.opened import OpenBackup
from certs.files.atomic_file import write_atomic
from certs.files.directory import OpenDirectory
from certs.storage.lock import StateLock

_JOURNAL: Final = "journal.json"
_ROOT: Final = 0
_SHOWN: Final = 5


class Occupied(Exception):
    """There is state, or a configuration, that the restore would replace."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__(paths)
        self.paths = paths

    def __str__(self) -> str:
        more = f" and {len(self.paths) - _SHOWN} more" if len(self.paths) > _SHOWN else ""
        shown = ", ".join(map(str, self.paths[:_SHOWN]))
        return f"there are files in the place of those of the backup: {shown}{more}; move them away, or replace them for good (--replace)"


class OtherUnfinished(Exception):
    """The restore of another backup was interrupted when it had begun to put files in place."""

    def __init__(self, journal: Path) -> None:
        super().__init__(journal)
        self.journal = journal

    def __str__(self) -> str:
        return f"the restore of another backup did not end ({self.journal}): restore that backup again, or begin again with --replace"


@dataclass(frozen=True, slots=True)
class RestoreJournal:
    """A restore whose files are all beside their places. `is_cleared`: what was there is gone."""

    backup: str
    index: Index
    is_cleared: bool = False

    def encode(self) -> bytes:
        return json.dumps({"backup": self.backup, "is_cleared": self.is_cleared}).encode() + b"\n" + self.index.encode()

    @classmethod
    def parse(cls, content: bytes) -> "RestoreJournal":
        head, _, index = content.partition(b"\n")
        return cls(index=Index.parse(index), **json.loads(head))


class Restoration:
    """A restore of one backup to its places. `step` is called before each change of the disk,
    `told` with the size of each file.

    Methods raise `OSError`.
    """

    def __init__(
        self, backup: OpenBackup, told: Callable[[int], None], step: Callable[[str], None] = lambda _: None
    ) -> None:
        self._backup = backup
        self._id = backup.manifest.written.body_digest
        self._configuration = Path(backup.manifest.configuration)
        self._states = [Path(one) for one in backup.manifest.states]
        self._told = told
        self._step = step
        self.staging: Final = self._configuration.parent / STAGING
        """Where the journal is, and room for what only the restore needs."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of the state directory. Raises `StateInUse`, while a proxy runs."""
        with ExitStack() as stack:
            if self._backup.manifest.lock is not None:
                state = Path(self._backup.manifest.lock)
                self._make(state)
                stack.enter_context(StateLock.acquire(state))
            self._make(self.staging)
            yield

    def unfinished(self, *, replaces: bool) -> RestoreJournal | None:
        """The journal of an earlier restore of this backup, which `place` completes.

        Raises `OtherUnfinished`, if that is not to be replaced.
        """
        path = self.staging / _JOURNAL
        try:
            journal = RestoreJournal.parse(path.read_bytes())
        except FileNotFoundError:
            return None
        if journal.backup == self._id:
            return journal
        if not replaces:
            raise OtherUnfinished(path)
        return None

    def index(self, secret: bytes) -> Index:
        """What is in the backup, after all of it was opened. Raises `BackupDamaged`."""
        found: dict[str, tuple[int, str]] = {}

        def note(member: str, file: IO[bytes]) -> None:
            found[member] = copied(file, lambda _: None)
            self._told(found[member][0])

        index = unpacked(self._backup.reader.content(secret), note)
        require_all(index, found)
        return index

    def require_free(self, index: Index) -> None:
        wanted = {Path(one.path): one for one in index.files}
        there = {path for state in self._states for path in state_files(state)}
        there |= {path for path in wanted if os.path.lexists(path)}
        # the same content is there after a restore that was interrupted at its very end
        others = [path for path in sorted(there) if path not in wanted or not _has_content(path, wanted[path])]
        if others:
            raise Occupied(others)

    def stage(self, index: Index, secret: bytes) -> RestoreJournal:
        """Write all files beside their places. Raises `BackupDamaged`."""
        for root in {self._root_of(one.path) for one in index.files}:
            self._make(root)
            self._discard(root / STAGING)
            self._make(root / STAGING)
        wanted = {one.member: (number, one) for number, one in enumerate(index.files)}
        with ExitStack() as stack:
            opened: dict[Path, OpenDirectory] = {}

            def write(member: str, file: IO[bytes]) -> None:
                if member not in wanted:
                    return  # read once more later
                number, one = wanted[member]
                root = self._root_of(one.path)
                if root not in opened:
                    opened[root] = stack.enter_context(OpenDirectory.at(root / STAGING))
                self._step(f"write {one.path}")
                with os.fdopen(opened[root].create_anew(str(number)), "wb") as out:
                    found = copied(file, out.write)
                    os.fchmod(out.fileno(), one.mode)
                    _own(out.fileno(), one)
                require_all(Index((one,)), {member: found})
                self._told(one.size)

            unpacked(self._backup.reader.content(secret), write)
        os.sync()  # once for all: a sync for each of 40,000 files would take minutes
        journal = RestoreJournal(self._id, index)
        self._write(journal)
        return journal

    def place(self, journal: RestoreJournal) -> None:
        """Put all files in their places. A second call completes one that was interrupted."""
        files = journal.index.files
        numbers = {one.path: str(number) for number, one in enumerate(files)}
        if not journal.is_cleared:
            self._clear()
            self._write(RestoreJournal(journal.backup, journal.index, is_cleared=True))
        by_place = sorted(files, key=lambda one: Path(one.path).parent)
        self._place([one for one in by_place if Path(one.path) != self._configuration], numbers)
        os.sync()
        self._place([one for one in files if Path(one.path) == self._configuration], numbers)
        for root in {self._root_of(one.path) for one in files} - {self._configuration.parent}:
            self._discard(root / STAGING)
        os.sync()
        self._discard(self.staging)

    def _place(self, files: list[IndexedFile], numbers: dict[str, str]) -> None:
        with ExitStack() as stack:
            waiting: dict[Path, OpenDirectory] = {}
            for parent, group in groupby(files, key=lambda one: Path(one.path).parent):
                root = self._root_of(f"{parent}/")
                if root not in waiting:
                    if not (root / STAGING).is_dir():
                        continue  # an earlier call was here
                    waiting[root] = stack.enter_context(OpenDirectory.at(root / STAGING))
                self._make(parent)
                with OpenDirectory.at(parent) as directory:
                    for one in group:
                        self._step(f"place {one.path}")
                        with suppress(FileNotFoundError):  # it is there, by an earlier call
                            directory.take(waiting[root], numbers[one.path], Path(one.path).name)

    def _clear(self) -> None:
        """Remove the configuration, and then the state that is there."""
        with OpenDirectory.at(self._configuration.parent) as directory:
            self._step(f"remove {self._configuration}")
            directory.remove(self._configuration.name)
            directory.sync()
        for state in self._states:
            for path in [*state_files(state)]:
                with OpenDirectory.at(path.parent) as directory:
                    self._step(f"remove {path}")
                    directory.remove(path.name)
            for place, directories, _ in os.walk(state, topdown=False):
                with OpenDirectory.at(Path(place)) as above:
                    for name in directories:
                        if not is_passing(name):
                            with suppress(OSError):  # a directory with something in it that stays
                                above.remove_directory(name)

    def _discard(self, staging: Path) -> None:
        if not staging.is_dir():
            return
        with OpenDirectory.at(staging) as directory:
            # the journal first: without it, the others are rubbish
            for name in sorted((one.name for one in staging.iterdir()), key=lambda name: name != _JOURNAL):
                self._step(f"remove {name}")
                directory.remove(name)
        with OpenDirectory.at(staging.parent) as above:
            self._step(f"remove {STAGING}")
            above.remove_directory(STAGING)

    def _make(self, path: Path) -> None:
        """Make a directory that is missing, and those above it, as they were."""
        if path.is_dir():
            return
        self._make(path.parent)
        known = next((one for one in self._backup.manifest.directories if one.path == str(path)), None)
        beside = f".{path.name}.new"
        with OpenDirectory.at(path.parent) as above:
            self._step(f"make {path}")
            above.make(beside)
            if known is not None:
                with OpenDirectory.at(path.parent / beside) as made:
                    os.fchmod(made.descriptor, known.mode)
                    _own(made.descriptor, known)
            self._step(f"name {path}")
            above.rename(beside, path.name)

    def _write(self, journal: RestoreJournal) -> None:
        self._step("write the journal")
        write_atomic(self.staging / _JOURNAL, journal.encode())

    def _root_of(self, path: str) -> Path:
        """The directory in whose `STAGING` a file waits: of the same file system as its place."""
        for place in (*self._states, self._configuration.parent):
            if path.startswith(f"{place}/"):
                return place
        return Path(path).parent


def _has_content(path: Path, wanted: IndexedFile) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != wanted.size:
        return False
    with path.open("rb") as file:
        return copied(file, lambda _: None)[1] == wanted.sha384


def _own(descriptor: int, wanted: IndexedFile | KnownDirectory) -> None:
    """Give it to the user and group of these names, if there are such here. Only root can."""
    if os.geteuid() == _ROOT:
        os.fchown(descriptor, _number_of_user(wanted.user), _number_of_group(wanted.group))


@cache
def _number_of_user(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return -1  # as it is


@cache
def _number_of_group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return -1


__all__ = ["Occupied", "OtherUnfinished", "Restoration", "RestoreJournal"]
