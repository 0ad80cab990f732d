"""Events of alerts. Pure."""

from dataclasses import dataclass

from proxy.observe.events.event import Event, Level


@dataclass(frozen=True, slots=True)
class AlertRaised(Event):
    """Operator action is required. Written once, and again when it becomes more urgent.

    Follow `remedy`. `plexigate alerts` lists what is open.
    """

    event = "alert_raised"
    level = Level.ACTION

    kind: str
    """Kind of the alert, as docs/alerts.md lists them."""
    subject: str
    """What it is about."""
    urgency: str
    """`critical`, `serious` or `warning`."""
    text: str
    """What is wrong."""
    remedy: str
    """What to do."""

    def sentence(self) -> str:
        return f"alert ({self.urgency}): {self.text}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class AlertResolved(Event):
    """The cause of an alert is gone."""

    event = "alert_resolved"
    level = Level.INFORMATION

    kind: str
    """Kind of the alert."""
    subject: str
    """What it was about."""
    seconds: float
    """How long it was open."""

    def sentence(self) -> str:
        return f"the alert {self.kind} of {self.subject} is resolved after {self.seconds:.0f} s"


@dataclass(frozen=True, slots=True)
class AlertFailed(Event):
    """`alerts.command` or `alerts.webhook` did not take an alert. Written once; the alert is sent
    again until the receiver takes it.

    Correct the program or the address, then `plexigate alerts test`.
    """

    event = "alert_failed"
    level = Level.ACTION

    to: str
    """The program, or the host of the address."""
    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"an alert could not be sent to {self.to}, it is tried again: {self.detail}"


@dataclass(frozen=True, slots=True)
class AlertsArriveAgain(Event):
    """A receiver accepts alerts again after failures."""

    event = "alerts_arrive_again"
    level = Level.INFORMATION

    to: str
    """The program, or the host of the address."""
    attempts: int
    """Attempts that had failed."""
    dropped: int
    """Alerts that were dropped because too many waited."""

    def sentence(self) -> str:
        return (
            f"{self.to} accepts alerts again after {self.attempts} failed attempts; {self.dropped} alerts were dropped"
        )
