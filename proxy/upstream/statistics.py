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


class StreamCounts:
    """What was counted of the HTTP/2 of one server. All stays zero if it speaks HTTP/1.1."""

    __slots__ = ("goaways", "refused", "requests")

    def __init__(self) -> None:
        """All counts are zero."""
        self.requests = 0
        self.goaways = 0
        """Connections whose end the server announced."""
        self.refused = 0
        """Streams that it did not begin to process: it said so by RST_STREAM, or by its GOAWAY."""

    def follow(self, other: "StreamCounts") -> None:
        """Continue from the counts of another configuration of the same server."""
        self.requests, self.goaways, self.refused = other.requests, other.goaways, other.refused


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
    streams_open: int
    """Streams of HTTP/2 that are lent: requests and WebSockets."""
    http2_requests: int
    """Those of `requests` that came while it spoke HTTP/2."""
    http2_goaways: int
    http2_refused: int
    """See `StreamCounts`."""
