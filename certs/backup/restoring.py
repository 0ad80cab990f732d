"""A backup is restored: as a whole, or not at all.

Theory of operation. All of it is read and verified before anything is written. Then each file is
written into a directory beside its place (`STAGING`, mode 0700). When all are on the disk, a
journal says so. From then on nothing but renames is left, and who finds the journal makes the rest
of them, without the backup's key, if nothing has come into their places meanwhile. The
configuration file is removed first and comes last, because a proxy without one does not start.
Without a journal, or to replace what is there, a restore discards what it finds there.
"""

import grp
import hashlib
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
from certs.backup.contents import is_passing, state_files
from certs.backup.index import Index, IndexedFile, KnownDirectory
from certs.backup.keys import signer_id
from certs.backup.opened import OpenBackup
from certs.files.atomic_file import write_atomic
from certs.files.directory import OpenDirectory
from certs.files.file_lock import lock_within
from certs.storage.disk import RESTORING, STAGING
from certs.storage.lock import LockHolder, StateInUse, StateLock

_JOURNAL: Final = Path(RESTORING).name
_ROOT: Final = 0
_CHUNK: Final = 1_048_576
_PATIENCE_SECONDS: Final = 0.5
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


class Incomplete(Exception):
    """A file is not as the backup has it, after all were put in place."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} is not as in the backup, so the restore is not complete; begin it again with --replace"


class OtherUnfinished(Exception):
    """The restore of another backup was interrupted when it had begun to put files in place."""

    def __init__(self, journal: Path) -> None:
        super().__init__(journal)
        self.journal = journal

    def __str__(self) -> str:
        return f"the restore of another backup did not end ({self.journal}): restore that backup again, or begin again with --replace"


@dataclass(frozen=True, slots=True)
class RestoreJournal:
    """A restore of this backup, whose files are all beside their places."""

    backup: str
    index: Index

    def encode(self) -> bytes:
        return self.backup.encode() + b"\n" + self.index.encode()

    @classmethod
    def parse(cls, content: bytes) -> "RestoreJournal":
        backup, _, index = content.partition(b"\n")
        return cls(backup.decode(), Index.parse(index))


class Restoration:
    """A restore of one backup to its places. `step` is called before each change of the disk,
    `told` with the size of each file.

    Methods raise `OSError`.
    """

    def __init__(
        self, backup: OpenBackup, told: Callable[[int], None], step: Callable[[str], None] = lambda _: None
    ) -> None:
        self._backup = backup
        # with its signer: another manifest for the same content could name other places
        self._id = f"{signer_id(backup.manifest.signer)} {backup.manifest.written.body_digest}"
        self._configuration = Path(backup.manifest.configuration)
        self._states = [Path(one) for one in backup.manifest.states]
        self._apart = [Path(one) for one in backup.manifest.apart]
        self._told = told
        self._step = step
        self._staging = self._configuration.parent / STAGING

    def run(self, secret: Callable[[], bytes], announce: Callable[[Index], None], *, replaces: bool) -> None:
        """Restore it, or complete an earlier restore, which does not need the `secret`. Before the
        first change, `announce` hears what there is to write.

        Raises `Occupied` and `OtherUnfinished`, unless it `replaces` what is there; `StateInUse`,
        while a proxy runs; and what `secret` raises: then nothing was changed. Raises `Incomplete`.
        """
        journal = None if replaces else self._unfinished()
        opened = b"" if journal is not None else secret()
        index = self._index(opened) if journal is None else journal.index
        announce(index)
        if not replaces:
            self._is_wanted(index)  # before the first change
        with self._alone():
            if not replaces and not self._is_wanted(index):
                return
            journal = journal or self._stage(index, opened)
            self._place(journal, replaces=replaces)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep proxies and other restores away. Raises `StateInUse`."""
        with ExitStack() as stack:
            for state in {Path(os.path.realpath(one)) for one in self._backup.manifest.locks}:
                if state.is_dir():
                    stack.enter_context(StateLock.acquire(state))
            self._make(self._configuration.parent)
            directory = stack.enter_context(OpenDirectory.at(self._configuration.parent))
            if not lock_within(directory.descriptor, _PATIENCE_SECONDS):
                raise StateInUse(directory.path, LockHolder())
            yield

    def _unfinished(self) -> RestoreJournal | None:
        """The journal of an earlier restore of this backup. Raises `OtherUnfinished`."""
        path = self._staging / _JOURNAL
        try:
            journal = RestoreJournal.parse(path.read_bytes())
        except FileNotFoundError:
            return None
        if journal.backup != self._id:
            raise OtherUnfinished(path)
        return journal

    def _index(self, secret: bytes) -> Index:
        """What is in the backup, after all of it was opened. Raises `BackupDamaged`."""
        found: dict[str, tuple[int, str]] = {}

        def note(member: str, file: IO[bytes]) -> None:
            found[member] = copied(file, lambda _: None)
            self._told(found[member][0])

        index = unpacked(self._backup.reader.content(secret), note)
        require_all(index, found)
        return index

    def _is_wanted(self, index: Index) -> bool:
        """Whether anything is missing. Raises `Occupied`.

        The same content is there after a restore that was interrupted at its end.
        """
        wanted = {Path(one.path): one for one in index.files}
        there = {path for state in self._states for path in self._state_files(state)}
        there |= {path for path in wanted if os.path.lexists(path)}
        others = [path for path in sorted(there) if path not in wanted or not _begins_as(path, wanted[path])]
        # only the audit log grows, and it has the restore itself when all else is there
        longer = [path for path in sorted(there - {*others}) if path.stat().st_size > wanted[path].size]
        is_all = there == wanted.keys()
        if others or (longer and not is_all):
            raise Occupied(others + longer)
        return not is_all or (self._staging.exists() and not longer)

    def _state_files(self, state: Path) -> Iterator[Path]:
        return (path for path in state_files(state, self._apart) if path not in self._states)

    def _stage(self, index: Index, secret: bytes) -> RestoreJournal:
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

    def _place(self, journal: RestoreJournal, *, replaces: bool) -> None:
        """Put all files in their places. A second call completes one that was interrupted."""
        files = journal.index.files
        numbers = {one.path: str(number) for number, one in enumerate(files)}
        if replaces:
            self._clear()
        by_place = sorted(files, key=lambda one: Path(one.path).parent)
        self._put([one for one in by_place if Path(one.path) != self._configuration], numbers)
        os.sync()
        self._put([one for one in files if Path(one.path) == self._configuration], numbers)
        for root in {self._root_of(one.path) for one in files} - {self._configuration.parent}:
            self._discard(root / STAGING)
        os.sync()
        self._discard(self._staging)

    def _put(self, files: list[IndexedFile], numbers: dict[str, str]) -> None:
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
        for one in files:
            if not os.path.lexists(one.path) or os.lstat(one.path).st_size != one.size:
                raise Incomplete(Path(one.path))

    def _clear(self) -> None:
        """Remove the configuration, and then the state that is there."""
        with OpenDirectory.at(self._configuration.parent) as directory:
            self._step(f"remove {self._configuration}")
            directory.remove(self._configuration.name)
            directory.sync()
        for state in self._states:
            for path in [*self._state_files(state)]:
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
        write_atomic(self._staging / _JOURNAL, journal.encode())

    def _root_of(self, path: str) -> Path:
        """The directory in whose `STAGING` a file waits: of the same file system as its place."""
        for place in (*reversed(self._states), self._configuration.parent):  # the innermost first
            if path.startswith(f"{place}/"):
                return place
        return Path(path).parent


def _begins_as(path: Path, wanted: IndexedFile) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size < wanted.size:
        return False
    digest = hashlib.sha384()
    with path.open("rb") as file:
        left = wanted.size
        while left and (content := file.read(min(left, _CHUNK))):
            digest.update(content)
            left -= len(content)
    return digest.hexdigest() == wanted.sha384


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
