"""Plans which credentials to replace now, and when to plan again.

Pure: clocks and jitter are arguments.

Theory of operation. There are two clocks. The time of day says when a credential is due. The
monotonic clock says how long to wait after a failure. The time of day may jump. After a jump
forward everything may be due at once: each credential is tried once, and each issuer has one
attempt at a time. After a jump backward waits are as long as before. No sleep is longer than
`LONGEST_SLEEP_SECONDS`, so a jump is noticed soon. A failure of an issuer delays all its
credentials; a failure of a credential delays only that one.

Replicas are credentials of one kind of one identity, with keys in different places. Only one of
them is replaced at a time. If nothing is wrong with another one, it follows after the spacing: so
a fault of the new one is found while the other one is as before. After a restart the age of the
new one tells what is left of the spacing.

A wait ends before the serving certificate expires (`Wait.end`). The spacing after a rotation holds
only while the certificate is valid: after a jump of the clock its successor is due at once. A
command of an operator ignores our own waits. It respects a wait that the issuer has requested,
unless the person insists. A compromised key waits no longer than an expired certificate.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict

from certs.issuing.issuer import FailureKind
from certs.rotation.budget import budget_seconds
from certs.rotation.due import Current, Due, RenewalReason, Wanted, due
from certs.rotation.retries import LONGEST_RETRY_AFTER, Wait, heeded_seconds, wait_after
from certs.rotation.urgency import Urgency, urgency
from config.tables.rotation import kind_of

LONGEST_SLEEP_SECONDS: Final = 60.0
_MOST_SPACING: Final = 3_600.0
# After a lost key there is no spacing, unless its successor is lost as well: then a minute, and
# twice as long each time.
_LOST_SPACING: Final = 60.0

Key = tuple[str, str]
"""Identity and slot of a credential."""


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks: `wall` with its time zone, `ticks` in seconds of the monotonic
    clock.
    """

    wall: datetime
    ticks: float


@dataclass(frozen=True, slots=True)
class CredentialFacts:
    """The facts about a credential.

    `current` is None if it is not issued or cannot be used (`is_unusable`). `is_lost`: its token
    works, and does not have the key any more; for `orders` and `losses` see `budget_seconds`.
    `imposed`: what a fleet wants, `FLEET` or `EXPELLED`. `is_held`: until this node leads its
    fleet, it only takes what others have rotated.
    """

    wanted: Wanted
    current: Current | None
    is_unusable: bool = False
    is_lost: bool = False
    orders: tuple[datetime, ...] = ()
    losses: tuple[datetime, ...] = ()
    imposed: RenewalReason | None = None
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class RotationStatus:
    """The state of a credential: when it is due and why, its urgency, failures in a row, and
    remaining wait.

    `heeds_seconds`: how long, at most, a wait that the issuer requests is respected if it is tried
    now.
    """

    due: Due
    urgency: Urgency
    failures: int
    waits_seconds: float
    heeds_seconds: float = LONGEST_RETRY_AFTER

    def next_try(self, now: datetime) -> datetime:
        """When it is tried: when it is due, but not before its waits are over."""
        return max(self.due.at, now + timedelta(seconds=self.waits_seconds))


@dataclass(frozen=True, slots=True)
class _Asked:
    """An operator's request to replace a credential.

    `insists`: even against a wait that its issuer requested.
    """

    reason: RenewalReason
    insists: bool
    is_tried: bool = False
    """Whether that was tried and has failed, so that waits hold again."""

    def skips(self, wait: Wait) -> bool:
        """Whether it is tried without that wait."""
        return not self.is_tried and (self.insists or not wait.is_wish)


