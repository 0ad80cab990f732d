"""A request on its way to a server: which one gets it, what is sent, whether it is sent again."""

from collections.abc import Callable
from typing import Final

from mypy_extensions import mypyc_attr

from proxy.auth.grant import Grant
from proxy.downstream.requests.body import is_repeatable
from proxy.downstream.requests.refusals import RequestRefusal, all_down, upstream_failure
from proxy.downstream.requests.request import Request
from proxy.downstream.requests.targets import RouteTarget
from proxy.http.forwarded_head import upstream_head
from proxy.http.framing import RequestFraming
from proxy.http.responses import Response
from proxy.routes.templates import RequestValues
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.servers.server import Server
from proxy.upstream.servers.upstream import RequestFacts, Upstream

_GROUP_NAME: Final = len(b"X-TLS-Group: ")


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


@mypyc_attr(free_list_len=1)
class OutgoingRequest:
    """What is sent of one request, with what its route changes in it and in the response to it."""

    def __init__(self, request: Request, target: RouteTarget, fields: bytes, grant: Grant | None = None) -> None:
        """`fields` are the field lines for a body that continues as it came.

        The connection has them once for all of its requests that have the same ones. `grant` are
        fields that replace those of the client.
        """
        self._request: Final = request
        self._target: Final = target
        self._fields: Final = fields
        self._grant: Final = grant
        self._id = b""
        self.text = b""
        """The head, and behind it the body of a request that may be sent once more.

        It is empty if a part of the request was sent that is not kept.
        """

    def write_head(self, framing: RequestFraming, request_id: bytes) -> None:
        """Write the head. `framing` says how the body is sent."""
        request = self._request
        fields = self._fields
        edits = self._target.request_fields
        self._id = request_id
        if self._grant is not None:
            framing = framing.with_fields(self._grant.applied(framing.fields), framing.websocket)
        if framing is not request.framing:
            fields = request.fields_with(framing)
        if edits is not None:
            fields = request.edited_fields(edits, fields, self._values)
        target = None if self._target.path_change is None else request.changed_target
        self.text = upstream_head(request.head, framing, fields, self._id, target)

    def changed(self, response: Response) -> Response:
        """A final response, or a 101, with what the route changes in it."""
        path = self._target.path_change
        edits = self._target.response_fields
        if path is not None:
            response = path.in_response(response, self._request.framing.host_field)
        if edits is None:
            return response
        lines = self._request.response_lines(edits, self._values) if edits.needs_values else []
        return edits.in_response(response, lines)

    def _values(self) -> RequestValues:
        return request_values(self._request, self._id)


def request_values(request: Request, request_id: bytes) -> RequestValues:
    """What the variables in fields of a route stand for."""
    client = request.client
    group = client.peer.group[_GROUP_NAME:].partition(b"\r\n")[0]
    return RequestValues(client.shown, request.framing.host, request_id, group)
