"""How long to wait for a CA, and the clocks that measure it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class AcmeTimeouts:
    """All in seconds."""

    call: float = 30.0
    """For a request and its answer. CAs answer within a second, ten if they sign meanwhile."""
    validation: float = 180.0
    """For a CA to validate all names of an order from several places, and to try again."""
    issuance: float = 180.0
    """From the request for the certificate to the chain."""
    least_pause: float = 1.0
    """Between two status requests, if the CA names no time."""
    longest_pause: float = 30.0
    """Also if the CA asks for a longer pause: a certificate should be used as soon as it is valid.
    """

    def pause(self, asked_for: float | None, left: float) -> float:
        """How long to wait before the next status request; `asked_for` is the CA's Retry-After,
        `left` the remaining time.
        """
        wanted = self.least_pause if asked_for is None else max(asked_for, self.least_pause)
        return min(wanted, self.longest_pause, left)


def _utc() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a driver


@dataclass(frozen=True, slots=True)
class AcmeClocks:
    """`now` is UTC, for dates of a CA; `monotonic` gives seconds for durations; `wait` sleeps."""

    now: Callable[[], datetime] = _utc
    monotonic: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep
