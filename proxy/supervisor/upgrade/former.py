"""The workers that an older process has left: they finish their connections by themselves."""

import asyncio
import os
from collections.abc import Sequence


class FormerWorkers:
    """Watches them, to show them in the status until they have ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: dict[int, int] = {}

    @property
    def pids(self) -> tuple[int, ...]:
        """Those that have not ended yet."""
        return tuple(self._watched)

    def watch(self, pids: Sequence[int]) -> None:
        for pid in pids:
            try:
                watch = os.pidfd_open(pid)
            except OSError:
                continue  # it has ended
            self._watched[pid] = watch
            self._loop.add_reader(watch, self._ended, pid)

    def close(self) -> None:
        """Watch no more."""
        for pid in self.pids:
            self._ended(pid)

    def _ended(self, pid: int) -> None:
        watch = self._watched.pop(pid)
        self._loop.remove_reader(watch)
        os.close(watch)
