"""The alerts that are open: one for each fault, repeated while it lasts, resolved when it is over.
Pure.

Theory of operation. At each look the table gets everything that is wrong at that moment. A concern
that is new is told, some kinds only when they have lasted for a while. One that was told is told
again when it becomes more urgent, or when its time to be repeated has come. One that is absent for
`resolve_seconds` is resolved. So a fault that comes and goes within that time is one alert.

`kept` and `take_up` carry the table over a restart. What still holds is then told once more. What
does not is resolved: its receivers would otherwise wait for that for ever.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from proxy.api.commands import WaitingRow
from proxy.observe.alert import AlertState, Concern, ConcernRow, Notice, OpenAlert
from proxy.observe.alert_kinds import KINDS, AlertKind, AlertUrgency

# A new process needs so long to find faults again: health checks fail several times, tokens are
# probed.
_TAKEN_UP_SECONDS: Final = 120.0
_NEVER: Final = float("-inf")
# Seconds: JSON has no infinity, and everything is repeated sooner.
_LONG_AGO: Final = 1e9


class KeptRow(ConcernRow):
    """An open alert in a file. `since` is in UNIX seconds."""

    since: float
    times: int


class HandedRow(KeptRow):
    """A row of the table for a process that replaces this one. Times are seconds ago."""

    begun: float
    seen: float
    told: float | None
    told_as: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A time on both clocks: `wall` in UNIX seconds for people, `ticks` in seconds for waits."""

    wall: float
    ticks: float


@dataclass(frozen=True, slots=True)
class AlertPatience:
    """Seconds until an open alert is told again, and for which it is absent when resolved."""

    repeat_seconds: Mapping[AlertUrgency, float]
    resolve_seconds: float


@dataclass(frozen=True, slots=True)
class _TableRow:
    """`begun` and `seen`: the ticks of the first and the latest sight. `told`: the ticks of the
    latest message, None before the first. `told_as`: the urgency that was told.
    """

    concern: Concern
    since: float
    begun: float
    seen: float
    told: float | None = None
    told_as: AlertUrgency = AlertUrgency.WARNING
    times: int = 0
    is_present: bool = True
    """Whether the latest look has found it."""

    @property
    def alert(self) -> OpenAlert:
        return OpenAlert(self.concern, self.since, self.times, not self.is_present)

    def lasts_in(self, ticks: float) -> float:
        """Seconds until the concern has lasted for long enough to be told."""
        return self.begun + KINDS[self.concern.kind].after_seconds - ticks


class OpenAlerts:
    def __init__(self) -> None:
        self._entries: dict[tuple[AlertKind, str], _TableRow] = {}
        self.look_within = float("inf")
        """Seconds from the latest look until an alert is resolved, or until one is due."""

    @property
    def told(self) -> Sequence[OpenAlert]:
        """The alerts that are open, the most urgent first, then the oldest."""
        told = [one.alert for one in self._entries.values() if one.told is not None]
        return sorted(told, key=lambda one: (one.concern.urgency.rank, one.since))

    def waiting(self, ticks: float) -> list[WaitingRow]:
        """What is wrong and has not lasted for long enough to be told, as documents."""
        rows = [(one, one.lasts_in(ticks)) for one in self._entries.values() if one.told is None]
        return [{**row.alert.as_json(), "alert_in_seconds": round(max(0.0, left), 1)} for row, left in rows]

    def settle(self, concerns: Iterable[Concern], now: Moment, patience: AlertPatience) -> list[Notice]:
        """Compare the table with everything that is wrong now. Returns what is to be told."""
        notices: list[Notice] = []
        present = _by_key(concerns)
        for key, concern in present.items():
            entry = self._entries.get(key) or _TableRow(concern, now.wall, now.ticks, now.ticks)
            entry = replace(entry, concern=concern, seen=max(entry.seen, now.ticks), is_present=True)
            if _is_to_be_told(entry, now.ticks, patience):
                is_repeat = entry.told not in {None, _NEVER} and not concern.urgency.exceeds(entry.told_as)
                entry = replace(entry, told=now.ticks, told_as=concern.urgency, times=entry.times + 1)
                notices.append(Notice(AlertState.FIRING, entry.alert, now.wall, is_repeat))
            self._entries[key] = entry
        waits = [entry.lasts_in(now.ticks) for entry in self._entries.values() if entry.told is None]
        for key in self._entries.keys() - present.keys():
            entry = self._entries[key]
            if entry.told is None:
                del self._entries[key]
            elif (left := entry.seen + patience.resolve_seconds - now.ticks) > 0:
                waits.append(left)
                self._entries[key] = replace(entry, is_present=False)
            else:
                del self._entries[key]
                notices.append(Notice(AlertState.RESOLVED, entry.alert, now.wall, lasted=now.ticks - entry.begun))
        self.look_within = min(waits, default=float("inf"))
        return notices

    def again(self, now: Moment) -> list[Notice]:
        """All open alerts, for a receiver that is new."""
        return [Notice(AlertState.FIRING, one, now.wall) for one in self.told]

    # -- across a restart

    def kept(self) -> list[KeptRow]:
        return [{**one.concern.as_json(), "since": one.since, "times": one.times} for one in self.told]

    def take_up(self, document: Iterable[Mapping[str, Any]], now: Moment) -> None:
        """Remember what `kept` of an earlier process returned. Leaves out what it does not know."""
        for one in document:
            try:
                concern = Concern.from_json(one)
                since = float(one["since"])
                times = int(one["times"])
            except (KeyError, TypeError, ValueError):
                continue  # of another version
            seen = now.ticks + _TAKEN_UP_SECONDS
            begun = now.ticks - max(0.0, now.wall - since)  # the clock may have been set meanwhile
            self._entries[concern.key] = _TableRow(concern, since, begun, seen, _NEVER, concern.urgency, times)

    # -- across an upgrade

    def handed(self, ticks: float) -> list[HandedRow]:
        """The whole table, also what was not told yet, for a process that replaces this one."""
        return [
            {
                **one.concern.as_json(),
                "since": one.since,
                "times": one.times,
                "begun": ticks - one.begun,
                "seen": ticks - one.seen,
                "told": None if one.told is None else min(ticks - one.told, _LONG_AGO),
                "told_as": str(one.told_as),
            }
            for one in self._entries.values()
        ]

    def take_over(self, document: Iterable[Mapping[str, Any]], ticks: float) -> None:
        """Go on with what `handed` of an older process has returned: no wait starts again."""
        for one in document:
            concern = Concern.from_json(one)
            told = one["told"]
            self._entries[concern.key] = _TableRow(
                concern,
                float(one["since"]),
                ticks - one["begun"],
                ticks - one["seen"],
                None if told is None else _NEVER if told >= _LONG_AGO else ticks - told,
                AlertUrgency(one["told_as"]),
                int(one["times"]),
            )


def _by_key(concerns: Iterable[Concern]) -> dict[tuple[AlertKind, str], Concern]:
    """Of several concerns with the same key the most urgent one."""
    found: dict[tuple[AlertKind, str], Concern] = {}
    for one in concerns:
        if one.key not in found or one.urgency.exceeds(found[one.key].urgency):
            found[one.key] = one
    return found


def _is_to_be_told(entry: _TableRow, ticks: float, patience: AlertPatience) -> bool:
    if entry.told is None:
        return entry.lasts_in(ticks) <= 0
    urgency = entry.concern.urgency
    return urgency.exceeds(entry.told_as) or ticks - entry.told >= patience.repeat_seconds[urgency]
