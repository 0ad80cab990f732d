"""The log lines of rotations, and which of them require operator action."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from certs.issuing.issuer import FailureKind
from certs.rotation.planning import Key, RotationStatus
from certs.rotation.urgency import Urgency
from proxy.observe.events.certificates import (
    CertificateUrgent,
    CredentialRotated,
    RevocationFailed,
    RotationBegun,
    RotationFailed,
    WindowUnknown,
)
from proxy.observe.events.event import Tell
from proxy.observe.scrape import RotationFacts
from proxy.rotation.running import NotRenewed, Renewed

_AGAIN_SECONDS: Final = {Urgency.LATE: 86_400.0, Urgency.GRAVE: 21_600.0, Urgency.EXPIRED: 3_600.0}
"""The time after which the log says again that a certificate is in danger."""

_OTHERS_SECONDS: Final = 60.0
"""So long the node that leads a fleet may take without a word from the others."""


class News:
    """Logs each event once. Logs a danger when it grows, and repeats this while it lasts."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told: dict[Key, tuple[Urgency, float]] = {}
        """The gravest urgency that was logged, and when."""
        self.errors: Mapping[Key, str] = {}
        """Why the latest attempt failed, by credential."""
        self._held: Mapping[Key, float] = {}
        """Since when this node leaves it to others to replace what is due."""
        self._late: Mapping[Key, str] = {}
        """Of these, what should have been replaced by now, and why this node does not."""
        self._refused: frozenset[Key] = frozenset()
        """Credentials whose latest attempt failed for good: the same request will fail again."""
        self._unrevoked: Mapping[Key, str] = {}
        """Why the certificates of compromised keys are still trusted."""

    def follow(self, keys: Collection[Key]) -> None:
        """Forget the credentials that are gone."""
        self.errors = {key: error for key, error in self.errors.items() if key in keys}
        self._refused = self._refused.intersection(keys)
        self._unrevoked = {key: why for key, why in self._unrevoked.items() if key in keys}

    def facts(self, standings: Mapping[Key, RotationStatus]) -> list[RotationFacts]:
        """How each credential is, for status, metrics and alerts."""
        return [
            RotationFacts(
                *(*key, int(one.urgency), one.failures, self._error(key)),
                is_refused=key in self._refused,
                unrevoked=self._unrevoked.get(key),
            )
            for key, one in standings.items()
        ]

    def begun(self, key: Key, reason: str) -> None:
        self._tell(RotationBegun(*key, reason))

    def renewed(self, key: Key, outcome: Renewed) -> None:
        self.errors = {one: error for one, error in self.errors.items() if one != key}
        self._refused -= {key}
        self._tell(CredentialRotated(*key, outcome.version, outcome.leaf.not_valid_after_utc.isoformat()))

    def failed(self, key: Key, outcome: NotRenewed) -> None:
        self.errors = {**self.errors, key: f"{outcome.step}: {outcome.detail}"}
        self._refused = self._refused | {key} if outcome.kind is FailureKind.PERMANENT else self._refused - {key}
        self._tell(RotationFailed(*key, outcome.step.value, outcome.kind.value, outcome.detail))

    def revoked(self, key: Key, faults: Sequence[str]) -> None:
        """A compromised key was revoked, or clients still trust it because of `faults`."""
        rest = {one: why for one, why in self._unrevoked.items() if one != key}
        self._unrevoked = {**rest, key: faults[0]} if faults else rest
        for fault in faults:
            self._tell(RevocationFailed(*key, fault))

    def held(self, keys: Collection[Key], why: str, ticks: float) -> None:
        """This node does not replace exactly these, which are due: another one should, soon."""
        self._held = {key: self._held.get(key, ticks) for key in keys}
        self._late = {key: why for key, since in self._held.items() if ticks - since >= _OTHERS_SECONDS}

    def window_unknown(self, issuer: str, error: str) -> None:
        """An issuer did not say when to renew."""
        self._tell(WindowUnknown(issuer, error))

    def standings(self, standings: Mapping[Key, RotationStatus], ticks: float) -> None:
        """Log credentials in danger whose rotation has failed at least once."""
        for key, standing in standings.items():
            error = self._error(key)
            if error is None or not standing.urgency.alerts:
                self._told.pop(key, None)
                continue
            before, told_at = self._told.get(key, (Urgency.CALM, 0.0))
            if standing.urgency <= before and ticks - told_at < _AGAIN_SECONDS[standing.urgency]:
                continue
            self._told[key] = (standing.urgency, ticks)
            self._tell(CertificateUrgent(*key, standing.urgency.name.lower(), standing.due.reason.value, error))

    def _error(self, key: Key) -> str | None:
        return self._late.get(key) or self.errors.get(key)
