"""What answers one request, an exchange with a server or the proxy itself, and what it counts."""

from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from proxy.auth.grant import Grant
from proxy.downstream.requests.refusals import RequestRefusal
from proxy.downstream.requests.request import Request
from proxy.http.framing import BodyKind
from proxy.limits.networks import EXEMPT
from proxy.upstream.pooling.client_link import NO_LINK, ClientLink
from proxy.upstream.servers.upstream import Upstream

if TYPE_CHECKING:
    from proxy.downstream.pipeline.contracts import PendingGuard
    from proxy.downstream.requests.targets import RouteTarget


@mypyc_attr(acyclic=True, free_list_len=1)
class RequestTally:
    """Counts of body bytes, and moments of the service's stopwatch."""

    def __init__(self, request_id: bytes, started: float) -> None:
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


class Responder:
    """One request whose head was read, and its answer.

    The pipeline makes it, and calls `refused_by`, which bounds the body. Then the connection may
    hand over what came with the head, by `receive`. Then the pipeline calls `start`.

    It is a class and not a protocol, because a call through a protocol costs compiled code more.
    """

    def __init__(self, request: Request, tally: RequestTally, mark: bytes = b"") -> None:
        """`tally` has its beginning; `mark` are further field lines of an error that answers it."""
        self.request: Final = request
        self.tally: Final = tally
        """What the log will say about the request."""
        self.mark: Final = mark
        self.holder = EXEMPT
        """The client network that its connection to a server counts for."""
        self.link: ClientLink = NO_LINK
        """The connection of its client, for servers that want a PROXY header."""
        self.target: RouteTarget | None = None
        """The route of the request, also if the route refuses it; None if there is none."""
        self.refusal: RequestRefusal | None = None
        """What answers a request that does not pass the pipeline; it is never started."""
        self.guard: PendingGuard | None = None
        """What decides whether it may start, while that takes time."""
        self.is_request_complete = not request.framing.length and request.framing.body is not BodyKind.CHUNKED

    @property
    def response_bytes(self) -> int:
        """How much of the body of the answer there was so far."""
        return self.tally.response_bytes

    def refused_by(self, limit: int) -> RequestRefusal | None:
        """Limit the body to `limit` bytes.

        Returns the refusal if the head announces more, or if the request cannot be taken.
        """
        raise NotImplementedError

    def receive(self, data: bytes) -> bytes:
        """Take bytes that came behind the head. Returns those that belong to the next request.

        `proceed` comes next. Raises `MalformedMessage` for a body that breaks the rules (400) or
        the limit (413).
        """
        raise NotImplementedError

    def end_request(self) -> None:
        """The body is complete, because its stream has ended (HTTP/2). `proceed` comes next.

        Raises `MalformedMessage` as `receive` does.
        """
        raise NotImplementedError

    def hurry(self) -> None:
        """Gather no more of the body before a server is asked. `proceed` comes next."""

    @property
    def keeps_body(self) -> bool:
        return True

    def start(self, fields: bytes, grant: Grant | None = None, upstream: Upstream | None = None) -> None:
        """Answer, once enough of the request was received. `fields` are its lines for a server.

        `grant` are fields that replace those of the client. `upstream` is that of the target, for a
        request that waited: the current configuration may not have it any more.
        """
        raise NotImplementedError

    def proceed(self) -> None:
        """Go on with the body that was received; it may end the request."""
        raise NotImplementedError

    @property
    def holds_client_back(self) -> bool:
        """Whether the client rightly waits for a 100 before its body (RFC 9110 section 10.1.1)."""
        return False

    @property
    def has_responded(self) -> bool:
        """Whether the client has a part of the final response, but not all of it."""
        return False

    def pause_response(self) -> None:
        """The client takes no more."""

    def resume_response(self) -> None:
        """The client takes more again."""

    def abandon(self) -> None:
        """The client is gone, or got an error as its answer: stop all work on the request."""
        if self.guard is not None:
            self.guard.abandon()
