"""Deadlines of many connections, checked together.

A timer per connection that is cancelled and set again for every request costs more than parsing it.
Here a connection only assigns a number to its `deadline`. A sweep checks all of them four times a
second, in slices, so that fifty thousand connections do not block the loop.
"""

import math
from asyncio import AbstractEventLoop, TimerHandle
from typing import Final, Protocol

NEVER: Final = math.inf
# A quarter of a second late is harmless, and an idle proxy wakes up only four times a second.
SWEEP_SECONDS: Final = 0.25
# To check one takes about 0.1 µs: a slice blocks the loop for a fifth of a millisecond.
_SLICE: Final = 2_000


class Watched(Protocol):
    """Something with a deadline in loop time (`loop.time()`), `NEVER` when none is running."""

    deadline: float

    def deadline_passed(self, now: float) -> None:
        """The deadline has passed. Called again at the next sweep unless `deadline` was moved."""


class Deadlines:
    """Sweeps over everything that is watched."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: set[Watched] = set()
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """Sweep from now on, until `stop`."""
        self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def watch(self, watched: Watched) -> None:
        """Check it from the next sweep on."""
        self._watched.add(watched)

    def forget(self, watched: Watched) -> None:
        """Check it no more."""
        self._watched.discard(watched)

    def _sweep(self) -> None:
        self._sweep_slice(list(self._watched))

    def _sweep_slice(self, rest: list[Watched]) -> None:
        now = self._loop.time()
        for watched in rest[:_SLICE]:
            if watched.deadline <= now:
                # a callback of its own: one that fails must not stop the others, or later sweeps
                self._loop.call_soon(self._pass, watched, now)
        del rest[:_SLICE]
        if rest:
            self._timer = self._loop.call_later(0, self._sweep_slice, rest)
        else:
            self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _pass(self, watched: Watched, now: float) -> None:
        if watched.deadline <= now and watched in self._watched:
            watched.deadline_passed(now)
