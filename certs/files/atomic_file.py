"""Replace a file atomically: a reader finds the old content or the new one, also after a crash.

The steps in their order: write a new file beside it, sync its content, rename it over the old one
(POSIX `rename` is atomic), sync the directory, because the rename itself is only in memory until
then.
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from certs.files.owner import give_to_owner


def write_atomic(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file with this mode, which replaces the one of that name; raises `OSError`, and then
    the old one is as it was.
    """
    _write(path, content, mode, lambda _: None)


def write_state(path: Path, content: bytes) -> None:
    """The same for a file in a state directory: it belongs to the owner of the directory, also if
    root writes it.
    """
    _write(path, content, 0o600, lambda descriptor: give_to_owner(descriptor, path.parent))


def _write(path: Path, content: bytes, mode: int, prepare: Callable[[int], None]) -> None:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # independent of the umask
            prepare(descriptor)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Have the names in a directory on disk; raises `OSError`."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
