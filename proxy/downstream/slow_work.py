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

    def __call__(self, result: bytes | None, error: Exception | None) -> None:
        """It gets exactly one of the two."""


class Computing(Protocol):
    """Where slow computations are done."""

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
        """As `Computing` says."""
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
