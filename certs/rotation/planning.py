"""Which credentials to try to replace now, and when to look again. Pure: clocks and jitter come in.

Theory of operation. Two clocks: the time of day says when something is due, the other one (it only goes forward) how long to wait
after a failure. The time of day may jump: forward, and everything is due at once, but each credential is tried once and each issuer
has one attempt at a time; backward, and waits are as long as before. Nobody sleeps longer than `LONGEST_SLEEP_SECONDS`, so a jump
is noticed soon. A failure of an issuer holds for all its credentials, a failure of one credential for that one alone.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from certs.issuing.issuer import FailureKind
from certs.rotation.due import Current, Due, Reason, Wanted, due
from certs.rotation.retries import LONGEST_RETRY_AFTER, Wait, wait_after
from certs.rotation.urgency import Urgency, urgency

LONGEST_SLEEP_SECONDS: Final = 60.0
_MOST_SPACING: Final = 3_600.0

Key = tuple[str, str]
"""Identity and slot of a credential."""


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks: `wall` with its time zone, `ticks` in seconds of the clock that only goes forward."""

    wall: datetime
    ticks: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a credential; `current` None: none, or none that can be used (`is_unusable`)."""

    wanted: Wanted
    current: Current | None
    is_unusable: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a credential is: when it is due and why, how urgent that is, since when it fails, and for how long it waits still."""

    due: Due
    urgency: Urgency
    failures: int
    waits_seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What to try now, most urgent first, and after how many seconds to ask again."""

    attempts: tuple[tuple[Key, Reason], ...]
    sleep_seconds: float
    standings: Mapping[Key, Standing]


@dataclass(slots=True)
class Planner:
    """Remembers failures; `jitter` answers random numbers from 0 to 1."""

    renew_when_left: float
    jitter: Callable[[], float]
    _of_issuers: dict[str, Wait] = field(default_factory=dict)
    _of_credentials: dict[Key, Wait] = field(default_factory=dict)
    _asked: dict[Key, Reason] = field(default_factory=dict)
    _wanted: dict[Key, Wanted] = field(default_factory=dict)

    def plan(self, facts: Mapping[Key, Facts], now: Instant, busy: frozenset[str] = frozenset()) -> Plan:
        """What to do at this moment; issuers that are `busy` with an attempt get no second one."""
        self._begin_anew_where_changed(facts)
        standings = {key: self._standing(key, one, now) for key, one in facts.items()}
        # by what remains, so that one that is about to expire is not behind a hundred that are merely due
        order = sorted(facts, key=lambda key: (-standings[key].urgency, standings[key].due.at, key))
        attempts: list[tuple[Key, Reason]] = []
        taken = set(busy)
        sleep = LONGEST_SLEEP_SECONDS
        for key in order:
            standing, issuer = standings[key], facts[key].wanted.issuer
            seconds = max(standing.waits_seconds, (standing.due.at - now.wall).total_seconds())
            if seconds > 0:
                sleep = min(sleep, seconds)
            elif issuer not in taken:
                taken.add(issuer)
                attempts.append((key, standing.due.reason))
        return Plan(tuple(attempts), sleep, standings)

    def ask(self, key: Key, reason: Reason) -> None:
        """Have a credential replaced as soon as possible, whatever is waited for: a person has decided so.

        A key that was called compromised stays that until it is replaced.
        """
        if not self.is_compromised(key):
            self._asked[key] = reason
        self._of_credentials.pop(key, None)

    def is_compromised(self, key: Key) -> bool:
        """Whether the key that serves was called compromised."""
        return self._asked.get(key) is Reason.COMPROMISED

    def succeeded(self, key: Key, issuer: str, lifetime: timedelta, now: Instant) -> None:
        """A credential was replaced; its successor is not touched for a while, whatever speaks for it."""
        self._asked.pop(key, None)
        self._of_issuers.pop(issuer, None)
        spacing = min(_MOST_SPACING, lifetime.total_seconds() / 10)
        self._of_credentials[key] = Wait(0, now.ticks + spacing)

    def issuer_failed(self, issuer: str, key: Key, kind: FailureKind, retry_after: float | None, now: Instant) -> None:
        """An issuer did not give what it was asked for; a permanent failure is about what it was asked."""
        if kind is FailureKind.PERMANENT:
            self.credential_failed(key, kind, now, retry_after)
            return
        self._has_failed(key)
        self._of_issuers[issuer] = self._longer(self._of_issuers.get(issuer), kind, retry_after, now)

    def credential_failed(self, key: Key, kind: FailureKind, now: Instant, retry_after: float | None = None) -> None:
        """Something else went wrong with one credential: its key, its checks, the workers."""
        self._has_failed(key)
        self._of_credentials[key] = self._longer(self._of_credentials.get(key), kind, retry_after, now)

    def _has_failed(self, key: Key) -> None:
        # whoever asked is told and may ask again; but a compromised key has to go, whoever is still there
        if not self.is_compromised(key):
            self._asked.pop(key, None)

    def _longer(self, before: Wait | None, kind: FailureKind, retry_after: float | None, now: Instant) -> Wait:
        return wait_after(kind, 0 if before is None else before.failures, retry_after, self.jitter(), now.ticks)

    # -- across restarts: a process that crashes and starts again must not begin the table anew, nor forget a compromised key

    def remembered(self, now: Instant, trying: Iterable[str] = ()) -> dict[str, list[list[object]]]:
        """The waits, with the seconds that are left of each, and whose keys are compromised and still serve, for a file.

        Issuers that are being asked (`trying`) count as failed: if the process ends in the middle of that, again and again, they
        are not asked each time.
        """
        of_issuers = dict(self._of_issuers)
        for name in trying:
            of_issuers[name] = self._longer(of_issuers.get(name), FailureKind.TEMPORARY, None, now)
        return {
            "issuers": [[name, one.failures, one.until - now.ticks] for name, one in of_issuers.items()],
            "credentials": [
                [*key, one.failures, one.until - now.ticks] for key, one in self._of_credentials.items() if one.failures
            ],
            "compromised": [list(key) for key, reason in self._asked.items() if reason is Reason.COMPROMISED],
        }

    def remember(self, waits: Mapping[str, list[list[object]]], now: Instant) -> None:
        """Take up what `remembered` answered; a wait is taken as it was, for nobody knows how long the process was gone.

        Raises `ValueError` for anything else.
        """
        try:
            for name, failures, left in waits["issuers"]:
                self._of_issuers[str(name)] = _taken_up(failures, left, now)
            for identity, slot, failures, left in waits["credentials"]:
                self._of_credentials[str(identity), str(slot)] = _taken_up(failures, left, now)
            for identity, slot in waits.get("compromised", ()):
                self._asked[str(identity), str(slot)] = Reason.COMPROMISED
        except (KeyError, TypeError) as error:
            raise ValueError("no record of waits that this program wrote") from error

    def _standing(self, key: Key, facts: Facts, now: Instant) -> Standing:
        when = self._due(key, facts, now)
        waits = [one for one in (self._of_issuers.get(facts.wanted.issuer), self._of_credentials.get(key)) if one]
        until = max((one.until for one in waits), default=now.ticks)
        failures = max((one.failures for one in waits), default=0)
        return Standing(when, urgency(facts.current, when, now.wall), failures, max(0.0, until - now.ticks))

    def _due(self, key: Key, facts: Facts, now: Instant) -> Due:
        if key in self._asked:
            return Due(now.wall, self._asked[key])
        if facts.current is None:
            return Due(now.wall, Reason.UNUSABLE if facts.is_unusable else Reason.FIRST)
        return due(facts.current, facts.wanted, self.renew_when_left, now.wall)

    def _begin_anew_where_changed(self, facts: Mapping[Key, Facts]) -> None:
        """What a credential waits for does not hold for what is wanted of it now."""
        for key, one in facts.items():
            if self._wanted.get(key, one.wanted) != one.wanted:
                self._of_credentials.pop(key, None)
            self._wanted[key] = one.wanted


def _taken_up(failures: object, left: object, now: Instant) -> Wait:
    if not isinstance(failures, int) or not isinstance(left, int | float):
        raise TypeError
    return Wait(failures, now.ticks + min(max(0.0, float(left)), LONGEST_RETRY_AFTER * 2))
