"""How late the loop is: a timer of a tenth of a second, and how long after its time it is called.

A stall of more than that is always seen, a shorter one when it falls on the end of a period, so the shares of the histogram are
those of the time, as a client would meet them.
"""

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from typing import Final

from proxy.figures.histogram import Histogram

_PERIOD_SECONDS: Final = 0.1


class LoopLag:
    """Measures from `start` to `stop`."""

    def __init__(self, loop: AbstractEventLoop, clock: Callable[[], float], histogram: Histogram) -> None:
        """`clock` is one that goes on during a turn of the loop, in seconds (`time.perf_counter`)."""
        self._loop = loop
        self._clock = clock
        self._histogram = histogram
        self._due = 0.0
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """Measure from now on."""
        self._due = self._clock() + _PERIOD_SECONDS
        self._timer = self._loop.call_later(_PERIOD_SECONDS, self._called)

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _called(self) -> None:
        # the loop counts whole milliseconds and may call a part of one early
        self._histogram.observe(max(0.0, self._clock() - self._due))
        self.start()