@dataclass(frozen=True, slots=True)
class _Spacing:
    """When replicas of a credential may be replaced on schedule, on the monotonic clock, and when
    it may be replaced again itself: `if_lost` if its key is lost. `losses`: how many keys in a row
    were lost before this one.
    """

    end: float
    itself: float
    if_lost: float
    losses: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to try now, most urgent first, and after how many seconds to ask again."""

    attempts: tuple[tuple[Key, RenewalReason], ...]
    sleep_seconds: float
    standings: Mapping[Key, RotationStatus]


class Waits(TypedDict):
    """What is kept across a restart.

    A wait is its failures, the seconds that are left, its kind, and whether it is a wish of the CA.
    """

    issuers: list[list[object]]
    """Each begins with the name of the issuer."""
    credentials: list[list[object]]
    """Each begins with the identity and the slot."""
    compromised: list[list[str]]
    written: str
    """In ISO 8601."""


@dataclass(slots=True)
class Planner:
    """Remembers failures; `jitter` answers random numbers from 0 to 1."""

    renew_when_left: float
    jitter: Callable[[], float]
    _of_issuers: dict[str, Wait] = field(default_factory=dict)
    _of_credentials: dict[Key, Wait] = field(default_factory=dict)
    _spacings: dict[tuple[str, str], dict[Key, "_Spacing"]] = field(default_factory=dict)
    """Together for all replicas of a credential."""
    _tried: dict[Key, RenewalReason] = field(default_factory=dict)
    """Why each was tried last."""
    _asked: dict[Key, _Asked] = field(default_factory=dict)
    _wanted: dict[Key, Wanted] = field(default_factory=dict)

    def plan(
        self,
        facts: Mapping[Key, CredentialFacts],
        now: Instant,
        busy: frozenset[str] = frozenset(),
        running: Iterable[Key] = (),
    ) -> Plan:
        """What to do now; issuers that are `busy` with an attempt get no second one, nor do the
        replicas of credentials that are being replaced (`running`).
        """
        self._begin_anew_where_changed(facts, now)
        standings = {
            key: self._standing(key, one, now, is_down=one.is_lost and not _has_replica(key, facts, now.wall))
            for key, one in facts.items()
        }
        # most urgent first: a certificate that is about to expire comes before a hundred that are
        # due
        order = sorted(facts, key=lambda key: (-standings[key].urgency, standings[key].due.at, key))
        attempts: list[tuple[Key, RenewalReason]] = []
        taken = set(busy)
        changing = {_replicas(key) for key in running}
        sleep = LONGEST_SLEEP_SECONDS
        for key in order:
            standing = standings[key]
            issuer = facts[key].wanted.issuer
            seconds = max(standing.waits_seconds, (standing.due.at - now.wall).total_seconds())
            if seconds > 0:
                sleep = min(sleep, seconds)
            elif facts[key].is_held and standing.due.reason is not RenewalReason.FLEET:
                continue
            elif issuer not in taken and _replicas(key) not in changing:
                taken.add(issuer)
                changing.add(_replicas(key))
                self._tried[key] = standing.due.reason
                attempts.append((key, standing.due.reason))
        return Plan(tuple(attempts), sleep, standings)

    def ask(self, key: Key, reason: RenewalReason, *, insists: bool = False) -> None:
        """Have a credential replaced at once, at the request of an operator.

        It waits only if its issuer has requested a wait, and not even then if the person `insists`
        or the key is compromised. A compromised key stays marked until it is replaced.
        """
        is_compromised = reason is RenewalReason.COMPROMISED or self.is_compromised(key)
        self._asked[key] = (
            _Asked(RenewalReason.COMPROMISED, insists=True) if is_compromised else _Asked(reason, insists)
        )

    def is_compromised(self, key: Key) -> bool:
        """Whether the key that serves was called compromised."""
        return key in self._asked and self._asked[key].reason is RenewalReason.COMPROMISED

    def issuer_changed(self, issuer: str) -> None:
        """Forget the waits of an issuer whose settings have changed."""
        self._of_issuers.pop(issuer, None)
        for key, wanted in self._wanted.items():
            if wanted.issuer == issuer:
                self._of_credentials.pop(key, None)

    def succeeded(self, key: Key, issuer: str, not_before: datetime, not_after: datetime, now: Instant) -> None:
        """Note a replacement.

        The new version is not replaced for a while, for any reason, as long as it is valid.

        A version that was rolled back to may expire soon: it is replaced before that.
        """
        self._asked.pop(key, None)
        self._of_issuers.pop(issuer, None)
        self._of_credentials.pop(key, None)
        longest = _longest_spacing(not_before, not_after, now.wall)
        spacings = self._spacings.setdefault(_replicas(key), {})
        before = spacings.get(key)
        losses = 0
        if self._tried.get(key) is RenewalReason.LOST:
            losses = 1 if before is None or now.ticks >= before.end + _MOST_SPACING else 1 + before.losses
        if_lost = min(longest, _LOST_SPACING * (2**losses - 1))
        spacings[key] = _Spacing(now.ticks + longest, now.ticks + longest, now.ticks + if_lost, losses)

    def issuer_failed(self, issuer: str, key: Key, kind: FailureKind, retry_after: float | None, now: Instant) -> None:
        """Note a failure of an issuer; a permanent one concerns this credential alone."""
        if kind is FailureKind.PERMANENT:
            self.credential_failed(key, kind, now, retry_after)
            return
        self._has_failed(key)
        self._of_issuers[issuer] = self._longer(self._of_issuers.get(issuer), kind, retry_after, now)

    def credential_failed(self, key: Key, kind: FailureKind, now: Instant, retry_after: float | None = None) -> None:
        """Note another failure of one credential: its key, its checks, the workers."""
        self._has_failed(key)
        self._of_credentials[key] = self._longer(self._of_credentials.get(key), kind, retry_after, now)

    def _has_failed(self, key: Key) -> None:
        # an operator sees the failure and can ask again; a compromised key must be replaced without
        # that
        asked = self._asked.pop(key, None)
        if asked is not None and asked.reason is RenewalReason.COMPROMISED:
            self._asked[key] = replace(asked, is_tried=True)

    def _longer(self, before: Wait | None, kind: FailureKind, retry_after: float | None, now: Instant) -> Wait:
        return wait_after(kind, 0 if before is None else before.failures, retry_after, self.jitter(), now.ticks)

    # -- across restarts: a process that crashes and starts again must not begin the table again,
    # nor forget a compromised key

    def remembered(self, now: Instant, trying: Iterable[str] = ()) -> Waits:
        """The waits with their remaining seconds, and the credentials with compromised keys, for a
        file.

        Issuers with a running attempt (`trying`) count as failed: a process that crashes repeatedly
        during an attempt must not ask them each time.
        """
        of_issuers = dict(self._of_issuers)
        for name in trying:
            of_issuers[name] = self._longer(of_issuers.get(name), FailureKind.TEMPORARY, None, now)
        return {
            "issuers": [[name, *_kept(one, now)] for name, one in of_issuers.items()],
            "credentials": [[*key, *_kept(one, now)] for key, one in self._of_credentials.items()],
            "compromised": [list(key) for key in self._asked if self.is_compromised(key)],
            "written": now.wall.isoformat(),
        }

    def remember(self, waits: Mapping[str, Any], now: Instant) -> None:
        """Restore what `remembered` returned.

        The time since then, by the time of day, counts as waited.

        Raises `ValueError` for another document.
        """
        try:
            gone = max(0.0, (now.wall - datetime.fromisoformat(waits["written"])).total_seconds())
            for name, *wait in waits["issuers"]:
                self._of_issuers[str(name)] = _taken_up(wait, gone, now)
            for identity, slot, *wait in waits["credentials"]:
                self._of_credentials[str(identity), str(slot)] = _taken_up(wait, gone, now)
            for identity, slot in waits["compromised"]:
                # waits hold for it: a process that ends repeatedly must not ask each time
                self._asked[str(identity), str(slot)] = _Asked(RenewalReason.COMPROMISED, insists=True, is_tried=True)
        except (KeyError, TypeError) as error:
            raise ValueError("not a record of waits that Plexigate wrote") from error

    def _standing(self, key: Key, facts: CredentialFacts, now: Instant, *, is_down: bool) -> RotationStatus:
        when = self._due(key, facts, now)
        asked = self._asked.get(key)
        expires = float("-inf") if is_down else self._expires(key, facts, now)
        waits = [one for one in (self._of_issuers.get(facts.wanted.issuer), self._of_credentials.get(key)) if one]
        ends = [one.end(expires) for one in waits if asked is None or not asked.skips(one)]
        if when.reason is RenewalReason.FLEET:  # no issuer is asked for it
            ends = [self._of_credentials[key].end(expires)] if key in self._of_credentials else []
        elif (
            asked is None and facts.imposed is None and facts.current is not None and _is_valid(facts.current, now.wall)
        ):
            ends += self._spacing_ends(key, when.reason)
        if when.reason is RenewalReason.LOST:
            ends.append(now.ticks + budget_seconds(facts.orders, facts.losses, now.wall))
        insists = asked is not None and asked.insists and not asked.is_tried
        return RotationStatus(
            when,
            urgency(facts.current, when, now.wall),
            failures=max((one.failures for one in waits), default=0),
            waits_seconds=max(0.0, max(ends, default=now.ticks) - now.ticks),
            heeds_seconds=0.0 if insists else heeded_seconds(expires, now.ticks),
        )

    def _spacing_ends(self, key: Key, reason: RenewalReason) -> Iterator[float]:
        """When the spacing after its own replacement ends, and that after those of its replicas."""
        for other, spacing in self._spacings.get(_replicas(key), {}).items():
            if other == key:
                yield spacing.if_lost if reason is RenewalReason.LOST else spacing.itself
            elif reason.is_scheduled:
                yield spacing.end

    def _expires(self, key: Key, facts: CredentialFacts, now: Instant) -> float | None:
        """When the serving certificate ends, on the monotonic clock; for a compromised key: long
        ago.
        """
        if self.is_compromised(key):
            return float("-inf")
        if facts.current is None:
            return float("-inf") if facts.is_unusable else None
        if facts.current.not_before > now.wall:  # refused as well as one that has expired
            return float("-inf")
        return now.ticks + (facts.current.not_after - now.wall).total_seconds()

    def _due(self, key: Key, facts: CredentialFacts, now: Instant) -> Due:
        if facts.imposed is RenewalReason.FLEET:
            return Due(now.wall, RenewalReason.FLEET)
        if key in self._asked:
            return Due(now.wall, self._asked[key].reason)
        if facts.current is None:
            return Due(now.wall, RenewalReason.UNUSABLE if facts.is_unusable else RenewalReason.FIRST)
        if facts.is_lost:
            return Due(now.wall, RenewalReason.LOST)
        if facts.imposed is not None:
            return Due(now.wall, facts.imposed)
        return due(facts.current, facts.wanted, self.renew_when_left, now.wall)

    def _begin_anew_where_changed(self, facts: Mapping[Key, CredentialFacts], now: Instant) -> None:
        """Forget the waits of a credential whose settings have changed.

        At the first look, take up what is left of the spacing after it was issued.
        """
        for key, one in facts.items():
            if key not in self._wanted and one.current is not None:
                longest = _longest_spacing(one.current.not_before, one.current.not_after, now.wall)
                age = (now.wall - one.current.key_made_at).total_seconds()
                if 0 <= age < longest:
                    taken_up = _Spacing(now.ticks + longest - age, now.ticks, now.ticks)
                    self._spacings.setdefault(_replicas(key), {}).setdefault(key, taken_up)
            if self._wanted.get(key, one.wanted) != one.wanted:
                self._of_credentials.pop(key, None)
                self._spacings.get(_replicas(key), {}).pop(key, None)
            self._wanted[key] = one.wanted


def _replicas(key: Key) -> tuple[str, str]:
    """The same for all replicas of a credential."""
    identity, slot = key
    return identity, kind_of(slot)


def _longest_spacing(not_before: datetime, not_after: datetime, now: datetime) -> float:
    share = (not_after - not_before).total_seconds() / 10
    return min(_MOST_SPACING, share, (not_after - now).total_seconds() / 2)


def _has_replica(key: Key, facts: Mapping[Key, CredentialFacts], now: datetime) -> bool:
    """Whether another credential signs in place of this one."""
    others = (one for other, one in facts.items() if other != key and _replicas(other) == _replicas(key))
    return any(one.current is not None and not one.is_lost and _is_valid(one.current, now) for one in others)


def _is_valid(current: Current, now: datetime) -> bool:
    return current.not_before <= now < current.not_after


def _kept(wait: Wait, now: Instant) -> list[object]:
    return [wait.failures, wait.until - now.ticks, wait.kind.value, wait.is_wish]


def _taken_up(wait: list[object], gone: float, now: Instant) -> Wait:
    failures, left, kind, is_wish = wait
    if not isinstance(failures, int) or not isinstance(left, int | float):
        raise TypeError
    left = min(max(0.0, float(left) - gone), LONGEST_RETRY_AFTER * 2)
    return Wait(failures, now.ticks, now.ticks + left, FailureKind(str(kind)), is_wish=bool(is_wish))
