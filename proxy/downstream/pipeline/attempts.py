"""Which server a request goes to next, and whether it may be sent once more."""

from collections.abc import Callable
from typing import Final

from mypy_extensions import mypyc_attr

from proxy.downstream.requests.body import is_repeatable
from proxy.downstream.requests.refusals import RequestRefusal, all_down, upstream_failure
from proxy.downstream.requests.request import Request
from proxy.http.responses import Response
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.servers.server import Server
from proxy.upstream.servers.upstream import RequestFacts, Upstream


@mypyc_attr(free_list_len=1)
class Attempts:
    """Chooses the next server, and remembers those that were tried."""

    server: Server

    def __init__(self, upstream: Upstream, request: Request, wall_clock: Callable[[], float]) -> None:
        """`wall_clock` gives UNIX seconds."""
        self._upstream: Final = upstream
        self._request: Final = request
        self._facts: RequestFacts | None = None
        if upstream.reads_requests:
            self._facts = RequestFacts(request.client.shown, request.head.headers, wall_clock())
        self._tried: tuple[Server, ...] = ()
        self._binding = b""
        self._was_repeated = False
        self._was_stale = False

    def next_server(self) -> Server | None:
        """A server that was not tried yet, None if none is left. The request now belongs to it."""
        server = self._upstream.choose(self._facts, self._tried)
        if server is not None:
            self.server = server
            self._tried = (*self._tried, server)
            if self._facts is not None:
                self._binding = self._upstream.binding(self._facts, server)
        return server

    def refusal(self, failure: UpstreamFailure | None) -> RequestRefusal:
        """The answer after this last failure, or after none: then no server could be asked."""
        return all_down(self._upstream.retry_after) if failure is None else upstream_failure(failure)

    def last_word(self, failure: UpstreamFailure) -> UpstreamFailure | None:
        """The failure to answer with at once; None if the next server may be tried."""
        return self._upstream.last_word(failure, self._tried)

    def may_repeat(self, sent: bytes, failure: UpstreamFailure, *, is_excused: bool) -> bool:
        """Whether a request may be sent once more, because a connection was lost with it.

        `sent` is all of it, or empty if we do not have all of it. `is_excused`: see
        `ResponseReceiver`.

        - Its reused connection was dead: once, also to the same server. The other unused
          connections of the server are as old. They are closed, because a second dead connection
          would fail the request.
        - The server ended the connection before a byte of its answer: to each other server, and to
          the same one once if there is no other.
        - The server refused it: it was not processed, so every method may be sent once more (RFC
          9113 8.7), to another server.
        """
        is_refused = failure.fault is UpstreamFault.REFUSED
        is_closed = failure.fault is UpstreamFault.CLOSED
        may = is_refused or (is_closed and is_repeatable(self._request.head.method))
        is_stale = is_closed and is_excused
        has_another = self._upstream.has_another(self._tried)
        is_used_up = self._was_stale if is_stale else self._was_repeated and (is_refused or not has_another)
        if not (may and sent) or is_used_up or not self._upstream.may_retry():
            return False
        if is_stale:
            self._was_stale = True
            self.server.close_idle()
        else:
            self._was_repeated = True
        if is_stale or not (is_refused or has_another):
            self._tried = self._tried[:-1]
        return True

    def bound(self, response: Response) -> Response:
        """The response with the cookie that binds its client to the server, if there is one."""
        binding = self._binding
        return response.with_lines([*response.forwarded, binding]) if binding else response
