"""The only module that changes files of the state directory: changes are durable, and each step has
a name.

Theory of operation. A file is written beside its place, synced, and renamed into it (POSIX `rename`
is atomic). Then the directory is synced, because a new name is only in memory until then. A
directory is filled under a name that means "not yet", and renamed when it is complete. Before each
system call that changes something, `step` is called with the name of the step. In production it
does nothing; in tests it kills the process or cuts the power. So every write is a crash point, and
a test refuses writes of `certs.storage` and of the internal CA that bypass this module.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

Step = Callable[[str], None]

NEW: Final = ".new"
"""Ends the name of a file that is not in its place yet: left behind, it is rubbish."""

_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700


def _unobserved(_name: str) -> None:
    pass


class Disk:
    """Changes files. All methods raise `OSError`, and then the file that was there is as it was."""

    def __init__(self, step: Step = _unobserved) -> None:
        """`step` is called before each system call that changes something."""
        self._step = step

    def make_directory(self, path: Path) -> None:
        """Make a directory, mode 0700, and those above it, unless they are there."""
        if path.is_dir():
            return
        self.make_directory(path.parent)
        self._step(f"make {path.name}")
        path.mkdir(_DIRECTORY_MODE, exist_ok=True)
        self._sync_directory(path.parent)

    def write(self, path: Path, content: bytes) -> None:
        """Write a file with mode 0600 in one step, over the one of that name if there is one."""
        beside = path.with_name(f"{path.name}{NEW}")
        self._step(f"create {beside.name}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, _FILE_MODE)
        try:
            # in two parts, so that the crash between them is one that can be tried
            for part in (content[: len(content) // 2], content[len(content) // 2 :]):
                self._step(f"write to {beside.name}")
                _write_all(descriptor, part)
            self._step(f"sync {beside.name}")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.rename(beside, path)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or directory another name in the same directory."""
        self._step(f"rename {old.name} to {new.name}")
        old.rename(new)
        self._sync_directory(new.parent)

    def remove(self, path: Path) -> None:
        """Remove a file if it is there."""
        self._step(f"remove {path.name}")
        path.unlink(missing_ok=True)
        self._sync_directory(path.parent)

    def remove_directory(self, path: Path) -> None:
        """Remove a directory of files, which are gone first; does nothing where there is none."""
        if not path.is_dir():
            return
        for file in sorted(path.iterdir()):
            self.remove(file)
        self._step(f"remove {path.name}")
        path.rmdir()
        self._sync_directory(path.parent)

    def _sync_directory(self, path: Path) -> None:
        self._step(f"sync {path.name}/")
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
