"""How clients take up post-quantum key exchange, day by day: what `plexigate doctor readiness`
judges. Pure.

Workers count from their start, and end. The parent takes their merged counts from time to time, and
adds what is new since the last time to the present day in UTC. So a count may be in the next day by
the time between two takes. Exact are the handshakes by listener, identity and outcome. The clients
that `require` would refuse are in summaries of bounded size (`breaking`), one of each day.

The document is what the parent keeps on disk and answers to `GET /adoption`. It has networks and no
addresses, and its size is bounded: labels of the configuration, `DAYS` days, and summaries.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from proxy.api.adoption import AdoptionDocument, Nothing
from proxy.figures.snapshot import HandshakeRow, Snapshot, Summaries, Summary
from proxy.observe.counts.breaking import KEPT, day_of, merge_kinds
from proxy.observe.scrape import ListenerFacts
from proxy.tls.handshake.group_choice import HandshakeOutcome

VERSION: Final = 1
"""The version of the document. A document of another version is not read."""
DAYS: Final = 30
"""The days that are kept, the present one included."""

_DAY: Final = 86_400.0
_NOTHING: Final[Nothing] = {}
_OUTCOMES: Final = frozenset(map(str, HandshakeOutcome))


class AdoptionMalformed(Exception):
    """A document that `Adoption.document` did not write. `found` says what it is."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


@dataclass(frozen=True, slots=True)
class Offer:
    """The policy `pq` of a listener, and its groups in OpenSSL's syntax."""

    pq: str
    groups: str


@dataclass(slots=True)
class ListenerDay:
    handshakes: dict[str, dict[str, int]] = field(default_factory=dict)
    """By identity and outcome."""
    breaking: Summaries | None = None
    """The clients that `require` would refuse; None if there was no such client."""


Days = dict[str, dict[str, ListenerDay]]


def taken(snapshot: Snapshot) -> Snapshot:
    """The part of a snapshot that `Adoption.take` reads."""
    part: Snapshot = {}
    if "handshakes" in snapshot:
        part["handshakes"] = snapshot["handshakes"]
    if "breaking" in snapshot:
        part["breaking"] = snapshot["breaking"]
    return part


class Adoption:
    """What is known, at most `DAYS` days back."""

    def __init__(self, days: Days | None = None, offers: Mapping[str, Offer] | None = None, writer: str = "") -> None:
        """Go on from what an earlier process has kept."""
        self.days: Final[Days] = days or {}
        self.offers: dict[str, Offer] = dict(offers or {})
        """What each listener offered when it was seen last."""
        self.writer: Final = writer
        """A name for the process that wrote the document."""
        self._earlier = {
            (day, name): one.breaking for day, listeners in self.days.items() for name, one in listeners.items()
        }
        self._seen: Counter[tuple[str, str, str]] = Counter()

    def take(self, now: float, counted: Snapshot, listeners: Sequence[ListenerFacts]) -> bool:
        """Take the counts of all workers since the start of the parent, merged.

        Returns whether there is something new. `now` is in UNIX seconds.
        """
        today = day_of(now)
        yesterday = day_of(now - _DAY)
        self.offers = {**self.offers, **{one.name: Offer(one.pq, one.groups) for one in listeners if one.groups}}
        is_new = self._count(today, counted.get("handshakes", ()))
        for day in (yesterday, today):
            for listener, found in counted.get("breaking", {}).get(day, {}).items():
                earlier = self._earlier.get((day, listener))
                one = self._of(day, listener)
                before, one.breaking = one.breaking, merge_kinds([earlier, found] if earlier else [found])
                is_new = is_new or before != one.breaking
        oldest = day_of(now - (DAYS - 1) * _DAY)
        # a day that is yet to come was written by a clock that was wrong
        for day in [day for day in self.days if not oldest <= day <= today]:
            del self.days[day]
            is_new = True
        return is_new

    def _count(self, today: str, rows: Iterable[HandshakeRow]) -> bool:
        totals: Counter[tuple[str, str, str]] = Counter()
        for row in rows:
            totals[row["listener"], row["identity"], row["outcome"]] += row["count"]
        # a worker that was killed takes its latest counts with it: then nothing is new
        new = {key: count - self._seen[key] for key, count in totals.items() if count > self._seen[key]}
        self._seen = totals
        for (listener, identity, outcome), count in new.items():
            outcomes = self._of(today, listener).handshakes.setdefault(identity, {})
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        return bool(new)

    def _of(self, day: str, listener: str) -> ListenerDay:
        return self.days.setdefault(day, {}).setdefault(listener, ListenerDay())

    def document(self, now: float, writer: str) -> AdoptionDocument:
        """All of it, for JSON. `writer` names this process."""
        return {
            "version": VERSION,
            "writer": writer,
            "saved_at": now,
            "listeners": {name: {"pq": one.pq, "groups": one.groups} for name, one in sorted(self.offers.items())},
            "days": {
                day: {
                    name: {"handshakes": one.handshakes, "breaking": _NOTHING if one.breaking is None else one.breaking}
                    for name, one in listeners.items()
                }
                for day, listeners in sorted(self.days.items())
            },
        }


def parse_adoption(document: object) -> Adoption:
    """Read what `Adoption.document` wrote. Raises `AdoptionMalformed`."""
    if not isinstance(document, dict):
        raise AdoptionMalformed("no table")
    if document.get("version") != VERSION:
        raise AdoptionMalformed("the content of another version")
    try:
        days: Days = {
            _day(day): {_text(name): _listener_day(one) for name, one in _items(listeners)}
            for day, listeners in _items(document["days"])
        }
        offers = {
            _text(name): Offer(_text(one["pq"]), _text(one["groups"])) for name, one in _items(document["listeners"])
        }
        return Adoption(days, offers, _text(document["writer"]))
    except (KeyError, TypeError, ValueError) as error:
        raise AdoptionMalformed("other content than this proxy writes") from error


def _day(text: object) -> str:
    return date.fromisoformat(_text(text)).isoformat()


def _listener_day(one: Mapping[str, Any]) -> ListenerDay:
    handshakes = {
        _text(identity): {_outcome(outcome): _count_of(count) for outcome, count in _items(outcomes)}
        for identity, outcomes in _items(one["handshakes"])
    }
    breaking = one["breaking"]
    return ListenerDay(handshakes, _summaries(breaking) if breaking else None)


def _summaries(one: Mapping[str, Any]) -> Summaries:
    return {
        "names": _summary(one["names"]),
        "networks": _summary(one["networks"]),
        "agents": _summary(one["agents"]),
    }


def _summary(one: Mapping[str, Any]) -> Summary:
    entries = [[_text(key), _count_of(count), _count_of(error)] for key, count, error in one["entries"]]
    if one["capacity"] != KEPT or len(entries) > KEPT:
        raise ValueError("capacity")
    return {"capacity": KEPT, "total": _count_of(one["total"]), "entries": entries}


def _items(table: object) -> Iterator[tuple[Any, Any]]:
    if not isinstance(table, dict):
        raise TypeError("table")
    yield from table.items()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return value


def _outcome(value: object) -> str:
    if _text(value) not in _OUTCOMES:
        raise ValueError("outcome")
    return str(value)


def _count_of(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("count")
    return value
