"""How long to wait after a failure: a literal table. Pure.

Waits count on a clock that only goes forward: however the time of day jumps, nobody is asked more often than the table says.
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
        # an hour at most: of a certificate of six days two are left when it is due, which makes fifty chances
        FailureKind.TEMPORARY: (1 * _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE, 1 * _HOUR),
        # somebody has to change something; a change of the configuration begins anew
        FailureKind.PERMANENT: (1 * _HOUR, 6 * _HOUR, 1 * _DAY),
        # Let's Encrypt's limits refill over hours; of a certificate of six days, six chances are left, where a day's wait would be slept
        # through its end
        FailureKind.RATE_LIMITED: (1 * _HOUR, 3 * _HOUR, 6 * _HOUR),
    }
)
"""Seconds at least after the first, second, ... failure in a row; the last one is kept."""

JITTER: Final = 0.2
"""The share of a wait that is added at most, at random: those who failed together do not come back together."""

LONGEST_RETRY_AFTER: Final = 1 * _DAY
"""A wish to be left alone for longer is not obeyed: it would be slept through an expiry."""


@dataclass(frozen=True, slots=True)
class _Shortening:
    """How a wait is shortened: it ends after a third of what was left when it began, so that a few tries come before the end."""

    least: float
    """Seconds that are waited all the same, however little is left."""
    ended: float
    """Seconds at most once nothing is left, or the key is compromised."""


_OURS: Final = MappingProxyType(
    {
        # five failed validations of a name an hour are what Let's Encrypt allows: four leave room for a person's
        FailureKind.TEMPORARY: _Shortening(1 * _MINUTE, 15 * _MINUTE),
        # each try may cost an order, and Let's Encrypt has five a week for the same names
        FailureKind.PERMANENT: _Shortening(1 * _MINUTE, 1 * _HOUR),
    }
)
# A CA that says when it may be asked again is right as a rule: asking sooner is for the case that it is not.
_WISHED: Final = _Shortening(10 * _MINUTE, 1 * _HOUR)


@dataclass(frozen=True, slots=True)
class Wait:
    """After `failures` in a row, the last one at `since`: not before `until`, in seconds of the clock that only goes forward.

    `is_wish`: the issuer has asked for it (Retry-After, a rate limit); otherwise it is ours, by the table.
    """

    failures: int
    since: float
    until: float
    kind: FailureKind
    is_wish: bool = False

    def end(self, expires: float | None) -> float:
        """When it is over for a credential that `expires` then, by the same clock; None: nothing serves that could expire.

        Nothing is slept through an expiry: the nearer it is, the shorter the wait. One that has expired when the wait began
        is waited for no longer than what a site can be down for the sake of politeness.
        """
        if expires is None:
            return self.until
        shortening = _WISHED if self.is_wish else _OURS[self.kind]
        if expires <= self.since:
            return min(self.until, self.since + shortening.ended)
        return min(self.until, self.since + max(shortening.least, (expires - self.since) / 3))


def wait_after(kind: FailureKind, failures: int, retry_after: float | None, jitter: float, now: float) -> Wait:
    """The wait after one more failure; `failures` came before it in a row, `jitter` is from 0 to 1."""
    steps = TABLE[kind]
    seconds = steps[min(failures, len(steps) - 1)]
    is_wish = kind is FailureKind.RATE_LIMITED
    if retry_after is not None and retry_after > seconds:
        seconds, is_wish = min(retry_after, LONGEST_RETRY_AFTER), True
    return Wait(failures + 1, now, now + seconds * (1 + JITTER * jitter), kind, is_wish)


def heeded_seconds(expires: float | None, now: float) -> float:
    """For how long, at most, an issuer's wish to be left alone is heeded for a credential that `expires` then."""
    return Wait(0, now, now + LONGEST_RETRY_AFTER, FailureKind.RATE_LIMITED, is_wish=True).end(expires) - now
