"""One request and its response, streamed both ways.

Theory of operation. The downstream connection feeds request bytes in (`receive`, then `proceed`), the upstream connection feeds the
response in (`response_*`). The request is decided upon, and its body is gathered (see `request_body`), before an upstream is asked for a
connection. From then on each side is paused while the other takes no more: the client at once, the server when there is no more room
for a client that is slow (see `response_buffer`).
"""

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from proxy.downstream.admission import RouteTarget
from proxy.downstream.contracts import Client, Encryptable
from proxy.downstream.refusals import RequestRefusal, all_down, body_too_long
from proxy.downstream.request_body import CONTINUE, RequestBody, framed, is_repeatable
from proxy.downstream.service import HttpService
from proxy.http.chunked import encode_chunk, encode_trailers
from proxy.http.framing import BodyKind, Delivery, RequestFraming
from proxy.http.head import Header, RequestHead
from proxy.http.headers import (
    client_address,
    delivery_frame,
    downstream_head,
    forwardable_trailers,
    informational_head,
    switching_head,
    upstream_fields,
    upstream_head,
)
from proxy.http.responses import Response
from proxy.http.websocket import Extensions
from proxy.limits.networks import EXEMPT
from proxy.net.byte_stream import ByteStream
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.failures import UpstreamFailure
from proxy.upstream.upstream import RequestFacts

if TYPE_CHECKING:
    from proxy.upstream.contracts import Tunnelling
    from proxy.upstream.server import Server
    from proxy.upstream.upstream import Upstream

_CONTINUE: Final = 100
_SERVER_ERROR: Final = 500


class _ExchangeState(Enum):
    NEW = auto()
    GATHERING = auto()
    """For enough of the body."""
    WAITING = auto()
    """For an upstream connection."""
    SENT = auto()
    """The head is with the upstream; no final response yet."""
    RESPONDING = auto()
    OVER = auto()


