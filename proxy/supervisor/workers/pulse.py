"""Finds stuck workers: each worker is asked repeatedly whether its loop still runs.

While a worker does not answer, another one accepts on its slot too. A watch waits for nothing but
the answers of its worker: what it waited for beside them would count as silence, or as a pause of
this process.
"""

import asyncio
import contextlib
from collections.abc import Callable

from proxy.net.shortage import HELD_UP_SECONDS
from proxy.net.tasks import Tasks
from proxy.observe.events.event import Tell
from proxy.observe.events.workers import WorkerAnswers, WorkerHopeless, WorkerStuck
from proxy.processes.channel import ChannelLost
from proxy.processes.messages.questions import Ping
from proxy.processes.messages.refusals import QuestionRefused
from proxy.supervisor.workers.process import WorkerProcess
from proxy.supervisor.workers.timeouts import WorkerTimeouts


class Pulse:
    """Watches workers until they end or are asked to end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        patience: WorkerTimeouts,
        tell: Tell,
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called when a worker gets stuck or answers again. It must not wait."""
        self._loop = loop
        self._tasks = tasks
        self._patience = patience
        self._tell = tell
        self._changed = changed
        self.stuck: set[WorkerProcess] = set()
        """The workers that do not answer."""
        self._answered: dict[WorkerProcess, float] = {}

    def watch(self, worker: WorkerProcess) -> None:
        self._tasks.start(self._watch(worker))

    def silence(self, worker: WorkerProcess) -> float:
        """For how many seconds a worker has not answered. 0 if the worker is not watched."""
        now = self._loop.time()
        return now - self._answered.get(worker, now)

    def is_given_up(self, worker: WorkerProcess) -> bool:
        """Whether a worker has been silent for so long that the parent stops waiting for it."""
        return self.silence(worker) >= self._patience.given_up

    async def _watch(self, worker: WorkerProcess) -> None:
        turn = self._answered[worker] = self._loop.time()
        while worker.is_alive and not worker.is_retiring:
            is_answered = False
            with contextlib.suppress(ChannelLost, TimeoutError):
                async with asyncio.timeout(self._patience.stuck):
                    with contextlib.suppress(QuestionRefused):  # a no is an answer
                        await worker.ask(Ping())
                is_answered = True
            now = self._loop.time()
            if is_answered:
                self._answered[worker] = now
            elif now - turn > self._patience.stuck + self._patience.ping + HELD_UP_SECONDS:
                # The loop of this process stood still, as when the machine was paused. This turn
                # says nothing about the worker. What the turns before it said stands.
                self._answered[worker] += now - turn
            turn = now
            self._judge(worker, self.silence(worker))
            if self.silence(worker) >= self._patience.hopeless:
                self._tell(WorkerHopeless(worker.slot, worker.pid))
                worker.kill()
                await worker.gone.wait()  # a call into a device may delay its end
            await asyncio.sleep(self._patience.ping)
        self.stuck.discard(worker)
        self._answered.pop(worker, None)

    def _judge(self, worker: WorkerProcess, silent: float) -> None:
        is_stuck = silent >= self._patience.stuck
        if is_stuck != (worker in self.stuck) and worker.is_alive:
            (self.stuck.add if is_stuck else self.stuck.discard)(worker)
            self._tell((WorkerStuck if is_stuck else WorkerAnswers)(worker.slot, worker.pid))
            self._changed()
