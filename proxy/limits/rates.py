"""A rate with a burst, in the form in which it is checked. Pure.

A token bucket is usually a number of tokens and the time when it was last topped up. Here it is
kept as its equivalent, the "generic cell rate algorithm": one time, at which the bucket will be
full again. Processes can share this number without a lock. A time that has passed means a full
bucket, so old entries need no clean-up.
"""

from dataclasses import dataclass
from typing import Final

UNKNOWN_SHARE: Final = 0.1
"""Of a limit of the fleet, for a node that has not heard of the other ones since its start."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One every `interval` seconds; after a silence more at once, for `tolerance` seconds."""

    interval: float
    tolerance: float

    @classmethod
    def of(cls, per_second: float, burst: int) -> "Rate":
        """`per_second` in a second, and `burst` (at least 1) at once after a silence."""
        interval = 1.0 / per_second
        return cls(interval, (burst - 1) * interval)

    def part(self, share: float) -> "Rate":
        """This part of the rate, and of the burst, of which one stays at least."""
        interval = self.interval / share
        return Rate(interval, max(0.0, (self.tolerance + self.interval) / self.interval * share - 1.0) * interval)

    def wait(self, full_at: float, now: float) -> float:
        """How long until the bucket that will be full at `full_at` has a token; 0 for now."""
        wait = full_at - now - self.tolerance
        # sums of many intervals are a little off; a nanosecond early is nothing
        return wait if wait > 1e-9 else 0.0

    def after_one(self, full_at: float, now: float) -> float:
        """When the bucket will be full once a token was taken."""
        return max(full_at, now) + self.interval


@dataclass(frozen=True, slots=True)
class FleetLimit:
    """A limit of which each node of the fleet has a share. It is `most` connections of a
    `listener`, or (None) `most` requests in a second.
    """

    name: str
    most: float
    listener: str | None = None


def rate_of_fleet(route: str) -> str:
    return f"rate of {route}"


def connections_of_fleet(listener: str) -> str:
    return f"connections of {listener}"
