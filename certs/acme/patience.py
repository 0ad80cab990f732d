"""How long a CA is waited for, and the clocks that this is measured by."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class AcmeTimeouts:
    """All in seconds."""

    call: float = 30.0
    """For one request and its answer. CAs answer within a second; one that signs at once within ten."""
    validation: float = 180.0
    """For a CA to look at all names of an order from several places, and to try again."""
    issuance: float = 180.0
    """From the request for the certificate to the chain."""
    least_pause: float = 1.0
    """Between two questions how something stands, where the CA names no time of its own."""
    longest_pause: float = 30.0
    """Also where the CA would rather have been asked later: what is valid meanwhile should be used."""

    def pause(self, asked_for: float | None, left: float) -> float:
        """How long to wait before the next question; `asked_for` is the CA's Retry-After, `left` what there is of the time in all."""
        wanted = self.least_pause if asked_for is None else max(asked_for, self.least_pause)
        return min(wanted, self.longest_pause, left)


def _utc() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a driver


@dataclass(frozen=True, slots=True)
class AcmeClocks:
    """`now` is UTC, for what others write down; `monotonic` seconds for everything that lasts; `wait` lets some pass."""

    now: Callable[[], datetime] = _utc
    monotonic: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep
