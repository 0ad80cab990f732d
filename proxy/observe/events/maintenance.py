"""Events of routes that an operator takes out of service. Pure."""

from dataclasses import dataclass

from proxy.observe.events.event import Event, Level


@dataclass(frozen=True, slots=True)
class MaintenanceBegun(Event):
    """`plexigate maintenance on` took a route out of service: its clients get 503, and its
    WebSockets end within `limits.drain_timeout`."""

    event = "maintenance_begun"
    level = Level.INFORMATION

    route: str
    """Name of the route."""
    retry_after: int
    """Seconds, in the Retry-After field of the answers."""
    allowed: str | None = None
    """The networks whose clients are served anyway. Otherwise the field is missing."""

    def sentence(self) -> str:
        but = "" if self.allowed is None else f"; clients of {self.allowed} are served"
        return f"route {self.route} is under maintenance: clients get 503{but}"


@dataclass(frozen=True, slots=True)
class MaintenanceEnded(Event):
    """`plexigate maintenance off` put a route back into service."""

    event = "maintenance_ended"
    level = Level.INFORMATION

    route: str
    """Name of the route."""

    def sentence(self) -> str:
        return f"route {self.route} is back in service"
