"""Files that commands write for an operator. An existing file is only replaced if the person says
so.

A file with the same content, or with a previous state of it, may be written again, so that a
command can be repeated. A path that is not a regular file (a terminal, a pipe) is written to.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from certs.files.atomic_file import write_atomic

_SECRET_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
"""For files that other users may read."""


class AlreadyThere(Exception):
    """The file exists and has other content."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f'"{self.path}" exists and has other content; use --force to replace it, or name another file'


def write_for_person(
    path: Path,
    content: bytes,
    *,
    replaces: bool,
    is_former: Callable[[bytes], bool] = lambda _: False,
    mode: int = _SECRET_MODE,
) -> None:
    """Write a file with this `mode`; by default only its owner can read it.

    A file with other content is replaced if `replaces` is true, or if `is_former` says that the
    content is a previous state. Raises `AlreadyThere` or `OSError`, and changes nothing then.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    if not replaces and path.exists():
        there = path.read_bytes()
        if there != content and not is_former(there):
            raise AlreadyThere(path)
    write_atomic(path, content, mode)
