"""Replace a file atomically: a reader finds the old content or the new one, also after a crash.

The steps in their order: write a new file beside it, sync its content, rename it over the old one
(POSIX `rename` is atomic), sync the directory, because the rename itself is only in memory until
then.
"""

import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from certs.files.directory import OpenDirectory

REPLACING: Final = threading.RLock()
"""Held by who changes a file of the state, so that no other thread changes it between a look at it
and a write (`replace_state`)."""


def write_atomic(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file with this mode, which replaces the one of that name; raises `OSError`, and then
    the old one is as it was.
    """
    _write(path, content, mode, lambda *_: None)


def write_state(path: Path, content: bytes) -> None:
    """The same for a file in a state directory: it belongs to the owner of the directory, also if
    root writes it.
    """
    _write(path, content, 0o600, OpenDirectory.give)


def replace_state(path: Path, before: bytes, content: bytes) -> bool:
    """The same, if the file still has the content `before`; tells whether it was written. Raises
    `OSError`.

    Another process must not write it meanwhile.
    """
    with REPLACING:
        if not path.is_file() or path.read_bytes() != before:
            return False
        write_state(path, content)
    return True


def _write(path: Path, content: bytes, mode: int, prepare: Callable[[OpenDirectory, int], None]) -> None:
    beside = f".{path.name}.{secrets.token_hex(8)}.new"
    with REPLACING, OpenDirectory.at(path.parent) as directory:
        descriptor = directory.create(beside)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)  # independent of the umask
                prepare(directory, descriptor)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            directory.rename(beside, path.name)
        except BaseException:
            directory.remove(beside)
            raise
        directory.sync()
