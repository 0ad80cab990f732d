"""Files that commands write for a person: what is there already is not replaced, unless the person says so.

A file that has the very content, or a former state of the same thing, may be written anew, so that a command can be repeated. What is no
regular file (a terminal, a pipe) is written to.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from certs.files.atomic_file import write_atomic

_SECRET_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
"""Of what others are to read."""


class AlreadyThere(Exception):
    """There is a file with something else in it."""

    def __init__(self, path: Path) -> None:
        """Remember which one."""
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        """One sentence."""
        return f'"{self.path}" is there already, with something else in it; --force replaces it, or name another file'


def write_for_person(
    path: Path,
    content: bytes,
    *,
    replaces: bool,
    is_former: Callable[[bytes], bool] = lambda _: False,
    mode: int = _SECRET_MODE,
) -> None:
    """Write a file that only its owner reads, but for another `mode`; one with other content only if it `replaces` that, or `is_former` says that it may.

    Raises `AlreadyThere` or `OSError`; nothing is changed then.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    if not replaces and path.exists():
        there = path.read_bytes()
        if there != content and not is_former(there):
            raise AlreadyThere(path)
    write_atomic(path, content, mode)
