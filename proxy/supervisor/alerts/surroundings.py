"""What is around the proxy: directories that it writes to, backups, and the clock."""

import asyncio
import errno
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from proxy.net.in_thread import in_thread
from proxy.observe.scrape import BackupFacts
from proxy.supervisor.alerts.settings import AlertSettings, ExpectedBackups

# Enough for a page: a full disk may still have room for a name.
_PROBE: Final = bytes(4_096)
# A time service that moves the clock slowly stays below that within a look.
_JUMP_SECONDS: Final = 10.0
_HELD_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 60.0
_SILENT: Final = "it does not answer"
DISK_SECONDS: Final = 5.0
"""How long a disk is waited for: a network file system that is unavailable blocks for ever."""


class WatchedDisk:
    """What the latest look at the disk has found; there is one each minute at most."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._looked_at = float("-inf")
        self.unwritable: Mapping[str, str] = {}
        """Why directories cannot be written, by path."""
        self.backup: BackupFacts | None = None
        """The newest one, where `backup.directory` is set."""

    async def look(self, settings: AlertSettings) -> None:
        if self._loop.time() - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = self._loop.time()
        try:
            async with asyncio.timeout(DISK_SECONDS):
                self.unwritable = await in_thread(self._loop, lambda: unwritable(settings.directories))
        except TimeoutError:
            self.unwritable = dict.fromkeys(map(str, settings.directories), _SILENT)
        self.backup = None if settings.backups is None else await self._newest(settings.backups)

    async def _newest(self, expected: ExpectedBackups) -> BackupFacts:
        try:
            async with asyncio.timeout(DISK_SECONDS):
                return await in_thread(self._loop, lambda: backup_facts(expected))
        except TimeoutError:
            return BackupFacts(str(expected.directory), None, expected.alert_after, _SILENT)


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


def backup_facts(expected: ExpectedBackups) -> BackupFacts:
    """The newest backup of the configuration on this machine. Blocks."""
    from certs.backup.kept import BackupOwner, newest_in  # here: most parents expect no backups

    found = BackupFacts(str(expected.directory), None, expected.alert_after)
    try:
        newest = newest_in(expected.directory, BackupOwner(platform.node(), expected.configuration))
    except OSError as error:
        return replace(found, fault=error.strerror)
    return found if newest is None else replace(found, newest_at=newest.made_at.timestamp())


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
