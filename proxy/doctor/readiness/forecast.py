"""When classical key exchange can be retired: from the share of handshakes that need it, by day.
Pure.

The trend is the share of the last seven days against that of the seven days before. It is
continued at the same rate until it is below `ENOUGH`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from math import ceil, log
from typing import Final

from proxy.figures.totals import how_many

WEEK: Final = 7
ENOUGH: Final = 0.001
"""A share below which a date of the trend is named: one handshake in a thousand."""

# Fewer handshakes in a quiet time say little: a client that comes once a week may be missing.
_QUIET_HANDSHAKES: Final = 100
_THIN_HANDSHAKES: Final = 1_000
_THIN_BREAKING: Final = 30
# A trend of two weeks says nothing about longer times.
_FARTHEST_DAYS: Final = 730


@dataclass(frozen=True, slots=True)
class DayCount:
    """The finished handshakes of a day, and those of them that `require` would have refused."""

    handshakes: int
    breaking: int


class Outlook(StrEnum):
    """Whether the step can be taken."""

    NOW = "now"
    LATER = "later"
    """At a date, if the trend continues."""
    DECIDE = "decide"
    """Almost no client is left: whether they may be refused is for an operator to say."""
    BLOCKED = "blocked"
    """The share does not fall, or not fast enough."""
    UNKNOWN = "unknown"
    """There are too few days or handshakes."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The verdict, its reason, and what makes it doubtful. `on` is an ISO date for `LATER`."""

    verdict: Outlook
    reason: str
    on: str | None = None
    doubts: list[str] = field(default_factory=list)


def forecast(days: Mapping[date, DayCount], today: date) -> Forecast:
    """Judge. `days` are those on which a handshake was seen."""
    seen = {day: one for day, one in days.items() if one.handshakes}
    if not seen:
        return Forecast(Outlook.UNKNOWN, "no handshake was seen")
    begins = _begin_of_quiet(seen)
    quiet = (today - begins).days
    since_then = _sum(seen, begins, today)
    if quiet >= WEEK and since_then.handshakes >= _QUIET_HANDSHAKES:
        return Forecast(
            Outlook.NOW,
            f"none of {since_then.handshakes} handshakes since {begins} would be refused ({quiet} days)",
        )
    last = _week(seen, today)
    before = _week(seen, today - timedelta(days=WEEK))
    doubts = _doubts(seen, last, before, today)
    if not last.breaking:
        return Forecast(
            Outlook.UNKNOWN,
            f"none of {last.handshakes} handshakes of the last {WEEK} days would be refused: wait until {WEEK} days and"
            f" {_QUIET_HANDSHAKES} handshakes are seen without one",
            doubts=doubts,
        )
    return _trend(last, before, today, doubts)


def _trend(last: DayCount, before: DayCount, today: date, doubts: list[str]) -> Forecast:
    share = last.breaking / last.handshakes
    told = (
        f"{share:.2%} of the handshakes of the last {WEEK} days would be refused ({last.breaking} of {last.handshakes})"
    )
    if share < ENOUGH:
        return Forecast(Outlook.DECIDE, told, doubts=doubts)
    if not before.handshakes:
        return Forecast(Outlook.UNKNOWN, f"{told}; a trend needs {2 * WEEK} days", doubts=doubts)
    former = before.breaking / before.handshakes
    against = f"{told}, {former:.2%} in the {WEEK} days before"
    if share >= former:
        return Forecast(Outlook.BLOCKED, f"{against}: it does not fall", doubts=doubts)
    days = ceil(WEEK * log(ENOUGH / share) / log(share / former))
    if days > _FARTHEST_DAYS:
        return Forecast(Outlook.BLOCKED, f"{against}: it hardly falls", doubts=doubts)
    on = (today + timedelta(days=days)).isoformat()
    return Forecast(Outlook.LATER, f"{against}: at this rate it is below {ENOUGH:.1%} on {on}", on, doubts)


def _doubts(seen: Mapping[date, DayCount], last: DayCount, before: DayCount, today: date) -> list[str]:
    observed = (today - min(seen)).days + 1
    doubts = [f"only {how_many(observed, 'day')} of observation"] if observed < 2 * WEEK else []
    if last.handshakes < _THIN_HANDSHAKES:
        doubts.append(f"only {how_many(last.handshakes, 'handshake')} in the last {WEEK} days")
    if 0 < before.handshakes < _THIN_HANDSHAKES:  # of none there is no trend
        doubts.append(f"only {how_many(before.handshakes, 'handshake')} in the {WEEK} days before")
    breaking = last.breaking + before.breaking
    if 0 < breaking < _THIN_BREAKING:
        told = how_many(last.handshakes + before.handshakes, "handshake")
        doubts.append(f"only {breaking} of {told} would be refused: a trend of so few is chance")
    return doubts


def _begin_of_quiet(seen: Mapping[date, DayCount]) -> date:
    """The first day after the latest one with a handshake that would be refused."""
    loud = [day for day, one in seen.items() if one.breaking]
    return max(loud) + timedelta(days=1) if loud else min(seen)


def _week(seen: Mapping[date, DayCount], last: date) -> DayCount:
    return _sum(seen, last - timedelta(days=WEEK - 1), last)


def _sum(seen: Mapping[date, DayCount], first: date, last: date) -> DayCount:
    chosen = [one for day, one in seen.items() if first <= day <= last]
    return DayCount(sum(one.handshakes for one in chosen), sum(one.breaking for one in chosen))
