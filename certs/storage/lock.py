"""A lock on a state directory: one process at a time changes it, the running proxy or a command.

`flock` belongs to the open file, so the kernel frees it when its process ends, however it ends. Who
holds the lock has written its process id and its configuration into the file, for people.
"""

import fcntl
import os
import pwd
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from certs.files.directory import open_state_file
from certs.files.file_lock import lock_within
from certs.storage.disk import Disk

_NAME: Final = "lock"
_PATIENCE_SECONDS: Final = 0.5
# A process id, and a path (PATH_MAX).
_LONGEST_NOTE: Final = 4_200


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who holds a lock, by its own word. `configuration` is that of a proxy."""

    pid: int | None = None
    configuration: str | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return "another process"
        try:
            program = Path(f"/proc/{self.pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return f"process {self.pid} (of another container or user)"
        by = "" if self.configuration is None else f", with the configuration {self.configuration}"
        return f"process {self.pid} ({program}{by})"


class StateInUse(Exception):
    """Another process, the `holder`, holds the state directory `path`."""

    def __init__(self, path: Path, holder: LockHolder) -> None:
        super().__init__(path, holder)
        self.path = path
        self.holder = holder

    def __str__(self) -> str:
        return (
            f"{self.path} is in use by {self.holder}: the running proxy (then leave out --offline), or another command"
        )


class StateUnusable(OSError):
    """The state directory `path`, or something in it, cannot be used: what was `found` there, and
    what is `allowed`.

    A directory that was copied or restored belongs to who did that; one that was led elsewhere by a
    link may lead nowhere.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(error.errno, error.strerror)
        self.path = path
        self.found, self.allowed = _diagnosis(path, error)

    def __str__(self) -> str:
        return f"{self.found}; allowed: {self.allowed}"


def hold(state: Path, disk: Disk, configuration: Path | None = None) -> "StateLock":
    """Make a state directory if it is not there, and take it; a proxy says its configuration.

    Raises `StateInUse` or `StateUnusable`.
    """
    try:
        disk.make_directory(state)
        return StateLock.acquire(state, configuration)
    except OSError as error:
        raise StateUnusable(state, error) from None


def other_holder(state: Path) -> LockHolder | None:
    """The process that holds a state directory now, or None. Changes nothing.

    None also if this process may not read the lock.
    """
    try:
        descriptor = os.open(state / _NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        # shared: two checks at once do not take each other for a proxy
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor)
    finally:
        os.close(descriptor)
    return None


def _holder(descriptor: int) -> LockHolder:
    written = os.pread(descriptor, _LONGEST_NOTE, 0).decode(errors="replace").splitlines()
    if len(written) < 2 or not re.fullmatch("[0-9]{1,9}", written[0], re.ASCII):
        return LockHolder()  # an older version, or one that could not write it
    configuration = "".join(one if one.isprintable() else "?" for one in written[1])
    return LockHolder(int(written[0]), configuration or None)


def _diagnosis(path: Path, error: OSError) -> tuple[str, str]:
    # of `os.path`, which raises no error for a name that is too long
    if os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114
        return f"{path}, a link to {path.readlink()}, which does not exist", "a directory, or a link to one"
    if os.path.exists(path) and not path.is_dir():  # noqa: PTH110
        return f"{path}, which is not a directory", "a directory that no other process uses"
    ours = os.geteuid()
    for one in _way(path, error) if isinstance(error, PermissionError) else ():
        if (owner := _owner(one)) not in (None, ours):
            found = f"{one}, which belongs to user {_named(owner)}, while this process is {_named(ours)}"
            return (
                found,
                f"chown -R {ours} {path} (a copy belongs to who made it), or a start as the user to whom it belongs",
            )
    where = f"{error.filename}: " if error.filename else f"{path}: "
    return f"{where}{error.strerror}", "a directory that no other process uses"


def _way(path: Path, error: OSError) -> Iterator[Path]:
    """From the state directory down to what could not be opened."""
    yield path
    below = Path(error.filename or path)
    if below.is_relative_to(path):
        for part in below.relative_to(path).parts:
            path = path / part
            yield path


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _named(user: int | None) -> str:
    assert user is not None  # the caller has one
    try:
        return f"{pwd.getpwuid(user).pw_name} ({user})"
    except KeyError:
        return str(user)


class StateLock:
    """Holds a state directory until `release`, or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, state: Path, configuration: Path | None = None) -> Self:
        """Take it; the directory is there. Raises `StateInUse` or `OSError`.

        Waits for a moment: a check tries the lock, and a process that ends has it to its last.
        """
        descriptor = open_state_file(state / _NAME, os.O_RDWR)
        try:
            _take(descriptor, state)
            lock = cls(descriptor)
            lock.sign(configuration)
        except BaseException:
            os.close(descriptor)
            raise
        return lock

    @classmethod
    def handed(cls, state: Path, descriptor: int) -> Self | None:
        """A lock that another process has handed over as an open file. None if it is the lock of
        another directory; then the descriptor is closed.
        """
        with suppress(OSError):
            named = (state / _NAME).stat()
            opened = os.fstat(descriptor)
            if (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino):
                os.set_inheritable(descriptor, False)  # noqa: FBT003 - the call has no other form
                return cls(descriptor)
        os.close(descriptor)
        return None

    def sign(self, configuration: Path | None) -> None:
        """Write into the lock which process has it. It is held also if that cannot be written."""
        if self._descriptor is not None:
            note = f"{os.getpid()}\n{configuration or ''}\n".encode(errors="surrogateescape")
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, note[:_LONGEST_NOTE], 0)

    @property
    def descriptor(self) -> int | None:
        """The locked file. Each process with a copy of it holds the lock."""
        return self._descriptor

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _take(descriptor: int, state: Path) -> None:
    if not lock_within(descriptor, _PATIENCE_SECONDS):
        raise StateInUse(state, _holder(descriptor))
