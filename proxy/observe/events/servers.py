"""Events of the servers behind the proxy. Pure."""

from dataclasses import dataclass

from proxy.observe.events.event import Event, Level


@dataclass(frozen=True, slots=True)
class ServerUp(Event):
    """Health checks of a server succeed again. It gets requests."""

    event = "server_up"
    level = Level.INFORMATION

    upstream: str
    """Name of the upstream."""
    server: str
    """URL of the server."""

    def sentence(self) -> str:
        return f"server {self.server} of upstream {self.upstream} is up"


@dataclass(frozen=True, slots=True)
class ServerDown(Event):
    """Health checks of a server fail. It gets no requests until they succeed again.

    Check the server.
    """

    event = "server_down"
    level = Level.ACTION

    upstream: str
    """Name of the upstream."""
    server: str
    """URL of the server."""

    def sentence(self) -> str:
        return f"server {self.server} of upstream {self.upstream} is down"


@dataclass(frozen=True, slots=True)
class ServerDraining(Event):
    """`plexigate drain` took a server out: it gets no new requests. Its WebSockets may stay for
    `seconds`."""

    event = "server_draining"
    level = Level.INFORMATION

    upstream: str
    """Name of the upstream."""
    server: str
    """URL of the server."""
    seconds: float
    """Seconds until its WebSockets are closed."""
    warning: str | None = None
    """Says that no other server of the upstream takes requests. Otherwise the field is missing."""

    def sentence(self) -> str:
        warning = "" if self.warning is None else f"; {self.warning}"
        return (
            f"server {self.server} of upstream {self.upstream} gets no new requests; "
            f"its WebSockets have {self.seconds:g} s{warning}"
        )


@dataclass(frozen=True, slots=True)
class ServerUndrained(Event):
    """`plexigate undrain` returned a server to service: it gets requests again."""

    event = "server_undrained"
    level = Level.INFORMATION

    upstream: str
    """Name of the upstream."""
    server: str
    """URL of the server."""

    def sentence(self) -> str:
        return f"server {self.server} of upstream {self.upstream} gets requests again"


@dataclass(frozen=True, slots=True)
class HealthChecksNotMade(Event):
    """The proxy itself could not make health checks. Servers keep the state that the last checks
    found. Written at most once a minute.

    Mostly file descriptors are short: raise `LimitNOFILE=`.
    """

    event = "health_checks_not_made"
    level = Level.ACTION

    upstream: str
    """Name of the upstream of one such server."""
    server: str
    """URL of that server."""
    detail: str
    """Reason."""
    servers: int
    """Servers whose latest check could not be made."""
    not_made: int
    """Checks that could not be made, since the start."""

    def sentence(self) -> str:
        others = "" if self.servers == 1 else f" and of {self.servers - 1} more"
        return (
            f"the health check of {self.server} of upstream {self.upstream}{others} could not be made: {self.detail}; "
            "until it can, the previous result counts"
        )


@dataclass(frozen=True, slots=True)
class HealthChecksMade(Event):
    """All health checks can be made again."""

    event = "health_checks_made"
    level = Level.INFORMATION

    not_made: int
    """Checks that could not be made, since the start."""

    def sentence(self) -> str:
        return f"all health checks are made again; {self.not_made} could not be made so far"
