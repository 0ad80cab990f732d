"""What is told about rotations: to the log, and to those who are to be alarmed."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from certs.issuing.issuer import FailureKind
from certs.rotation.planning import Key, Standing
from certs.rotation.urgency import Urgency
from config.rotation import RotationConfig
from proxy.rotation.alerts import Alerts
from proxy.rotation.running import NotRenewed, Renewed
from proxy.tasks import Tasks

Tell = Callable[[dict[str, Any], str], None]


class News:
    """Tells each thing once: an alarm only when it is graver than the one before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tasks: Tasks, tell: Tell) -> None:
        """`tell` logs an event with its line."""
        self._tasks = tasks
        self._tell = tell
        self._alerts = Alerts(loop, tell)
        self._told: dict[Key, Urgency] = {}

    def begun(self, key: Key, reason: str) -> None:
        """A rotation begins."""
        identity, slot = key
        event = {"event": "rotation", "identity": identity, "credential": slot, "reason": reason}
        self._tell(event, f"rotating the {slot} credential of {identity}: {reason}")

    def renewed(self, key: Key, outcome: Renewed) -> None:
        """It came to its end."""
        identity, slot = key
        end = outcome.leaf.not_valid_after_utc
        event = {"event": "rotated", "identity": identity, "credential": slot, "version": outcome.version}
        line = f"the {slot} credential of {identity} is a new one in all workers, valid until {end:%Y-%m-%d %H:%M} UTC"
        self._tell({**event, "not_after": end.isoformat()}, line)

    def failed(self, key: Key, outcome: NotRenewed, settings: RotationConfig) -> None:
        """It did not; what will not mend itself alarms at once, however much time is left."""
        identity, slot = key
        event = {
            "event": "rotation_failed",
            "identity": identity,
            "credential": slot,
            "step": outcome.step.value,
            "kind": outcome.kind.value,
            "detail": outcome.detail,
        }
        line = f"the {slot} credential of {identity} was not rotated ({outcome.step}): {outcome.detail}; what there is goes on"
        self._tell(event, line)
        if outcome.kind is FailureKind.PERMANENT:
            self._alarm(event, settings)

    def standings(
        self, standings: Mapping[Key, Standing], errors: Mapping[Key, str | None], settings: RotationConfig
    ) -> None:
        """Alarm about what has become graver; what did not fail yet is being tried, and no news."""
        for key, standing in standings.items():
            error, before = errors[key], self._told.get(key, Urgency.CALM)
            self._told[key] = Urgency.CALM if error is None else standing.urgency
            if error is None or standing.urgency <= before or not standing.urgency.alerts:
                continue
            identity, slot = key
            event = {
                "event": "certificate_urgent",
                "identity": identity,
                "credential": slot,
                "urgency": standing.urgency.name.lower(),
                "reason": standing.due.reason.value,
                "detail": error,
            }
            self._tell(event, f"the {slot} credential of {identity} is {event['urgency']}: {error}")
            self._alarm(event, settings)

    def _alarm(self, event: Mapping[str, Any], settings: RotationConfig) -> None:
        if settings.alert_command or settings.alert_webhook:
            self._tasks.start(self._alerts.send(event, settings.alert_command, settings.alert_webhook))
