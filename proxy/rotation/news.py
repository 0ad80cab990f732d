"""The log lines and the alarms of rotations."""

import asyncio
from collections.abc import Mapping
from typing import Final

from certs.issuing.issuer import FailureKind
from certs.rotation.planning import Key, RotationStatus
from certs.rotation.urgency import Urgency
from config.rotation import RotationConfig
from proxy.net.tasks import Tasks
from proxy.observe.events.certificates import (
    CertificateUrgent,
    CredentialRotated,
    RevocationFailed,
    RotationBegun,
    RotationFailed,
)
from proxy.observe.events.event import Event, Tell
from proxy.rotation.alerts import Alerts
from proxy.rotation.running import NotRenewed, Renewed

_AGAIN_SECONDS: Final = {Urgency.LATE: 86_400.0, Urgency.GRAVE: 21_600.0, Urgency.EXPIRED: 3_600.0}
"""The time after which an alarm is repeated: a message may be lost, a person may sleep."""


class News:
    """Logs each event once. Alarms when the urgency grows, and repeats this while it lasts."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tasks: Tasks, tell: Tell) -> None:
        """The first alarm of each credential comes at once."""
        self._tasks = tasks
        self._tell = tell
        self._alerts = Alerts(loop, tell)
        self._told: dict[Key, tuple[Urgency, float]] = {}
        """The gravest urgency that an alarm was sent for, and when."""

    def begun(self, key: Key, reason: str) -> None:
        """A rotation begins."""
        self._tell(RotationBegun(*key, reason))

    def renewed(self, key: Key, outcome: Renewed) -> None:
        """A rotation has succeeded."""
        self._tell(CredentialRotated(*key, outcome.version, outcome.leaf.not_valid_after_utc.isoformat()))

    def failed(self, key: Key, outcome: NotRenewed, settings: RotationConfig) -> None:
        """A rotation has failed. A permanent fault alarms at once, even if much time is left."""
        event = RotationFailed(*key, outcome.step.value, outcome.kind.value, outcome.detail)
        self._tell(event)
        if outcome.kind is FailureKind.PERMANENT:
            self._alarm(event, settings)

    def unrevoked(self, key: Key, detail: str, settings: RotationConfig) -> None:
        """Clients still trust the certificate of a compromised key."""
        event = RevocationFailed(*key, detail)
        self._tell(event)
        self._alarm(event, settings)

    def standings(
        self,
        standings: Mapping[Key, RotationStatus],
        errors: Mapping[Key, str | None],
        settings: RotationConfig,
        ticks: float,
    ) -> None:
        """Alarm about credentials in danger whose rotation has failed at least once."""
        for key, standing in standings.items():
            error = errors[key]
            if error is None or not standing.urgency.alerts:
                self._told.pop(key, None)
                continue
            before, told_at = self._told.get(key, (Urgency.CALM, 0.0))
            if standing.urgency <= before and ticks - told_at < _AGAIN_SECONDS[standing.urgency]:
                continue
            self._told[key] = (standing.urgency, ticks)
            event = CertificateUrgent(*key, standing.urgency.name.lower(), standing.due.reason.value, error)
            self._tell(event)
            self._alarm(event, settings)

    def _alarm(self, event: Event, settings: RotationConfig) -> None:
        if settings.alert_command or settings.alert_webhook:
            self._tasks.start(self._alerts.send(event, settings.alert_command, settings.alert_webhook))
