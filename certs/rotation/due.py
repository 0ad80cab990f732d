"""When a credential is due to be replaced, and why. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from certs.issuing.issuer import RenewalWindow


class RenewalReason(StrEnum):
    """Why a credential is replaced."""

    FIRST = "no certificate yet"
    UNUSABLE = "the stored one cannot be used"
    LOST = "the token has lost its key"
    COMPROMISED = "its key is compromised"
    FLEET = "the fleet has another one"
    EXPELLED = "a node that was expelled knew its key"
    COMMAND = "a command asked for it"
    NAMES = "names changed in the configuration"
    KEY = "key changed in the configuration"
    ISSUER = "issuer changed in the configuration"
    WEAK = "its key or signature is too weak"
    WINDOW = "the issuer asks to renew it (ARI)"
    LIFETIME = "its lifetime runs out"
    KEY_AGE = "its key reached rotate_key_after"
    USES = "its key reached rotate_key_after_uses"

    @property
    def needs_a_new_key_at_once(self) -> bool:
        """Whether the previous key must not be kept for a rollback."""
        return self in {RenewalReason.COMPROMISED, RenewalReason.EXPELLED}

    @property
    def is_scheduled(self) -> bool:
        """Whether a date or a count brings it about: what serves is good for a while yet."""
        return self in _SCHEDULED


_SCHEDULED: Final = frozenset({RenewalReason.WINDOW, RenewalReason.LIFETIME, RenewalReason.KEY_AGE, RenewalReason.USES})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the configuration asks of a credential: `key` as written; `key_life` and `key_uses` are
    the limits of a key.
    """

    names: tuple[str, ...]
    key: str
    issuer: str
    key_life: timedelta | None = None
    key_uses: int | None = None


@dataclass(frozen=True, slots=True)
class Current:
    """The credential that serves: `names` of the leaf, `key` and `issuer` as configured, `uses`
    signatures so far.

    `jitter` from -1 to 1 is constant for a credential, so that its planned date does not move.
    """

    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    key: str
    issuer: str
    key_made_at: datetime
    jitter: float
    uses: int = 0
    window: RenewalWindow | None = None
    is_weak: bool = False

    @property
    def lifetime(self) -> timedelta:
        return self.not_after - self.not_before


@dataclass(frozen=True, slots=True)
class Due:
    """When to replace, and the reason that comes first."""

    at: datetime
    reason: RenewalReason


# The share of the lifetime that is left at the latest, for any window of an issuer: some end after
# the certificate.
_LAST_SHARE: Final = 0.1
_SPREAD: Final = 0.1  # of what is left, to both sides


def due(current: Current, wanted: Wanted, renew_when_left: float, now: datetime) -> Due:
    """The earliest date of a reason for a replacement; `now` or in the past if it is due."""
    changed = _changed(current, wanted, now)
    if changed is not None:
        return Due(now, changed)
    dates = [_by_time(current, renew_when_left)]
    if wanted.key_life is not None:
        dates.append(Due(current.key_made_at + wanted.key_life, RenewalReason.KEY_AGE))
    return min(dates, key=lambda one: one.at)


def _changed(current: Current, wanted: Wanted, now: datetime) -> RenewalReason | None:
    if current.not_before > now:  # it was issued while our clock was ahead
        return RenewalReason.UNUSABLE
    if set(current.names) != set(wanted.names):
        return RenewalReason.NAMES
    if current.key != wanted.key:
        return RenewalReason.KEY
    if current.issuer != wanted.issuer:
        return RenewalReason.ISSUER
    if current.is_weak:
        return RenewalReason.WEAK
    if wanted.key_uses is not None and current.uses >= wanted.key_uses:
        return RenewalReason.USES
    return None


def _by_time(current: Current, renew_when_left: float) -> Due:
    window = current.window
    if window is None:
        left = current.lifetime * renew_when_left * (1 + _SPREAD * current.jitter)
        return Due(current.not_after - left, RenewalReason.LIFETIME)
    # a moment in the window at random, always the same one (RFC 9773 4.2)
    moment = window.start + (window.end - window.start) * ((current.jitter + 1) / 2)
    latest = current.not_after - current.lifetime * _LAST_SHARE
    return Due(moment, RenewalReason.WINDOW) if moment <= latest else Due(latest, RenewalReason.LIFETIME)
