"""Owner of the tasks that belong to single connections, or run for as long as the process.

A TaskGroup would cancel all of them when one fails. Here an unexpected error of one task is
reported, and the others continue.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Report = Callable[[BaseException], None]


class Tasks:
    """Keeps tasks alive, reports their unexpected errors, and cancels what is left at the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, report: Report) -> None:
        """`report` gets every exception that a task did not handle itself."""
        self._loop = loop
        self._report = report
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Run `work` until it ends, or until `cancel_all`."""
        _ = self.start_to_cancel(work)

    def start_to_cancel(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """The same; the caller may cancel the task earlier."""
        task = self._loop.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def keep_running(self, work: Callable[[], Coroutine[None, None, None]], pause_seconds: float) -> None:
        """Run `work` until it ends, or until `cancel_all`: after an unexpected error once more,
        after a pause.
        """
        self.start(self._kept(work, pause_seconds))

    async def _kept(self, work: Callable[[], Coroutine[None, None, None]], pause_seconds: float) -> None:
        while True:
            try:
                return await work()
            except Exception as error:  # noqa: BLE001 - reported, and the next attempt may succeed
                self._report(error)
            await asyncio.sleep(pause_seconds)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._report(error)

    async def cancel_all(self) -> None:
        """Cancel what still runs and wait until it is gone."""
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


def report_callbacks(loop: asyncio.AbstractEventLoop, report: Report) -> None:
    """Let `report` get the unexpected errors of callbacks, which no task has."""

    def failed(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        report(context.get("exception") or RuntimeError(context.get("message", "")))

    loop.set_exception_handler(failed)
