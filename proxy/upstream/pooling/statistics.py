"""The state and the figures of a server, for `status` and the metrics."""

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

    def __init__(self) -> None:
        self.requests = 0
        self.goaways = 0
        """Connections whose end the server announced."""
        self.refused = 0
        """Streams that it did not begin to process: it said so by RST_STREAM, or by its GOAWAY."""

    def follow(self, other: "StreamCounts") -> None:
        """Continue from the counts of another configuration of the same server."""
        self.requests = other.requests
        self.goaways = other.goaways
        self.refused = other.refused
