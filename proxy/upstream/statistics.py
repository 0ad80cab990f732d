"""The state and the figures of a server, for `status` and the metrics."""

from dataclasses import dataclass
from enum import StrEnum


class ServerState(StrEnum):
    """Whether a server gets requests, and if not, why."""

    UP = "up"
    SLOW_START = "slow-start"
    EJECTED = "ejected"
    """It failed requests, and is left out unless too many others are as well."""
    DOWN = "down"
    """Active checks say so."""
    DRAINING = "draining"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """One server of one upstream: its state now, and its figures since the start of this worker."""

    upstream: str
    server: str
    state: str
    open: int
    idle: int
    dialling: int
    waiting: int
    requests: int
    websockets: int
    failures: int
    """Connections that could not be made, and requests without a (whole) response."""
    ejections: int
    wait_seconds: float
    """All waits for a free connection together."""
