"""Directories that another user may own: how this process writes there.

Theory of operation. Root writes logs, locks and keys in directories of the service, whose user may
be the attacker: a link that this user puts there must not lead root elsewhere. So a path is walked
step by step, each from the open directory of the step before. Two users are trusted: root, and the
user of this process. A link is followed if one of them made it, in a directory where others cannot
write. `/var/log` may be such a link. Every other link is an error. At the end stands an open
directory. Files are made, opened, renamed and removed by their name in it. Nothing that happens to
the path afterwards matters.

A file that is there already must be a regular one. In a directory of another user it also belongs
to that user, to root or to this process, and has one name only: a second name could be a hard link
to a file that this user may not write.

`tests/certs/files/test_openings.py` finds what writes without this module.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_ROOT: Final = 0
# As many as the kernel follows (path_resolution(7)).
_MOST_LINKS: Final = 40
_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY
_STEP: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class PlacedByOthers(OSError):
    """Another user could have put this in place: a link, or a file that is not what it seems."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(errno.EPERM, found, str(path))


@dataclass(frozen=True, slots=True)
class OpenDirectory:
    """An open directory. Use it in a `with` statement. All methods raise `OSError`."""

    path: Path
    descriptor: int
    facts: os.stat_result

    @classmethod
    def at(cls, path: Path) -> Self:
        """Open the directory of a path. Raises `OSError`: `PlacedByOthers` for others' links."""
        place = _Footing.root()
        try:
            place.walk(path.absolute().parts[1:])
            descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place.descriptor)
        except OSError as error:
            error.filename = error.filename if isinstance(error, PlacedByOthers) else str(path)
            raise
        finally:
            place.close()
        return cls(path, descriptor, os.fstat(descriptor))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def create(self, name: str) -> int:
        """Make a file with mode 0600, for the caller to close. Raises `FileExistsError`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with self._naming(name):
            return os.open(name, flags, _FILE_MODE, dir_fd=self.descriptor)

    def create_anew(self, name: str) -> int:
        """Make a file in place of one that a crash has left behind."""
        self.remove(name)
        return self.create(name)

    def make(self, name: str) -> None:
        """Make a directory with mode 0700, unless there is one."""
        with self._naming(name):
            try:
                os.mkdir(name, _DIRECTORY_MODE, dir_fd=self.descriptor)
            except FileExistsError:
                if not stat.S_ISDIR(os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mode):
                    raise
                return
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            made = os.open(name, flags, dir_fd=self.descriptor)
        try:
            self.give(made)
        finally:
            os.close(made)

    def rename(self, old: str, new: str) -> None:
        """Give a file or directory another name, in place of what has it."""
        with self._naming(old):
            os.rename(old, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def take(self, place: "OpenDirectory", old: str, new: str) -> None:
        """Move a file here from another directory of the same file system, in place of what has
        its new name.
        """
        with self._naming(new):
            os.rename(old, new, src_dir_fd=place.descriptor, dst_dir_fd=self.descriptor)

    def remove(self, name: str) -> None:
        """Remove a file or a link, if it is there."""
        with self._naming(name), suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def remove_directory(self, name: str) -> None:
        with self._naming(name):
            os.rmdir(name, dir_fd=self.descriptor)

    def sync(self) -> None:
        os.fsync(self.descriptor)

    def give(self, descriptor: int) -> None:
        """Give a file that this process has just made here to the owner of the directory.

        Only root can, and has to: the service could not open it later.
        """
        if os.geteuid() == _ROOT and self.facts.st_uid != _ROOT:
            os.fchown(descriptor, self.facts.st_uid, self.facts.st_gid)

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Let errors have the whole path."""
        try:
            yield
        except OSError as error:
            error.filename = str(self.path / name)
            raise


def make_directories(path: Path) -> None:
    """Make a directory and those above it that are missing, each for its owner alone.

    Each belongs to the owner of the one above. Raises `OSError`.
    """
    if path.is_dir():
        return
    make_directories(path.parent)
    with OpenDirectory.at(path.parent) as above:
        above.make(path.name)


def open_state_file(path: Path, flags: int) -> int:
    """Open a regular file, or make it with mode 0600 for the owner of its directory.

    The caller closes it. Raises `OSError`.
    """
    return _opened(path, flags, OpenDirectory.give, is_stream_fine=False)


def open_log(path: Path) -> int:
    """Open a file for appending, or make it with mode 0600.

    It may be a pipe that has a reader, or a device, but not in a directory of another user. The
    caller closes it. Raises `OSError`, and never waits for a reader.
    """
    return _opened(path, os.O_WRONLY | os.O_APPEND, lambda *_: None, is_stream_fine=True)


def open_to_read(path: Path) -> int:
    """Open a regular file that is there. The caller closes it. Raises `OSError`."""
    with _place_of(path) as (place, name):
        return _opened_there(place, name, os.O_RDONLY, is_stream_fine=False)


def refuse_place(path: Path, *, is_stream_fine: bool) -> None:
    """Raise `PlacedByOthers` where `open_state_file` would, or `open_log` if a stream is fine.

    Opens and makes nothing. Raises `OSError` for a way that leads nowhere.
    """
    with _place_of(path) as (place, name):
        if not place.is_of_our_descriptors:
            with suppress(FileNotFoundError):
                facts = os.stat(name, dir_fd=place.descriptor, follow_symlinks=False)
                _judge(place.here / name, facts, place, is_stream_fine=is_stream_fine)


