"""The answer of `plexigate doctor readiness`: for each listener its phase, what blocks the next
one, and when it could be taken. Pure.

The phases of a migration, by the groups that a listener offers:

    CLASSICAL   no quantum-safe group
    OFFERED     a quantum-safe group, and a classical one that is as good or better
    PREFERRED   quantum-safe groups first: a client that has one gets one
    RETIRED     quantum-safe groups alone
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final, TypedDict, cast

from proxy.doctor.readiness.forecast import DayCount, Forecast, Outlook, forecast
from proxy.doctor.readiness.tally import Tally, TallyRow, share, total
from proxy.figures.snapshot import Summaries, Summary
from proxy.observe.adoption import Adoption, Days, ListenerDay, Offer
from proxy.observe.counts.breaking import merge_kinds
from proxy.tls.wire.groups import tuples_in


class Phase(StrEnum):
    """How far a listener is."""

    CLASSICAL = "classical only"
    OFFERED = "hybrid offered"
    PREFERRED = "hybrid preferred"
    RETIRED = "classical retired"

    @property
    def next(self) -> "Phase | None":
        """The phase after this one, None after the last one."""
        return _NEXT.get(self)


_NEXT: Final = {
    Phase.CLASSICAL: Phase.PREFERRED,
    Phase.OFFERED: Phase.PREFERRED,
    Phase.PREFERRED: Phase.RETIRED,
}


def phase_of(groups: str) -> Phase:
    """Judge a list of groups in OpenSSL's syntax: `A:B / C`."""
    safe = [[group.is_quantum_safe for group in one] for one in tuples_in(groups)]
    if all(map(all, safe)):
        return Phase.RETIRED
    if all(safe[0]):
        return Phase.PREFERRED
    return Phase.OFFERED if any(map(any, safe)) else Phase.CLASSICAL


FORMAT: Final = 1
"""The version of the document. Keys may be added in a version; none changes its meaning."""
_NOTHING_OFFERED: Final = Offer("off", "")
SETTINGS: Final = {
    Phase.PREFERRED: 'pq = "prefer", with quantum-safe groups in the first tuple of groups',
    Phase.RETIRED: 'pq = "require"',
}
"""What to write in the configuration for a phase that comes next."""
_PASSES: Final = frozenset({Outlook.NOW})


class BlockingClient(TypedDict):
    """Clients that `require` would refuse, by name, network or user agent; `connections` may be
    `error` too high, and `share` is of all such.
    """

    key: str
    connections: int
    error: int
    share: float


class Blocking(TypedDict):
    """Those of a listener by kind, the most frequent first.

    Everything with more connections than `error_at_most` is listed.
    """

    connections: int
    error_at_most: int
    names: list[BlockingClient]
    networks: list[BlockingClient]
    agents: list[BlockingClient]


class NextPhaseRow(TypedDict):
    """The next phase of a listener, the setting that begins it, and its `Forecast`."""

    phase: str
    setting: str
    verdict: str
    reason: str
    on: str | None
    doubts: list[str]


class DayRow(TypedDict):
    """The handshakes of a day, and those that `require` would refuse."""

    established: int
    breaking: int


class ListenerReadinessRow(TypedDict):
    """A `ListenerReadiness` as JSON."""

    name: str
    pq: str
    groups: str
    phase: str
    next: NextPhaseRow | None
    handshakes: TallyRow
    identities: dict[str, TallyRow]
    blocking: Blocking
    days: dict[str, DayRow]


class ReadinessReportDocument(TypedDict):
    """The document of `plexigate doctor readiness --json`."""

    version: int
    source: str
    first_day: str
    last_day: str
    days_observed: int
    ready: bool
    listeners: list[ListenerReadinessRow]


