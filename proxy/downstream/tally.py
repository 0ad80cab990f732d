"""What the log will say about a request that is under way. Pure."""


class RequestTally:
    """Counts of body bytes, and moments of the service's stopwatch."""

    __slots__ = (
        "first_byte",
        "request_bytes",
        "request_id",
        "response_bytes",
        "route",
        "server",
        "started",
        "status",
    )

    def __init__(self, request_id: bytes, started: float) -> None:
        """A request whose head was read."""
        self.request_id = request_id
        self.started = started
        self.first_byte: float | None = None
        """When the response began; None while there is none."""
        self.request_bytes = 0
        """Of the body as the client sent it."""
        self.response_bytes = 0
        """Of the body as the client gets it."""
        self.status = 0
        self.server: str | None = None
        """The server that was asked last."""
        self.route: str | None = None

    def seconds(self, now: float) -> tuple[float, float]:
        """How long the request took until the response began, and until now."""
        duration = now - self.started
        return (duration if self.first_byte is None else self.first_byte - self.started), duration
