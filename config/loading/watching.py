"""Notice that a configuration, or a file that it names, has changed.

Files are looked at repeatedly, instead of asking the kernel to tell (inotify): that sees
changes on every file system, network ones and bind mounts of containers among them, and through the
symbolic links that Kubernetes swaps. Only the facts of each file are compared (`stat`), never its
content.

A change counts when two looks in a row see the same: a file that is still being written, or has
vanished for now between two renames, is given an interval to settle. Each state is acted
upon once at most: a file that stays broken is reported once, not every two seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.loading.files import files_of
from config.loading.loader import survey
from config.loading.reading import FileUnanswered, answer

INTERVAL_SECONDS: Final = 2.0
"""Seconds between two looks: soon for an operator; 1,000 `stat` calls take milliseconds."""

Stamp = tuple[int, ...] | None
"""What tells two states of a file apart; None if there is no file that may be looked at."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The state of several files; two are equal when nothing has changed."""

    stamps: tuple[tuple[Path, Stamp], ...]

    @classmethod
    def of(cls, files: Iterable[Path]) -> "Signature":
        """Check the files, through symbolic links."""
        return cls(tuple((file, _stamp(file)) for file in files))


def _stamp(file: Path) -> Stamp:
    try:
        facts = file.stat()
    except OSError:
        return None
    # The time of the last change of the inode also shows a new owner or mode, and a program that
    # copies a file cannot set it back together with its times.
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


class Watch:
    """Decides when what is seen is a reason to reload. Pure."""

    def __init__(self, loaded: Signature) -> None:
        """Begin with the state that was read at the start."""
        self._acted_upon = loaded
        self._last_seen = loaded

    def observe(self, seen: Signature) -> bool:
        """Take what a look has seen; answer whether to reload now."""
        has_settled = seen == self._last_seen
        self._last_seen = seen
        if not has_settled or seen == self._acted_upon:
            return False
        self._acted_upon = seen
        return True

    def settle(self, seen: Signature) -> None:
        """Take a state that a reload reads anyway: it is not a reason for one more."""
        self._acted_upon = seen


class FileWatcher:
    """Looks at a configuration and the files that it names, and says when they have changed."""

    def __init__(
        self,
        file: Path,
        changed: Callable[[], Awaitable[object]],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Take the present state as what is loaded: make the watcher before the configuration is
        read.

        `changed` is awaited at each change; a look is taken only after it has ended.
        """
        self._file: Final = file
        self._changed: Final = changed
        self._sleep: Final = sleep
        self._named: tuple[Path, ...] = ()
        self._named_by: Stamp = None
        self._watch: Final = Watch(self.look())

    def look(self) -> Signature:
        """The state of the files now.

        Which files are named is read again when the configuration file changes, whether or not the
        running processes could take it over: a certificate that was missing at the last attempt is
        waited for. Of a file that cannot be read at all, the files that it named before.
        """
        stamp = _stamp(self._file)
        if stamp is not None and stamp != self._named_by:
            loaded = survey(self._file).loaded
            if loaded is not None:
                self._named = tuple(named.path for named in files_of(loaded) if not named.is_directory)
            self._named_by = stamp
        return Signature.of((self._file, *self._named))

    def reloading(self) -> None:
        """Note that a reload begins that a command or signal requested.

        Leaves a file that does not answer to the reload, which names it.
        """
        with suppress(FileUnanswered):
            self._watch.settle(answer(self.look, self._file))

    async def run(self) -> None:
        """Watch until cancelled, in a thread: a file system that hangs must not delay the loop."""
        while True:
            await self._sleep(INTERVAL_SECONDS)
            if self._watch.observe(await asyncio.to_thread(self.look)):
                await self._changed()
