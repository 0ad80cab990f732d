"""The clocks and the random numbers that the pure parts of the rotation are given."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from certs.rotation.planning import Instant


@dataclass(frozen=True, slots=True)
class Clocks:
    """The time of day in UTC, a monotonic clock, and random numbers from 0 to 1."""

    wall: Callable[[], datetime]
    ticks: Callable[[], float]
    jitter: Callable[[], float]

    def now(self) -> Instant:
        return Instant(self.wall(), self.ticks())


CLOCKS: Final = Clocks(
    lambda: datetime.now(UTC),  # noqa: TID251 - a driver
    # continues while the machine sleeps: certificates expire meanwhile
    lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    random.SystemRandom().random,
)
