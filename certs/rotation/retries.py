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
class Wait:
    """After `failures` in a row: not before `until`, in seconds of the clock that only goes forward."""

    failures: int
    until: float


def wait_after(kind: FailureKind, failures: int, retry_after: float | None, jitter: float, now: float) -> Wait:
    """The wait after one more failure; `failures` came before it in a row, `jitter` is from 0 to 1."""
    steps = TABLE[kind]
    seconds = steps[min(failures, len(steps) - 1)]
    if retry_after is not None:
        seconds = max(seconds, min(retry_after, LONGEST_RETRY_AFTER))
    return Wait(failures + 1, now + seconds * (1 + JITTER * jitter))
