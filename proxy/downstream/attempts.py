"""Which servers one request was tried at, and whether it may be tried once more."""

from typing import TYPE_CHECKING, Final

from proxy.downstream.refusals import Refusal
from proxy.upstream.failures import UpstreamFailure, UpstreamFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.upstream.server import Server
    from proxy.upstream.upstream import RequestFacts, Upstream


class Attempts:
    """The request is at `server` from the moment when that is chosen."""

    __slots__ = ("_facts", "_tried", "_upstream", "_was_repeated", "binding", "server")

    server: "Server"

    def __init__(self, upstream: "Upstream", facts: "Callable[[], RequestFacts]") -> None:
        """None was made. `facts` are asked for if the choice depends on them."""
        self._upstream: Final = upstream
        self._facts: Final = facts
        self._tried: tuple[Server, ...] = ()
        self._was_repeated = False
        self.binding = b""
        """The field line that binds the client to the server, if it has to be told."""

    def choose(self) -> "Server | None":
        """Choose a server that was not tried yet; None if there is none (left)."""
        upstream = self._upstream
        facts = self._facts() if upstream.reads_requests else None
        server = upstream.choose(facts, self._tried)
        if server is not None:
            self._tried = (*self._tried, server)
            self.server = server
            if facts is not None:
                self.binding = upstream.binding(facts, server)
        return server

    def nowhere(self) -> Refusal:
        """The answer to a request that found no server."""
        fault = UpstreamFault.ALL_DOWN
        return Refusal(fault.status, fault.sentence, fault.sentence, retry_after=self._upstream.retry_after)

    def elsewhere(self, failure: UpstreamFailure) -> "Server":
        """The next server for a request that was not sent, which is safe for every method. Raises `UpstreamFailure`."""
        if failure.fault is UpstreamFault.BUSY or len(self._tried) == len(self._upstream.servers):
            raise failure
        if not self._upstream.may_retry():
            raise UpstreamFailure(failure.fault, f"{failure.detail}; the retry budget is spent")
        server = self.choose()
        if server is None:
            raise failure
        return server

    def may_repeat(self) -> bool:
        """Whether a request may be sent once more that its connection has lost; it begins anew then, as if it had just come."""
        if self._was_repeated or not self._upstream.may_retry():
            return False
        self._was_repeated = True
        # its other unused connections are as old, and a second one that is dead would be the end of this request
        self.server.close_idle()
        self._tried = ()
        return True
