"""How late the event loop is: the delay of a timer of a tenth of a second.

A longer stall is always measured. A shorter one is measured if it falls on the end of a period, so
the shares of the histogram are shares of the time: a client meets the same delays.
"""

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from typing import Final

from proxy.figures.histogram import Histogram

_PERIOD_SECONDS: Final = 0.1


class LoopLag:
    """Measures from `start` to `stop`."""

    def __init__(self, loop: AbstractEventLoop, clock: Callable[[], float], histogram: Histogram) -> None:
        """`clock` counts seconds, also during a turn of the loop (`time.perf_counter`)."""
        self._loop = loop
        self._clock = clock
        self._histogram = histogram
        self._due = 0.0
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        self._due = self._clock() + _PERIOD_SECONDS
        self._timer = self._loop.call_later(_PERIOD_SECONDS, self._called)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _called(self) -> None:
        # the loop rounds to milliseconds, and may call up to one millisecond early
        self._histogram.observe(max(0.0, self._clock() - self._due))
        self.start()
