"""What all responders of a request have in common."""

from typing import TYPE_CHECKING

from proxy.downstream.requests import Request
from proxy.downstream.tally import RequestTally
from proxy.http.framing import BodyKind
from proxy.limits.networks import EXEMPT
from proxy.upstream.client_link import NO_LINK

if TYPE_CHECKING:
    from proxy.downstream.admission import RouteTarget
    from proxy.downstream.contracts import PendingGuard


class Responding:
    """Base of each `Responder`: one request whose head was read."""

    __slots__ = ("guard", "holder", "is_request_complete", "link", "tally", "target")

    def __init__(self, request: Request, tally: RequestTally) -> None:
        """`tally` has its beginning."""
        self.tally = tally
        self.holder = EXEMPT
        """The client network that its connection to a server counts for."""
        self.link = NO_LINK
        """The connection of its client, for servers that want a PROXY header."""
        self.target: RouteTarget | None = None
        """Also of a request that its route refuses."""
        self.guard: PendingGuard | None = None
        """What decides whether it may start, while that takes time."""
        self.is_request_complete = not request.framing.length and request.framing.body is not BodyKind.CHUNKED

    def abandon(self) -> None:
        """The client is gone, or its request was malformed: stop all work on it."""
        if self.guard is not None:
            self.guard.abandon()
