"""`[alerts]`: who gets an alert when operator action is required, and how often. Pure."""

from datetime import timedelta

from config.values.durations import Duration
from config.values.kinds import Table
from config.values.webhook import OptionalWebhook


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
