"""One process at a time: an advisory lock on a file beside what it protects.

`flock` belongs to the open file, so the kernel frees it when its process ends, however it ends: a
lock is never left behind. The lock has a file of its own, because what it protects is renamed and
replaced. Between threads of one process it works as well, as each attempt opens the file again.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from certs.files.directory import open_state_file

_PAUSE_SECONDS: Final = 0.005


class StillLocked(Exception):
    """Another process kept the lock for all of the `seconds` that this one waited."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__(path, seconds)
        self.path = path
        self.seconds = seconds

    def __str__(self) -> str:
        return f'"{self.path}" is locked by another process, for {self.seconds:g} s already'


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock of a file, which is made with mode 0600 if there is none; raises
    `StillLocked` and `OSError`.
    """
    descriptor = open_state_file(path, os.O_RDWR)
    try:
        if not lock_within(descriptor, seconds):
            raise StillLocked(path, seconds)
        yield
    finally:
        os.close(descriptor)  # and with it the lock


def lock_within(descriptor: int, seconds: float) -> bool:
    """Lock an open file; False if another process has kept the lock for all of this time."""
    # polled, because a blocking flock has no deadline: a process that was stopped (SIGSTOP) would
    # stop all others
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(_PAUSE_SECONDS)
        else:
            return True
