"""Files that keep their reader waiting, as those on a dead network share do."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def silence(path: Path) -> Iterator[None]:
    """Nobody can open a file meanwhile: this process has a lease on it, and does not give it back (F_SETLEASE)."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # by which the kernel asks for it
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, before)
