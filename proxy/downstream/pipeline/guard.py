"""What decides whether a request may continue, and may take time for that.

Theory of operation. The responder of a request is chosen, and has not started. The client sends no
more of a body meanwhile, and no server knows of the request. A guard either lets the request pass,
which starts the responder, or has the client refused. If the client leaves, the responder abandons
its guard.
"""

from typing import Final

from proxy.auth.grant import Grant
from proxy.downstream.pipeline.contracts import Client
from proxy.downstream.pipeline.responder import Responder
from proxy.downstream.requests.refusals import RequestRefusal
from proxy.downstream.service.service import HttpService
from proxy.upstream.servers.upstream import Upstream


class Guard:
    """One request that waits for a decision."""

    def __init__(self, responder: Responder, client: Client, service: HttpService) -> None:
        target = responder.target
        assert target is not None  # the rule that it keeps is that of the target
        self._responder: Final = responder
        self._request: Final = responder.request
        self._client: Final = client
        self._service: Final = service
        # taken now: a reload may remove the name while the request waits
        self._upstream: Final = service.runtime.upstreams.get(target.upstream)
        self.is_over = False
        """Whether it is decided, or the client has left."""

    def wait(self) -> None:
        """Until the decision comes, the client keeps its body; nothing if it came already."""
        if not self.is_over:
            self._responder.guard = self
            if not self._responder.is_request_complete:
                self._client.pause_request()

    def abandon(self) -> None:
        self.is_over = True

    def decide(self, verdict: Grant | RequestRefusal) -> None:
        """Tell what was found, after `wait` or before it."""
        self.is_over = True
        responder = self._responder
        if responder.guard is not None and isinstance(verdict, Grant):
            responder.guard = None
            if not responder.is_request_complete:
                self._client.resume_request()  # first: a responder that has enough pauses it again
        settle(verdict, responder, self._client, self._upstream)


def settle(
    verdict: Grant | RequestRefusal, responder: Responder, client: Client, upstream: Upstream | None = None
) -> None:
    """Have a request answered with the fields of a grant, or refused."""
    if isinstance(verdict, RequestRefusal):
        client.refuse(verdict)
        return
    target = responder.target
    assert target is not None  # who may use it was found out
    grant = verdict if target.withheld is None else verdict.beside(target.withheld)
    responder.start(responder.request.upstream_fields(), grant, upstream)
