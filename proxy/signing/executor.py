"""The threads in which one token signs, and the queue before them.

Theory of operation. A signature blocks its thread for as long as the token likes, and nothing can
stop it: a token that hangs keeps the thread. So the threads are daemons and are never joined. There
is one for each session that this process may have at the token. The event loop gets the results. A
thread whose job is past its deadline counts as lost until it comes back. It is not replaced,
because its session is not free either.

A job that cannot be done in time is refused at once, so that its client learns it now and not when
its time is over.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, Generic, Protocol, TypeVar

from proxy.limits.fair_queue import FairQueue, NoRoom, QueueLimits

Result = TypeVar("Result")

# With 5 ms a signature this is a third of a second of work. A slower token refuses jobs long
# before, by their deadlines.
_WAITING_PER_THREAD: Final = 64
# A network may have half of it: it is rare that a small office is all the load.
_PART_OF_ONE_NETWORK: Final = 2


class JobRefusal(Enum):
    """Why a job is not taken."""

    QUEUE_FULL = auto()
    NETWORK_SHARE = auto()
    TOO_LATE = auto()
    """Its turn would come after its deadline."""
    NO_THREAD = auto()
    """All threads are lost, or have been sent home."""


class Loop(Protocol):
    """The part of an event loop that is needed here."""

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> object: ...


class GivenUp(Exception):
    """The job's turn did not come: its token is not asked any more, or not within the deadline."""


class CrowdedOut(GivenUp):
    """The queue is full, and this client has the most in it: it gave way to one that has less."""