class Exchange:
    """One request under way, and what the log will say about it: counts of body bytes, times of the stopwatch."""

    mark: bytes = b""  # field lines of an answer of ours to it
    __slots__ = (
        "_binding",
        "_body",
        "_client",
        "_connection",
        "_delivery",
        "_framing",
        "_head",
        "_is_client_paused",
        "_out",
        "_request",
        "_said_continue",
        "_service",
        "_state",
        "_tried",
        "_upstream",
        "_was_repeated",
        "first_byte",
        "holder",
        "is_request_complete",
        "request_bytes",
        "request_id",
        "response_bytes",
        "route",
        "server",
        "started",
        "status",
    )

    def __init__(
        self, client: Client, service: HttpService, head: RequestHead, framing: RequestFraming, request_id: bytes
    ) -> None:
        """A request whose head was read; `decide` comes next."""
        self._client = client
        self._service = service
        self._head = head
        self._framing = framing
        self.request_id = request_id
        self.holder = EXEMPT  # the client network that its connection to a server counts for
        self.started = service.stopwatch()
        self.first_byte: float | None = None
        self.request_bytes = self.response_bytes = self.status = 0
        self.server: str | None = None
        self.route: str | None = None
        self.is_request_complete = not framing.length and framing.body is not BodyKind.CHUNKED
        limits, clock = service.runtime.limits.bodies, service.clock
        self._body = None if self.is_request_complete else RequestBody(framing, limits, clock)
        self._out = b""
        self._connection: UpstreamConnection | None = None
        self._delivery: Delivery | None = None
        self._tried: tuple[Server, ...] = ()
        self._binding = b""
        self._is_client_paused = self._said_continue = self._was_repeated = False
        self._state = _ExchangeState.NEW
        self._upstream: Upstream
        self._request: bytes

    def start(self, target: RouteTarget, fields: bytes) -> None:
        """Ask the upstream for a connection, once there is enough of the body; what came of it is checked and held already."""
        self._upstream = target.upstream
        if self._body is not None and self._body.wait_for(self._framing, streams=target.streams_requests):
            fields = self._meet_expectation(fields)
        self._request = upstream_head(self._head, self._framing, fields, self.request_id)
        self._state = _ExchangeState.GATHERING
        self.proceed()

    def _meet_expectation(self, fields: bytes) -> bytes:
        """Have a client that waits send its body; answers the field lines for a server that need not be asked for its word."""
        if not self._framing.expects_continue:
            return fields
        if not (self.is_request_complete or self.request_bytes):
            self._said_continue = True
            self._client.send(CONTINUE)
        self._framing = self._framing._replace(expects_continue=False)
        return upstream_fields(self._head, self._framing, self._client.peer)

    def proceed(self) -> None:
        """Go on with what came of the body, its client's further bytes being put away: see whether there is enough of it."""
        body = self._body
        if self._state is _ExchangeState.GATHERING and (body is None or body.is_enough):
            self._state = _ExchangeState.WAITING
            self._acquire()
        if body is not None and self._state is _ExchangeState.WAITING and body.has_more:
            self._client.pause_request()

    def _acquire(self) -> None:
        if (server := self._choose()) is not None:
            server.acquire(self)
        else:
            self._state = _ExchangeState.OVER
            self._client.refuse(all_down(self._upstream.retry_after))

    def _choose(self) -> "Server | None":
        """Choose a server that was not tried yet; the request is at it from then on."""
        upstream = self._upstream
        facts = None
        if upstream.reads_requests:
            address = client_address(self._framing.fields, self._client.peer)
            facts = RequestFacts(address, self._head.headers, self._service.wall_clock())
        server = upstream.choose(facts, self._tried)
        if server is not None:
            self._tried = (*self._tried, server)
            self.server = server.name
            if facts is not None:
                self._binding = upstream.binding(facts, server)
        return server

    # -- the request's body

    def refused_by(self, limit: int) -> RequestRefusal | None:
        """Bound the body; the answer when its declared length is over the limit already."""
        return None if self._body is None or self._body.bound(limit) else body_too_long(limit)

    def receive(self, data: bytes) -> bytes:
        """Take bytes that came behind the head; what does not belong to this request is returned. `proceed` comes next.

        Raises `MalformedMessage` for a body that breaks the rules (400) or the limit (413).
        """
        if self._state is _ExchangeState.OVER:
            return b""  # it is answered: what still comes of it means nothing
        assert self._body is not None  # it is not complete
        body, excess = self._body.receive_data(data)
        self.is_request_complete = self._body.is_complete
        self.request_bytes += len(body)
        self._take(body)
        return excess

    def _take(self, body: bytes) -> None:
        """Hand on a piece of the body, or gather it."""
        connection = self._connection
        if connection is None:
            assert self._body is not None  # it was not sent
            self._body.gather(body)
            return
        connection.is_request_complete = self.is_request_complete
        data = framed(self._framing, body, is_complete=self.is_request_complete)
        if data:
            connection.write(data)
            self._await_request()

    def _await_request(self) -> None:
        """Leave the upstream alone while it is the client that owes the next piece."""
        if self._connection is not None and not self.is_request_complete and not self.holds_client_back:
            self._connection.await_request()

    # -- the pool's side

    @property
    def is_waiting(self) -> bool:
        """Whether a connection is still wanted."""
        return self._state is _ExchangeState.WAITING

    def upstream_acquired(self, connection: UpstreamConnection) -> None:
        """Send the request."""
        self._state = _ExchangeState.SENT
        self._connection = connection
        request = self._request
        if self._body is not None:
            request = self._with_body(self._body)
        connection.begin(self, self._head.method, self._framing.websocket, request)
        connection.is_request_complete = self.is_request_complete
        self._await_request()
        if self._is_client_paused:
            self._hold_server_back()

    def _with_body(self, body: RequestBody) -> bytes:
        """What is sent first; of a complete request it is all, and kept if it may be sent once more."""
        request = self._request + body.take(self._framing)
        self._request = b""
        if not body.is_complete:
            self._client.resume_request()  # first: a server that takes nothing of this pauses it again
        elif is_repeatable(self._head.method, self._framing):
            self._request, self._body = request, None
        return request

    def upstream_unavailable(self, failure: UpstreamFailure) -> None:
        """Try the next server: nothing was sent yet, so this is safe for every method."""
        last_word = self._upstream.last_word(failure, self._tried)
        if last_word is None and (server := self._choose()) is not None:
            server.acquire(self)
        else:
            self._refuse(last_word or failure)

    # -- the upstream connection's side

    def informational(self, response: Response) -> None:
        """Relay a 1xx response to a client that can take it (RFC 9110 section 15.2)."""
        status = response.framing.head.status
        # 100 only if it asked for that and still waits: another one would take it for the answer to its next request
        waits = self._framing.expects_continue and not self._said_continue and not self.is_request_complete
        if self._head.minor_version and (status != _CONTINUE or waits):
            self._client.send(informational_head(response))
            if status == _CONTINUE:
                self._said_continue = True
                self._client.resume_request()  # its time for the body begins now
            if self._is_client_paused:
                self._hold_server_back()
        self._await_request()

    def switched(self, response: Response, stream: ByteStream, rest: bytes) -> None:
        """Become a tunnel."""
        self._state = _ExchangeState.OVER
        self._connection = None
        self.status = response.framing.head.status
        self.first_byte = self._service.stopwatch()
        self._client.send(switching_head(self._bound(response), self.request_id))
        is_extended = b"sec-websocket-extensions" in response.framing.special
        self._client.tunnel(stream, rest, Extensions.NEGOTIATED if is_extended else Extensions.NONE)

    def _bound(self, response: Response) -> Response:
        """Add the cookie that binds the client to the server, if there is one."""
        return response._replace(forwarded=[*response.forwarded, self._binding]) if self._binding else response

    def tunnel_opened(self, tunnel: Encryptable) -> None:
        """What was the exchange goes on as a WebSocket: its server knows about it."""
        self._tried[-1].tunnel_opened(tunnel)

    def tunnel_ended(self, tunnel: "Tunnelling") -> None:
        """The WebSocket is over."""
        self._tried[-1].tunnel_ended(tunnel)

    def response_started(self, response: Response) -> None:
        """Write the head for the client."""
        self._state = _ExchangeState.RESPONDING
        self.first_byte = self._service.stopwatch()
        self.status = status = response.framing.head.status
        if status >= _SERVER_ERROR:
            self._tried[-1].answered_badly()
        request = self._framing
        # a body still under way, or bytes that a refused WebSocket client sent ahead, must not become the next request
        keep_alive = (
            request.keep_alive and self.is_request_complete and request.websocket is None and self._client.may_stay
        )
        frame = delivery_frame(response.framing, self._head.minor_version, request.accepts_trailers, keep_alive)
        self._delivery = frame.delivery
        if self._binding:
            response = self._bound(response)
        self._out = downstream_head(response, frame, self._service.date(), self.request_id)

    def response_data(self, data: bytes) -> None:
        """Frame a piece of the body for the client."""
        assert self._delivery is not None  # the head came first
        self.response_bytes += len(data)
        if self._delivery.body is BodyKind.CHUNKED:
            data = encode_chunk(data)
        self._out = self._out + data if self._out else data

    def response_ended(self, trailers: list[Header]) -> None:
        """Finish the response."""
        assert self._delivery is not None  # the head came first
        if self._delivery.body is BodyKind.CHUNKED:
            self._out += encode_trailers(forwardable_trailers(trailers, self._delivery))
        self._connection = None
        self._state = _ExchangeState.OVER
        self.response_flushed()
        self._client.finished(self._delivery.persistence)

    def response_flushed(self) -> None:
        """Send what one read of the upstream brought, as one piece."""
        if self._out:
            data, self._out = self._out, b""
            self._client.send(data)
            if self._is_client_paused:
                self._hold_server_back(len(data))

    def upstream_failed(self, failure: UpstreamFailure, *, is_retryable: bool) -> None:
        """Try once more where that is safe, else answer for the upstream, or cut what has begun."""
        self._connection = None
        if not is_retryable:  # a connection that was closed while it was idle is nobody's fault
            self._tried[-1].failed_a_request()
        if self._state is _ExchangeState.RESPONDING:
            self._state = _ExchangeState.OVER
            self.response_flushed()
            self._client.cut(str(failure))
        elif is_retryable and not self._was_repeated and self._may_repeat():
            self._was_repeated = True
            self._state = _ExchangeState.WAITING
            # its other unused connections are as old, and a second one that is dead would be the end of this request
            self._tried[-1].close_idle()
            self._tried = ()
            self._acquire()
        else:
            self._refuse(failure)

    def _may_repeat(self) -> bool:
        """Whether there is all of a request that has the same effect twice, and the budget for it."""
        return bool(self._request) and is_repeatable(self._head.method, self._framing) and self._upstream.may_retry()

    def _refuse(self, failure: UpstreamFailure) -> None:
        self._state = _ExchangeState.OVER
        self._client.refuse(RequestRefusal(failure.fault.status, failure.fault.sentence, str(failure)))

    def pause_writing(self) -> None:
        """The upstream takes no more of the body."""
        if not self.is_request_complete:
            self._client.pause_request()

    def resume_writing(self) -> None:
        """The upstream takes the body again."""
        if not self.is_request_complete:
            self._client.resume_request()
            self._await_request()

    # -- the client's side

    @property
    def holds_client_back(self) -> bool:
        """Whether the client rightly waits for the upstream's 100 before it sends its body (RFC 9110 section 10.1.1)."""
        return self._framing.expects_continue and not self._said_continue and not self.request_bytes

    @property
    def has_responded(self) -> bool:
        """Whether a byte of the final response went to the client."""
        return self._state is _ExchangeState.RESPONDING

    def pause_response(self) -> None:
        """The client takes no more."""
        self._is_client_paused = True
        self._hold_server_back()

    def _hold_server_back(self, written: int = 0) -> None:
        """Take nothing more from the server unless there is room for it; so much was just sent to the client, which is blocked."""
        if not self._client.has_room(self.holder, written) and self._connection is not None:
            self._connection.pause_reading()

    def resume_response(self) -> None:
        """The client takes more again."""
        self._is_client_paused = False
        if self._connection is not None:
            self._connection.resume_reading()

    def abandon(self) -> None:
        """The client is gone, or its request turned out to be malformed: nothing of it may go on."""
        self._state = _ExchangeState.OVER
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.abandon()
