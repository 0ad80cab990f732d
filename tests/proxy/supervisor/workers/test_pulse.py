"""The pulse of a worker: a process that does not run, seen and seen again."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from proxy.net.tasks import Tasks
from proxy.processes.messages.questions import Ping
from proxy.processes.messages.refusals import QuestionRefused
from proxy.supervisor.workers.process import WorkerProcess
from proxy.supervisor.workers.pulse import Pulse
from proxy.supervisor.workers.timeouts import WorkerTimeouts
from tests.waiting import until_seen

NEVER = 3_600.0


class Watched:
    """A worker under watch, and what is told of it."""

    def __init__(self, patience: WorkerTimeouts) -> None:
        loop = asyncio.get_running_loop()
        self.told: list[dict[str, Any]] = []
        self.changes: list[set[WorkerProcess]] = []
        self.errors: list[BaseException] = []
        self.tasks = Tasks(loop, self.errors.append)
        self.pulse = Pulse(loop, self.tasks, patience, lambda event: self.told.append(event.as_json()), self.changed)
        self.worker = WorkerProcess(loop, self.tasks, 3, None, lambda _: None)

    def changed(self) -> None:
        self.changes.append(set(self.pulse.stuck))

    async def answers(self) -> None:
        """Wait until it has answered from now on."""
        before = asyncio.get_running_loop().time()
        await until_seen(lambda: self.pulse._answered[self.worker] > before + 0.01)

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Events as they should be."""
        return [{"event": name, "slot": 3, "pid": self.worker.pid} for name in names]


@asynccontextmanager
async def watched(patience: WorkerTimeouts) -> AsyncIterator[Watched]:
    """One that has begun to answer: it says no to everything, as nothing was told to it, but it
    turns its loop."""
    watch = Watched(patience)
    try:
        with pytest.raises(QuestionRefused):
            await watch.worker.ask(Ping())
        watch.pulse.watch(watch.worker)
        yield watch
    finally:
        watch.worker.kill()
        await watch.worker.gone.wait()
        await watch.tasks.cancel_all()
    assert watch.errors == []


async def held_up() -> None:
    """Let the loop of this process stand still for a while."""
    over = asyncio.Event()

    def hold_up() -> None:
        time.sleep(1.0)
        over.set()

    asyncio.get_running_loop().call_soon(hold_up)
    await over.wait()


async def test_silence_is_told_once_and_so_is_its_end() -> None:
    async with watched(WorkerTimeouts(stuck=0.2, hopeless=NEVER, ping=0.02)) as watch:
        os.kill(watch.worker.pid, signal.SIGSTOP)
        await until_seen(lambda: watch.pulse.stuck)
        os.kill(watch.worker.pid, signal.SIGCONT)
        await until_seen(lambda: not watch.pulse.stuck)
        assert watch.told == watch.events("worker_stuck", "worker_answers")
        assert watch.changes == [{watch.worker}, set()]


async def test_silence_that_lasts_is_the_end() -> None:
    async with watched(WorkerTimeouts(stuck=0.1, hopeless=0.3, ping=0.02)) as watch:
        os.kill(watch.worker.pid, signal.SIGSTOP)
        await watch.worker.gone.wait()
        await until_seen(lambda: not watch.pulse.stuck)
        assert watch.told == watch.events("worker_stuck", "worker_hopeless")


async def test_a_worker_is_not_silent_because_its_parent_was_held_up() -> None:
    """As when a whole machine is paused: all workers were ended when it went on."""
    async with watched(WorkerTimeouts(stuck=0.2, hopeless=0.4, ping=0.0)) as watch:
        for _ in range(3):
            await held_up()
            await watch.answers()
        assert watch.told == []
        assert watch.worker.is_alive


async def test_a_parent_that_was_held_up_still_knows_who_was_silent_before() -> None:
    async with watched(WorkerTimeouts(stuck=0.2, hopeless=NEVER, ping=0.0)) as watch:
        os.kill(watch.worker.pid, signal.SIGSTOP)
        await until_seen(lambda: watch.pulse.stuck)
        before = watch.pulse._answered[watch.worker]
        await held_up()
        await until_seen(lambda: watch.pulse._answered[watch.worker] != before)  # the pause is not a silence
        assert watch.told == watch.events("worker_stuck")
        assert watch.pulse.silence(watch.worker) < 1.0


async def test_worker_that_is_told_to_go_is_left_alone() -> None:
    async with watched(WorkerTimeouts(stuck=0.05, hopeless=0.1, ping=0.0)) as watch:
        watch.worker.is_retiring = True
        await until_seen(lambda: not watch.tasks._running)
        os.kill(watch.worker.pid, signal.SIGSTOP)
        assert watch.told == []