def _opened(path: Path, flags: int, made: Callable[[OpenDirectory, int], None], *, is_stream_fine: bool) -> int:
    with _place_of(path) as (place, name):
        if place.is_of_our_descriptors:
            return os.open(f"/proc/self/fd/{name}", flags | os.O_CLOEXEC)
        return _opened_in(place, name, flags, made, is_stream_fine=is_stream_fine)


@contextmanager
def _place_of(path: Path) -> "Iterator[tuple[_Footing, str]]":
    """Where a file is, through the links that may be followed, and its name there."""
    place = _Footing.root()
    try:
        *above, name = path.absolute().parts[1:]
        place.walk(above)
        while (link := place.link(name)) is not None:
            *above, name = link
            place.walk(above)
        yield place, name
    except OSError as error:
        error.filename = error.filename if isinstance(error, PlacedByOthers) else str(path)
        raise
    finally:
        place.close()


def _opened_in(
    place: "_Footing", name: str, flags: int, made: Callable[[OpenDirectory, int], None], *, is_stream_fine: bool
) -> int:
    anew = flags | _FLAGS | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(name, anew, _FILE_MODE, dir_fd=place.descriptor)
    except FileExistsError:
        return _opened_there(place, name, flags, is_stream_fine=is_stream_fine)
    made(OpenDirectory(place.here, place.descriptor, place.facts), descriptor)
    return descriptor


def _opened_there(place: "_Footing", name: str, flags: int, *, is_stream_fine: bool) -> int:
    flags |= _FLAGS
    try:
        descriptor = os.open(name, flags | os.O_NONBLOCK, dir_fd=place.descriptor)
    except OSError as error:
        if error.errno == errno.ENXIO:  # fifo(7): an open that may wait would wait for a reader
            error.strerror = "it is a pipe that no process reads, or a socket"
        raise
    try:
        _judge(place.here / name, os.fstat(descriptor), place, is_stream_fine=is_stream_fine)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~os.O_NONBLOCK)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _judge(path: Path, file: os.stat_result, place: "_Footing", *, is_stream_fine: bool) -> None:
    is_fine = stat.S_ISREG(file.st_mode) or (is_stream_fine and place.is_ours and not stat.S_ISDIR(file.st_mode))
    if not is_fine:
        raise PlacedByOthers(path, "it is not a regular file")
    if place.is_ours:
        return
    if file.st_uid not in {_ROOT, os.geteuid(), place.facts.st_uid}:
        raise PlacedByOthers(path, f"it belongs to user {file.st_uid}, in a directory where others can write")
    if file.st_nlink > 1:
        raise PlacedByOthers(path, "it has a second name (a hard link), in a directory where others can write")


@dataclass(slots=True)
class _Footing:
    """Where a walk has come to."""

    here: Path
    descriptor: int
    links: int = 0

    @classmethod
    def root(cls) -> "_Footing":
        return cls(Path("/"), os.open("/", _STEP))

    @property
    def facts(self) -> os.stat_result:
        return os.fstat(self.descriptor)

    @property
    def is_ours(self) -> bool:
        """Whether only root and the user of this process can write here."""
        facts = self.facts
        is_open = facts.st_mode & stat.S_IWOTH or (
            facts.st_mode & stat.S_IWGRP and facts.st_gid not in {_ROOT, os.getegid()}
        )
        return facts.st_uid in {_ROOT, os.geteuid()} and not is_open

    @property
    def is_of_our_descriptors(self) -> bool:
        """Whether this is where the kernel shows the open files of this process (`/dev/stdout`)."""
        # its name first: a path costs more to make and to compare than a step of a walk
        return self.here.name == "fd" and self.here == Path(f"/proc/{os.getpid()}/fd")

    def walk(self, names: Sequence[str]) -> None:
        """Go on, through links that may be followed."""
        ahead = list(names)
        while ahead:
            name = ahead.pop(0)
            if (link := self.link(name)) is not None:
                ahead = [*link, *ahead]
                continue
            step = _STEP & ~os.O_NOFOLLOW if self.is_of_our_descriptors else _STEP
            new = os.open(name, step | os.O_DIRECTORY, dir_fd=self.descriptor)
            os.close(self.descriptor)
            self.descriptor = new
            self.here = self.here.parent if name == ".." else self.here / name

    def link(self, name: str) -> tuple[str, ...] | None:
        """The way that a link leads from here, which is then the root if the link says so. None for
        what is not a link, and for what the kernel shows as one.
        """
        if self.is_of_our_descriptors:
            return None
        if name == "self" and self.here == Path("/proc"):
            return (str(os.getpid()),)  # without root in a container, no user of ours owns /proc
        try:
            facts = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISLNK(facts.st_mode):
            return None
        path = self.here / name
        if not self.is_ours or facts.st_uid not in {_ROOT, os.geteuid()}:
            raise PlacedByOthers(path, "it is a link, in a directory where others can write")
        self.links += 1
        if self.links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = Path(os.readlink(name, dir_fd=self.descriptor))
        if target.is_absolute():
            os.close(self.descriptor)
            self.here = Path("/")
            self.descriptor = os.open("/", _STEP)
            return target.parts[1:]
        return target.parts

    def close(self) -> None:
        os.close(self.descriptor)
