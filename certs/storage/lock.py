"""One process at a time changes a state directory: the running proxy, or else a command.

`flock` belongs to the open file, so the kernel frees it when its process ends, however it ends.
"""

import fcntl
import os
from pathlib import Path
from typing import Final, Self

_NAME: Final = "lock"


class StateInUse(Exception):
    """Another process holds the state directory `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} is in use by another process: the running proxy (ask it, without --offline), or another command"


class StateLock:
    """Holds a state directory until `release`, or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor` is the locked file."""
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, state: Path) -> Self:
        """Take it; the directory is there. Raises `StateInUse` or `OSError`."""
        descriptor = os.open(state / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StateInUse(state) from None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        """Let others have it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
