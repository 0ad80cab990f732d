"""The clocks of the rotation, and chance: what its pure parts are given."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from certs.rotation.planning import Instant


@dataclass(frozen=True, slots=True)
class Clocks:
    """The time of day in UTC, the clock that only goes forward in seconds, and chance from 0 to 1."""

    wall: Callable[[], datetime]
    ticks: Callable[[], float]
    jitter: Callable[[], float]

    def now(self) -> Instant:
        """This moment."""
        return Instant(self.wall(), self.ticks())
