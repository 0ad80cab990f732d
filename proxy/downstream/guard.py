"""What a route demands of a request before anything answers it, and that takes time.

Theory of operation. The responder of a request is chosen, and has not started. The client sends no
more of a body meanwhile, and no server knows of the request. A guard either lets the request pass,
which starts the responder, or has the client refused. If the client leaves, the responder abandons
its guard.
"""

from typing import Final

from proxy.auth.grant import Grant
from proxy.downstream.admission import RouteTarget
from proxy.downstream.contracts import Client, Responder
from proxy.downstream.requests import Request
from proxy.downstream.service import HttpService


class Guard:
    """One request that waits for a decision."""

    __slots__ = ("_client", "_request", "_responder", "_service", "_target", "_upstream", "is_over")

    def __init__(
        self, responder: Responder, target: RouteTarget, request: Request, client: Client, service: HttpService
    ) -> None:
        """`begin` comes next."""
        self._responder: Final = responder
        self._target: Final = target
        self._request: Final = request
        self._client: Final = client
        self._service: Final = service
        # taken now: a reload may remove the name while the request waits
        self._upstream: Final = service.runtime.upstreams.get(target.upstream)
        self.is_over = False
        """Whether it is decided, or the client has left."""

    def begin(self) -> None:
        """Find out; the answer may come at once."""
        raise NotImplementedError

    def wait(self) -> None:
        """The answer comes later: until then the client keeps its body."""
        if not self.is_over:
            self._responder.guard = self
            if not self._responder.is_request_complete:
                self._client.pause_request()

    def abandon(self) -> None:
        """The client waits no more."""
        self.is_over = True

    def pass_on(self, grant: Grant) -> None:
        """Let the request go on, with these fields."""
        self.is_over = True
        responder, request = self._responder, self._request
        if self._target.withheld is not None:
            grant = grant.beside(self._target.withheld)
        if responder.guard is not None:
            responder.guard = None
            if not responder.is_request_complete:
                self._client.resume_request()  # first: a responder that has enough pauses it again
        responder.start(self._target, request.upstream_fields(), grant, self._upstream)
