"""`[alerts]`: who gets an alert when operator action is required, and how often. Pure.

`rotation.alert_command` and `rotation.alert_webhook` are the deprecated names of the two targets.
They are accepted with a warning.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from config.tables.rotation import RotationConfig
from config.values.durations import Duration
from config.values.kinds import Table
from config.values.omissions import Omissions
from config.values.problems import Problem, Severity
from config.values.webhook import OptionalWebhook

_FORMER: Final = {"alert_command": "command", "alert_webhook": "webhook"}


class AlertRepeatConfig(Table):
    """`[alerts.repeat]`: after which time an alert is sent again, by its urgency."""

    critical: Duration = timedelta(hours=1)
    serious: Duration = timedelta(hours=6)
    warning: Duration = timedelta(days=1)


class AlertsConfig(Table):
    """`[alerts]`: `command` gets an alert as JSON on standard input, `webhook` as a POST.

    `certificate_left`: how much of the lifetime of a certificate from a file is left when it raises
    an alert. `resolve_after`: how long a fault has to be gone before its alert is resolved.
    """

    command: tuple[str, ...] = ()
    webhook: OptionalWebhook = None
    certificate_left: Duration = timedelta(days=21)
    resolve_after: Duration = timedelta(seconds=30)
    repeat: AlertRepeatConfig = AlertRepeatConfig()


def alert_problems(
    alerts: AlertsConfig, rotation: RotationConfig, file: str, omissions: Omissions
) -> Iterator[Problem]:
    """The previous keys: a warning for each, an error where the new key is there too."""
    for former, key in _FORMER.items():
        if not getattr(rotation, former):
            continue
        place = omissions.key("rotation", former)
        if getattr(alerts, key):
            found = f"this key together with alerts.{key}"
            yield Problem(file, place, found, f"only alerts.{key}: it has replaced this key")
        else:
            found = "the deprecated name of a key"
            better = f"{key} in [alerts]: it gets all alerts, as this key does now"
            yield Problem(file, place, found, better, Severity.WARNING)
