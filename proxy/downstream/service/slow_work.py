"""Computations that would block an event loop for too long. Clients take turns.

A thread does one after the other. They have to release the interpreter's lock, as libraries do
that are called through ctypes, so that the loop continues.
"""

import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.limits.fair_queue import FairQueue, NoRoom, QueueLimits
from proxy.net.in_thread import tell_loop

# At 51 to 70 ms each (HQC-256, the slowest there is) the last one waits for a second or a little
# more.
_LIMITS: Final = QueueLimits(all=20, per_network=4)


class WorkCrowdedOut(Exception):
    """Too many computations wait, and this client has the most: it gives way to one with fewer."""


class WorkOutcome(Protocol):
    """Told the result of a computation, on the loop."""

    def __call__(self, result: bytes | None, error: Exception | None) -> None: ...


class Computing(Protocol):
    def begin(
        self, network: bytes, is_wanted: Callable[[], bool], compute: Callable[[], bytes], outcome: WorkOutcome
    ) -> NoRoom | None:
        """Compute when it is this network's turn. None means that it was queued.

        A computation that is not wanted any more is skipped. If too many wait, the network with the
        most gives way to one that has fewer: its newest computation ends with `WorkCrowdedOut`.
        """


@dataclass(frozen=True, slots=True)
class _Job:
    is_wanted: Callable[[], bool]
    compute: Callable[[], bytes]
    outcome: WorkOutcome


class SlowWork:
    """The thread of one loop, begun with the first computation."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        """The thread starts with the first computation."""
        self._loop = loop
        self._queue: FairQueue[_Job] = FairQueue(_LIMITS)
        self._changed = threading.Condition()
        self._runner: threading.Thread | None = None

    def begin(
        self, network: bytes, is_wanted: Callable[[], bool], compute: Callable[[], bytes], outcome: WorkOutcome
    ) -> NoRoom | None:
        with self._changed:
            room = self._queue.push_fairly(network, _Job(is_wanted, compute, outcome), self._crowd_out)
            if room is not None:
                return room
            if self._runner is None:
                # a daemon: it does not keep a process from ending
                self._runner = threading.Thread(target=self._run, name="slow work", daemon=True)
                self._runner.start()
            self._changed.notify()
        return None

    def _crowd_out(self, job: _Job) -> None:
        self._loop.call_soon(job.outcome, None, WorkCrowdedOut())

    def _run(self) -> None:
        while True:
            with self._changed:
                while (job := self._queue.pop()) is None:
                    self._changed.wait()
            if job.is_wanted():
                self._compute(job)

    def _compute(self, job: _Job) -> None:
        result: bytes | None = None
        fault: Exception | None = None
        try:
            result = job.compute()
        except Exception as error:  # noqa: BLE001 - handed to the caller
            fault = error
        tell_loop(self._loop, job.outcome, result, fault)


class SharedWork:
    """Computations that several requests wait for at the same time: each is done once."""

    def __init__(self, work: Computing) -> None:
        self._work: Final = work
        self._waiting: dict[bytes, list[WorkOutcome]] = {}

    def join(self, key: bytes, outcome: WorkOutcome) -> bool:
        """Wait for the computation with this key, if it is in flight. Returns whether it is."""
        waiting = self._waiting.get(key)
        if waiting is None:
            return False
        waiting.append(outcome)
        return True

    def begin(self, key: bytes, network: bytes, compute: Callable[[], bytes], outcome: WorkOutcome) -> NoRoom | None:
        """Compute when it is this network's turn. None means that it was queued.

        It is computed even if its client leaves, because others may wait for it too.
        """

        def done(result: bytes | None, error: Exception | None) -> None:
            for one in self._waiting.pop(key):
                one(result, error)

        room = self._work.begin(network, lambda: True, compute, done)
        if room is None:
            self._waiting[key] = [outcome]
        return room