class Job(Generic[Result]):
    """Something for a thread to do; `settled` is called once on the loop, unless cancelled."""

    def __init__(
        self,
        work: Callable[[], Result],
        settled: Callable[["Job[Result]", Result | BaseException], None],
        network: bytes,
        deadline: float,
        submitted: float,
    ) -> None:
        self.work = work
        self.settled = settled
        self.network = network
        self.deadline = deadline
        self.submitted = submitted
        self.started: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether a thread has begun."""
        return self.started is not None


@dataclass(frozen=True, slots=True)
class ExecutorFigures:
    """What the threads of a token are doing."""

    threads: int
    queued: int
    running: int
    """Lost ones not included."""
    lost: int
    most_running: int
    """At one time, so far: as many sessions are open."""


class SigningExecutor:
    """The threads of one token in this process."""

    def __init__(self, name: str, threads: int, loop: Loop, clock: Callable[[], float]) -> None:
        """Start them. `clock` is that of all deadlines here, and may be asked from any thread."""
        self._loop = loop
        self._clock = clock
        self._lock = threading.Lock()
        self._threads = threads
        waiting = threads * _WAITING_PER_THREAD
        self._queue: FairQueue[Job[Any]] = FairQueue(QueueLimits(waiting, waiting // _PART_OF_ONE_NETWORK))
        self._running: set[Job[Any]] = set()
        self._most_running = 0
        self._is_closed = False
        # the last one is the next to work; while there is one, the queue is empty
        self._idle = [_Idleness() for _ in range(threads)]
        for number, idleness in enumerate(self._idle):
            thread = threading.Thread(target=self._serve, args=(idleness,), name=f"sign-{name}-{number}", daemon=True)
            thread.start()

    # -- from the loop

    def submit(self, job: Job[Any], typical_seconds: float) -> JobRefusal | None:
        """Have `job` done; None if it was taken. `typical_seconds` is what such a job takes.

        The other side's answer comes from the loop, never from inside this call.
        """
        with self._lock:
            now = self._clock()
            if self._idle:
                if now + typical_seconds > job.deadline:
                    return JobRefusal.TOO_LATE
                self._hand_over(job, now)
                return None
            return self._queued(job, typical_seconds, now)

    def submit_urgent(self, job: Job[Any]) -> JobRefusal | None:
        """The same for a job of the proxy itself: it goes before all others, and no limit or
        deadline refuses it.
        """
        with self._lock:
            now = self._clock()
            if self._idle:
                self._hand_over(job, now)
            elif self._able(now) > 0:
                self._queue.push_urgent(job)
            else:
                return JobRefusal.NO_THREAD
        return None

    def _hand_over(self, job: Job[Any], now: float) -> None:
        idleness = self._idle.pop()
        self._begin(job, now)
        idleness.end(job)

    def _begin(self, job: Job[Any], now: float) -> None:
        job.started = now
        self._running.add(job)
        self._most_running = max(self._most_running, len(self._running))

    def _queued(self, job: Job[Any], typical_seconds: float, now: float) -> JobRefusal | None:
        able = self._able(now)
        if able <= 0:
            return JobRefusal.NO_THREAD
        ahead = self._queue.ahead_of(job.network) + able
        if now + self._expected_seconds(now, ahead, able, typical_seconds) > job.deadline:
            return JobRefusal.TOO_LATE
        match self._queue.push_fairly(job.network, job, self._crowd_out):
            case NoRoom.FULL:
                return JobRefusal.QUEUE_FULL
            case NoRoom.SHARE:
                return JobRefusal.NETWORK_SHARE
            case None:
                return None

    def _crowd_out(self, job: Job[Any]) -> None:
        self._loop.call_soon_threadsafe(job.settled, job, CrowdedOut())

    def _expected_seconds(self, now: float, ahead: int, able: int, typical_seconds: float) -> float:
        # where even the latest one has been at it for longer, this is what signatures take now
        ages = [now - job.started for job in self._running if job.started is not None and job.deadline > now]
        latest = min(ages, default=0.0)
        return max(typical_seconds, latest) * (1 + ahead // able)

    def cancel(self, job: Job[Any]) -> bool:
        """Take a job out of the queue; whether it was still in it.

        A job that runs continues, and its result is told as always.
        """
        with self._lock:
            return self._queue.remove(job.network, job)

    def give_up_waiting(self) -> None:
        """Tell all who wait that their turn will not come (`GivenUp`)."""
        with self._lock:
            jobs = self._queue.clear()
        for job in jobs:
            self._loop.call_soon_threadsafe(job.settled, job, GivenUp())

    @property
    def has_idle_thread(self) -> bool:
        with self._lock:
            return bool(self._idle)

    def figures(self) -> ExecutorFigures:
        """What the threads are doing now."""
        with self._lock:
            lost = self._lost(self._clock())
            return ExecutorFigures(
                self._threads, self._queue.waiting, len(self._running) - lost, lost, self._most_running
            )

    def close(self) -> None:
        """Take nothing more; threads end when they have nothing left to do."""
        with self._lock:
            self._is_closed = True
            while self._idle:
                self._idle.pop().end(None)
        self.give_up_waiting()

    def _able(self, now: float) -> int:
        return 0 if self._is_closed else self._threads - self._lost(now)

    def _lost(self, now: float) -> int:
        return sum(1 for job in self._running if job.deadline <= now)

    # -- in the threads

    def _serve(self, idleness: "_Idleness") -> None:
        _do_not_preempt()
        job = idleness.wait()
        while job is not None:
            try:
                if self._clock() >= job.deadline:
                    raise GivenUp  # noqa: TRY301 - told as an error of the work is
                result = job.work()
            except BaseException as error:  # noqa: BLE001 - told to the waiting side
                result = error
            following = self._finished(job, idleness)
            self._tell(job, result)
            del job, result  # nothing is kept alive by a thread that waits
            job = following or idleness.wait()
            del following

    def _finished(self, job: Job[Any], idleness: "_Idleness") -> Job[Any] | None:
        """Note that a job is done; return the next one, if one waits."""
        with self._lock:
            self._running.discard(job)
            following = self._queue.pop()
            if following is not None:
                self._begin(following, self._clock())
            elif self._is_closed:
                idleness.end(None)
            else:
                self._idle.append(idleness)
            return following

    def _tell(self, job: Job[Any], result: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: no handshake waits any more
            self._loop.call_soon_threadsafe(job.settled, job, result)


def _do_not_preempt() -> None:
    """Have this thread wait for the processor when it wakes up (SCHED_BATCH in sched(7)).

    Otherwise it would push another thread off it. That one is mostly the loop, which has just
    handed over a job and holds the interpreter, so this thread could only wait for it. The two
    changes of thread are a twentieth of the processor's time for a handshake.
    """
    with contextlib.suppress(OSError):  # forbidden, by a filter of system calls say: it only costs time
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class _Idleness:
    """Holds a thread until it gets a job; None means that there will be no more."""

    def __init__(self) -> None:
        # the cheapest thing that a thread can wait for: a lock that the other side releases
        self._is_over = threading.Lock()
        self._is_over.acquire()
        self._job: Job[Any] | None = None

    def wait(self) -> Job[Any] | None:
        """Wait in the thread."""
        self._is_over.acquire()
        job, self._job = self._job, None
        return job

    def end(self, job: Job[Any] | None) -> None:
        """Have the thread continue."""
        self._job = job
        self._is_over.release()
