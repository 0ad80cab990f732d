"""Whether a program is one that root alone can change.

A parent that runs as root starts programs that an operator names. If another user could change such
a program, or put another one in its place, that user would be root.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

# As many as the kernel follows (path_resolution(7)).
_MOST_LINKS: Final = 40
# The kernel reads as much of the first line (execve(2), BINPRM_BUF_SIZE).
_FIRST_LINE_BYTES: Final = 256

ROOT_ONLY: Final = "a program that only root can change, in directories that only root can change"


class OthersCanChange(Exception):
    """Another user than root can change `place`, which is on the way to a program."""

    def __init__(self, place: Path, facts: os.stat_result) -> None:
        super().__init__(place, facts)
        self.place = place
        self._facts = facts

    def __str__(self) -> str:
        return f"{self.place}, of user {self._facts.st_uid} with mode {stat.S_IMODE(self._facts.st_mode):04o}"


def judge_program(file: Path) -> None:
    """Judge a program, the interpreter that its first line names, and all that is on the way to
    them.

    A directory such as /tmp counts as one that others can change, although its sticky bit protects
    what is there: a name that is free for a moment is anybody's.

    Raises `OthersCanChange`, and `OSError` if one of them is not there.
    """
    for one in (file, *_interpreter(file)):
        for place in _way(one):
            facts = place.lstat()
            # the mode of a link says nothing
            may_be_written = not stat.S_ISLNK(facts.st_mode) and facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if facts.st_uid != 0 or may_be_written:
                raise OthersCanChange(place, facts)


def _interpreter(file: Path) -> Iterator[Path]:
    with file.open("rb") as opened:
        line = opened.readline(_FIRST_LINE_BYTES)
    if line.startswith(b"#!") and (words := line[2:].split()):
        yield Path(os.fsdecode(words[0]))


def _way(file: Path) -> Iterator[Path]:
    """Every directory and every link on the way to a file, and the file."""
    ahead: Sequence[str] = file.parts[1:]
    here = Path("/")
    links = 0
    yield here
    while ahead:
        name, *ahead = ahead
        if name == "..":
            here = here.parent
            continue
        found = here / name
        yield found
        if not found.is_symlink():
            here = found
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(file))
        target = found.readlink()
        here = Path("/") if target.is_absolute() else here
        ahead = [*(target.parts[1:] if target.is_absolute() else target.parts), *ahead]
