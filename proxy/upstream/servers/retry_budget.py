"""How many requests may be retried: a share of all, so that a failing upstream gets no flood. Pure.

A request without a retry costs nothing here. When a retry is asked for, the budget counts what the
requests since the last retry have earned.
"""

from typing import Final

# What it saves up for a restart of a server, as seconds of the guaranteed rate.
_SAVED_SECONDS: Final = 10.0


class RetryBudget:
    def __init__(self, percent: float, per_second: float, now: float) -> None:
        """It earns `percent` of all requests, plus `per_second` at any load. It starts full."""
        self._per_request = percent / 100.0
        self._per_second = per_second
        # at least one: else a share of few requests could never add up to a retry
        self._most = max(per_second * _SAVED_SECONDS, 1.0)
        self._balance = self._most if percent or per_second else 0.0
        self._requests = 0
        self._now = now

    def take(self, requests: int, now: float) -> bool:
        """Whether one more may be retried; `requests` is the number of all requests so far."""
        earned = (requests - self._requests) * self._per_request + (now - self._now) * self._per_second
        self._requests = requests
        self._now = now
        self._balance = min(self._balance + earned, self._most)
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True
