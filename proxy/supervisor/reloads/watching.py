"""Automatic reloads: with `watch`, the files of the configuration are watched for changes."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

from config.loading.watching import FileWatcher
from proxy.net.tasks import Tasks
from proxy.supervisor.editions.edition import Edition

if TYPE_CHECKING:
    import asyncio


class Watching:
    """Watches the files if the served edition says so."""

    def __init__(self, tasks: Tasks, file: Path, reload: Callable[[str], Coroutine[None, None, None]]) -> None:
        """Take the present files as those that are served. `reload` is called with the cause."""
        self._tasks = tasks
        self._reload = reload
        self._watcher = FileWatcher(file, self._changed)
        self._running: asyncio.Task[None] | None = None

    def follow(self, edition: Edition) -> None:
        """Begin or stop watching, as the edition says."""
        is_wanted = edition.loaded.config.watch
        if is_wanted and self._running is None:
            self._running = self._tasks.start_to_cancel(self._watcher.run())
        elif not is_wanted and self._running is not None:
            self._running.cancel()
            self._running = None

    def settle(self) -> None:
        """Take the present files as those that a reload reads. May take long: call in a thread."""
        self._watcher.reloading()

    async def _changed(self) -> None:
        # in a task of its own: a reload may end the watching, and must not be cancelled with it
        self._tasks.start(self._reload("a change of a file"))
