"""Times of equal length, with one timer of the loop for all of them.

A timer for each closing connection costs 4 µs: uvloop makes an object and a handle for each, and
frees both in a later turn. Here those that began first are over first, so one timer is enough.
"""

from asyncio import AbstractEventLoop, TimerHandle
from typing import Final, Protocol


class Limited(Protocol):
    """A stream that has to be closed in time."""

    def time_over(self) -> None: ...


class TimeLimit:
    """The same number of seconds for each stream."""

    def __init__(self, loop: AbstractEventLoop, seconds: float) -> None:
        self._loop: Final = loop
        self._seconds: Final = seconds
        self._limited: Final[dict[Limited, float]] = {}
        """The end of each time, the next one first."""
        self._timer: TimerHandle | None = None

    def begin(self, one: Limited) -> None:
        """Begin the time of a stream that has none."""
        self._limited[one] = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def forget(self, one: Limited) -> None:
        """Its time matters no more.

        The timer stays: to cancel it and begin another takes longer than to look in vain.
        """
        del self._limited[one]

    def _look(self) -> None:
        now = self._loop.time()
        try:
            while self._limited:
                one, end = next(iter(self._limited.items()))
                if end > now:
                    break
                del self._limited[one]
                one.time_over()
        finally:  # one that fails does not stop the others
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._limited:
                left = next(iter(self._limited.values())) - now
                self._timer = self._loop.call_later(max(0.0, left), self._look)
