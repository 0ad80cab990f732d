"""Passive ejection: a server that fails requests is left out for a while, longer each time. Pure.

The record of one server counts what it did. Its owner ends an ejection when the time is over.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

# 2 ** 30 times the shortest time is beyond any longest one.
_MOST_DOUBLINGS: Final = 30


@dataclass(frozen=True, slots=True)
class EjectionPolicy:
    """When, and for how long; seconds."""

    connect_failures: int
    """In a row: the server is not there."""
    errors: int
    """Within `errors_within`: it is there, and does not do its work."""
    errors_seconds: float
    base_seconds: float
    max_seconds: float


class EjectionRecord:
    """What one server did lately.

    Each call that reports a fault returns how many seconds the server is ejected; 0 for not at all.
    """

    def __init__(self, policy: EjectionPolicy) -> None:
        self.policy = policy
        self.is_ejected = False
        self.count = 0
        """How many times it was ejected."""
        self._failures = 0
        self._errors: deque[float] = deque()
        self._times = 0
        self._until = -math.inf

    @property
    def is_unreachable(self) -> bool:
        """Whether connecting failed lately, often enough to leave the server out."""
        return self._failures >= self.policy.connect_failures

    def connected(self) -> None:
        self._failures = 0

    def connect_failed(self, now: float) -> float:
        self._failures += 1
        return self._eject(now) if self._failures >= self.policy.connect_failures else 0.0

    def answered_badly(self, now: float) -> float:
        """A response of class 5xx, or none."""
        errors = self._errors
        errors.append(now)
        while errors[0] < now - self.policy.errors_seconds:
            errors.popleft()
        return self._eject(now) if len(errors) >= self.policy.errors else 0.0

    def _eject(self, now: float) -> float:
        self._errors.clear()
        if self.is_ejected:  # what was in progress, or sent there because too many are ejected
            return 0.0
        if now - self._until > self.policy.max_seconds:
            self._times = 0  # it was good for long enough
        seconds = min(self.policy.base_seconds * 2.0**self._times, self.policy.max_seconds)
        self._times = min(self._times + 1, _MOST_DOUBLINGS)
        self._until = now + seconds
        self.count += 1
        self.is_ejected = True
        return seconds

    def end(self) -> None:
        """The time is over. The next failure to connect ejects the server again at once."""
        self.is_ejected = False
        self._errors.clear()
        self._failures = self.policy.connect_failures - 1


def may_leave_out(ejected: int, of: int, most_percent: int) -> bool:
    """The panic rule: whether that many of the servers may be left out.

    If not, all are used: some answers are better than none.
    """
    return ejected < of and ejected * 100 <= of * most_percent
