"""How long to wait after a failure: a literal table. Pure.

Waits count on a monotonic clock: a jump of the time of day does not make requests more frequent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from certs.issuing.issuer import FailureKind

_MINUTE: Final = 60.0
_HOUR: Final = 3_600.0
_DAY: Final = 86_400.0

TABLE: Final[Mapping[FailureKind, tuple[float, ...]]] = MappingProxyType(
    {
        # an hour at most: a six-day certificate is due two days before its end, which gives fifty
        # tries
        FailureKind.TEMPORARY: (1 * _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE, 1 * _HOUR),
        # an operator has to change something; a change of the configuration resets the wait
        FailureKind.PERMANENT: (1 * _HOUR, 6 * _HOUR, 1 * _DAY),
        # Let's Encrypt's limits refill over hours; a six-day certificate has six more tries, while
        # a wait of a day could outlast it
        FailureKind.RATE_LIMITED: (1 * _HOUR, 3 * _HOUR, 6 * _HOUR),
    }
)
"""Seconds at least after the first, second, ... failure in a row; the last one is kept."""

JITTER: Final = 0.2
"""The largest share of a wait that is added at random, to spread attempts that failed."""

LONGEST_RETRY_AFTER: Final = 1 * _DAY
"""The longest wait that an issuer can request; a longer one could outlast the certificate."""


@dataclass(frozen=True, slots=True)
class _Shortening:
    """How an expiry shortens a wait: to a third of the time left at its beginning, so that several
    tries remain.
    """

    least: float
    """The shortest wait in seconds, even if less time is left."""
    ended: float
    """The longest wait in seconds after the expiry, or if the key is compromised."""


_OURS: Final = MappingProxyType(
    {
        # five failed validations of a name an hour are what Let's Encrypt allows: four leave room
        # for an operator's
        FailureKind.TEMPORARY: _Shortening(1 * _MINUTE, 15 * _MINUTE),
        # each try may cost an order, and Let's Encrypt has five a week for the same names
        FailureKind.PERMANENT: _Shortening(1 * _MINUTE, 1 * _HOUR),
    }
)
# A time that a CA names is usually right; asking sooner covers the case that it is not.
_WISHED: Final = _Shortening(10 * _MINUTE, 1 * _HOUR)


@dataclass(frozen=True, slots=True)
class Wait:
    """After `failures` in a row, the last one at `since`: wait until `until`, in seconds of the
    monotonic clock.

    `is_wish`: the issuer requested it (Retry-After, a rate limit); otherwise it comes from the
    table.
    """

    failures: int
    since: float
    until: float
    kind: FailureKind
    is_wish: bool = False

    def end(self, expires: float | None) -> float:
        """The end of the wait for a credential that `expires` then, on the same clock (None: no
        credential serves).

        The nearer the expiry, the shorter the wait. If the credential had expired when the wait
        began, the site is down, and the wait is at most `ended`.
        """
        if expires is None:
            return self.until
        shortening = _WISHED if self.is_wish else _OURS[self.kind]
        if expires <= self.since:
            return min(self.until, self.since + shortening.ended)
        return min(self.until, self.since + max(shortening.least, (expires - self.since) / 3))


def wait_after(kind: FailureKind, failures: int, retry_after: float | None, jitter: float, now: float) -> Wait:
    """The wait after one more than `failures` in a row; `jitter` is from 0 to 1."""
    steps = TABLE[kind]
    seconds = steps[min(failures, len(steps) - 1)]
    is_wish = kind is FailureKind.RATE_LIMITED
    if retry_after is not None and retry_after > seconds:
        seconds = min(retry_after, LONGEST_RETRY_AFTER)
        is_wish = True
    return Wait(failures + 1, now, now + seconds * (1 + JITTER * jitter), kind, is_wish)


def heeded_seconds(expires: float | None, now: float) -> float:
    """The longest wait that an issuer may request for a credential that `expires` then."""
    return Wait(0, now, now + LONGEST_RETRY_AFTER, FailureKind.RATE_LIMITED, is_wish=True).end(expires) - now
