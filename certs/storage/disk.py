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

from certs.files.atomic_file import REPLACING
from certs.files.directory import OpenDirectory

STAGING: Final = ".plexigate-restore"
"""The directory of a restore of a backup that has not ended, beside what it will replace."""
RESTORING: Final = f"{STAGING}/journal.json"
"""Beside the configuration, while the files of a restore are put in their places."""

Step = Callable[[str], None]

NEW: Final = ".new"
"""Ends the name of a file that is not in its place yet: left behind, it is rubbish."""


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
        with OpenDirectory.at(path.parent) as above:
            self._step(f"make {path.name}")
            above.make(path.name)
            self._sync(above)

    def write(self, path: Path, content: bytes) -> None:
        """Write a file with mode 0600 in one step, over the one of that name if there is one."""
        beside = f"{path.name}{NEW}"
        with REPLACING, OpenDirectory.at(path.parent) as directory:
            self._step(f"create {beside}")
            descriptor = directory.create_anew(beside)
            try:
                directory.give(descriptor)
                # in two parts, so that the crash between them is one that can be tried
                for part in (content[: len(content) // 2], content[len(content) // 2 :]):
                    self._step(f"write to {beside}")
                    _write_all(descriptor, part)
                self._step(f"sync {beside}")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._rename(directory, beside, path.name)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or directory another name in the same directory."""
        with OpenDirectory.at(new.parent) as directory:
            self._rename(directory, old.name, new.name)

    def remove(self, path: Path) -> None:
        """Remove a file if it is there."""
        with REPLACING, OpenDirectory.at(path.parent) as directory:
            self._step(f"remove {path.name}")
            directory.remove(path.name)
            self._sync(directory)

    def remove_directory(self, path: Path) -> None:
        """Remove a directory of files, which are gone first; does nothing where there is none."""
        if not path.is_dir():
            return
        with REPLACING:
            for file in sorted(path.iterdir()):
                self.remove(file)
            with OpenDirectory.at(path.parent) as directory:
                self._step(f"remove {path.name}")
                directory.remove_directory(path.name)
                self._sync(directory)

    def _rename(self, directory: OpenDirectory, old: str, new: str) -> None:
        self._step(f"rename {old} to {new}")
        directory.rename(old, new)
        self._sync(directory)

    def _sync(self, directory: OpenDirectory) -> None:
        self._step(f"sync {directory.path.name}/")
        directory.sync()


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