@dataclass(frozen=True, slots=True)
class ListenerReadiness:
    """One listener. `next` is None after the last phase."""

    name: str
    offer: Offer
    phase: Phase
    next: Phase | None
    forecast: Forecast | None
    """When the next phase can be taken, None after the last one."""
    handshakes: Tally
    identities: Mapping[str, Tally]
    blocking: Blocking
    days: Mapping[date, DayCount]

    @property
    def is_open(self) -> bool:
        """Whether nothing is in the way of the next phase."""
        return self.forecast is None or self.forecast.verdict in _PASSES

    def as_json(self) -> ListenerReadinessRow:
        return {
            "name": self.name,
            "pq": self.offer.pq,
            "groups": self.offer.groups,
            "phase": str(self.phase),
            "next": None
            if self.next is None or self.forecast is None
            else cast("NextPhaseRow", {"phase": self.next, "setting": SETTINGS[self.next], **asdict(self.forecast)}),
            "handshakes": self.handshakes.as_json(),
            "identities": {name: one.as_json() for name, one in self.identities.items()},
            "blocking": self.blocking,
            "days": {
                day.isoformat(): {"established": one.handshakes, "breaking": one.breaking}
                for day, one in sorted(self.days.items())
            },
        }


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """All listeners, from the days `first` to `last`. `source` says where the days are from."""

    source: str
    first: date
    last: date
    observed: int
    """On how many of these days a handshake was seen."""
    listeners: Sequence[ListenerReadiness]

    @property
    def is_ready(self) -> bool:
        """Whether every listener can take its next phase now, or has taken the last one."""
        return all(one.is_open for one in self.listeners)

    def as_json(self) -> ReadinessReportDocument:
        return {
            "version": FORMAT,
            "source": self.source,
            "first_day": self.first.isoformat(),
            "last_day": self.last.isoformat(),
            "days_observed": self.observed,
            "ready": self.is_ready,
            "listeners": [one.as_json() for one in self.listeners],
        }


def readiness_report(adoption: Adoption, today: date, days: int, source: str) -> ReadinessReport:
    """Judge the last `days` days, the present one included."""
    first = today - timedelta(days=days - 1)
    chosen = {day: found for day, found in adoption.days.items() if first <= date.fromisoformat(day) <= today}
    names = sorted({*adoption.offers, *(name for found in chosen.values() for name in found)})
    return ReadinessReport(
        source, first, today, len(chosen), [_listener(name, adoption, chosen, today) for name in names]
    )


def _listener(name: str, adoption: Adoption, chosen: Days, today: date) -> ListenerReadiness:
    offer = adoption.offers.get(name, _NOTHING_OFFERED)
    phase = phase_of(offer.groups)
    is_offered = phase is not Phase.CLASSICAL
    counts = {
        date.fromisoformat(day): _day_count(found[name], is_offered=is_offered)
        for day, found in adoption.days.items()
        if name in found
    }
    of_it = [found[name] for found in chosen.values() if name in found]
    identities: dict[str, Tally] = {}
    for one in of_it:
        for identity, outcomes in one.handshakes.items():
            identities[identity] = identities.get(identity, Tally()) + Tally.of(outcomes)
    return ListenerReadiness(
        name,
        offer,
        phase,
        phase.next,
        # the trend needs all days, also those before the first one that was asked for
        _forecast(phase, counts, today),
        total(identities.values()),
        dict(sorted(identities.items())),
        _blocking([one.breaking for one in of_it if one.breaking]),
        {day: one for day, one in counts.items() if day.isoformat() in chosen},
    )


def _day_count(one: ListenerDay, *, is_offered: bool) -> DayCount:
    tally = total(Tally.of(outcomes) for outcomes in one.handshakes.values())
    return DayCount(tally.established, tally.breaking(is_offered=is_offered))


def _forecast(phase: Phase, days: Mapping[date, DayCount], today: date) -> Forecast | None:
    if phase is Phase.RETIRED:
        return None
    if phase is Phase.PREFERRED:
        return forecast(days, today)
    return Forecast(Outlook.NOW, "no client is refused by it: who has no quantum-safe group gets a classical one")


def _blocking(summaries: Sequence[Summaries]) -> Blocking:
    if not summaries:
        return {"connections": 0, "error_at_most": 0, "names": [], "networks": [], "agents": []}
    merged = merge_kinds(summaries)
    agents = merged["agents"]
    return {
        "connections": agents["total"],
        "error_at_most": agents["total"] // agents["capacity"],
        "names": _clients(merged["names"]),
        "networks": _clients(merged["networks"]),
        "agents": _clients(agents),
    }


def _clients(summary: Summary) -> list[BlockingClient]:
    return [
        {"key": key, "connections": count, "error": error, "share": share(count, summary["total"]) or 0.0}
        for key, count, error in summary["entries"]
    ]
