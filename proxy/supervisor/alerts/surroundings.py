"""What is around the proxy: directories that it must be able to write to, and the clock."""

import errno
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

# Enough for a page: a full disk may still have room for a name.
_PROBE: Final = bytes(4_096)
# A time service that moves the clock slowly stays below that within a look.
_JUMP_SECONDS: Final = 10.0
_HELD_SECONDS: Final = 600.0


def unwritable(directories: Sequence[Path]) -> dict[str, str]:
    """Why directories cannot be written, by path. A directory that is not there yet is left out.

    Blocks. Writes a file without a name, which the kernel removes (open(2), `O_TMPFILE`): neither
    a crash nor another reader of the directory can come upon it.
    """
    found = {}
    for one in directories:
        if one.is_dir() and (fault := _fault(one)) is not None:
            found[str(one)] = fault
    return found


def _fault(directory: Path) -> str | None:
    try:
        descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except IsADirectoryError:
        return None  # a file system without such files
    except OSError as error:
        return None if error.errno == errno.EOPNOTSUPP else error.strerror
    try:
        os.write(descriptor, _PROBE)
        os.fsync(descriptor)
    except OSError as error:
        return error.strerror
    finally:
        os.close(descriptor)
    return None


class ClockWatch:
    """Compares the clock of the day with a steady one, which continues while the machine sleeps."""

    def __init__(
        self,
        wall: Callable[[], float],
        steady: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        """`wall` gives UNIX seconds."""
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._jump: float | None = None
        self._jumped_at = 0.0

    def jump(self) -> float | None:
        """By how many seconds the clock was set within the last ten minutes, or None."""
        steady = self._steady()
        offset = self._wall() - steady
        moved, self._offset = offset - self._offset, offset
        if abs(moved) >= _JUMP_SECONDS:
            self._jump = moved
            self._jumped_at = steady
        elif steady - self._jumped_at >= _HELD_SECONDS:
            self._jump = None
        return self._jump
