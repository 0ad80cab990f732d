"""One request and its response, streamed both ways.

Theory of operation. The downstream connection feeds request bytes in (`receive`, then `proceed`), the upstream connection feeds the
response in (`response_*`). The request is decided upon, and its body is gathered (see `gathering`), before an upstream is asked for a
connection. From then on each side is paused while the other takes no more, so what is held here is bounded by one read of each.
"""

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from proxy.downstream.admission import RouteTarget
from proxy.downstream.attempts import Attempts
from proxy.downstream.contracts import Client
from proxy.downstream.gathering import CONTINUE, GatheredBody, bytes_to_gather
from proxy.downstream.refusals import Refusal, body_too_long
from proxy.downstream.request_body import RequestBody, framed
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
from proxy.sockets import SocketStream
from proxy.tls.stream import TlsStream
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.failures import UpstreamFailure
from proxy.upstream.upstream import RequestFacts

if TYPE_CHECKING:
    from proxy.downstream.contracts import Encryptable
    from proxy.upstream.contracts import Tunnelling
    from proxy.upstream.server import Server

# RFC 9110 section 9.2.2; only these may be sent again by themselves
_IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
_CONTINUE: Final = 100
_SERVER_ERROR: Final = 500


class _State(Enum):
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
        "_attempts",
        "_body",
        "_client",
        "_connection",
        "_delivery",
        "_framing",
        "_gathered",
        "_head",
        "_is_client_paused",
        "_is_repeatable",
        "_least",
        "_out",
        "_request",
        "_said_continue",
        "_service",
        "_state",
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
        self.request_bytes = 0
        self.response_bytes = 0
        self.status = 0
        self.server: str | None = None
        self.route: str | None = None
        self.is_request_complete = framing.body is BodyKind.NONE or (
            framing.body is BodyKind.LENGTH and framing.length == 0
        )
        self._body = (
            None if self.is_request_complete else RequestBody(framing, service.runtime.limits.chunks, service.clock)
        )
        self._gathered: GatheredBody | None = None
        self._is_repeatable = False
        self._out = b""
        self._connection: UpstreamConnection | None = None
        self._delivery: Delivery | None = None
        self._is_client_paused = False
        self._said_continue = False
        self._state = _State.NEW
        self._attempts: Attempts
        self._request: bytes
        self._least = 0

    def start(self, target: RouteTarget, fields: bytes) -> None:
        """Ask the upstream for a connection, once there is enough of the body; what came of it is checked and held already."""
        self._attempts = Attempts(target.upstream, self._facts)
        if not self.is_request_complete:
            limit = self._service.runtime.limits.request_buffer_bytes
            self._least = bytes_to_gather(self._framing, limit, streams=target.streams_requests)
        if self._framing.expects_continue and (self._least or self.is_request_complete):
            fields = self._answer_expectation()
        self._request = upstream_head(self._head, self._framing, fields, self.request_id)
        self._state = _State.GATHERING
        self.proceed()

    def _answer_expectation(self) -> bytes:
        """Have a client that still waits send its body; answers the field lines without the expectation, which is met."""
        if not (self.is_request_complete or self.request_bytes):
            self._said_continue = True
            self._client.send(CONTINUE)
        self._framing = self._framing._replace(expects_continue=False)
        return upstream_fields(self._head, self._framing, self._client.peer)

    def proceed(self) -> None:
        """Go on with what came of the body, its client's further bytes being put away: see whether there is enough of it."""
        gathered = 0 if self._gathered is None else len(self._gathered)
        if self._state is _State.GATHERING and (self.is_request_complete or gathered >= self._least):
            self._state = _State.WAITING
            self._acquire()
        if self._state is _State.WAITING and gathered and not self.is_request_complete:
            self._client.pause_request()

    def _acquire(self) -> None:
        server = self._attempts.choose()
        if server is None:
            self._state = _State.OVER
            self._client.refuse(self._attempts.nowhere())
        else:
            self._ask(server)

    def _ask(self, server: "Server") -> None:
        self.server = server.name
        server.acquire(self)

    def _facts(self) -> RequestFacts:
        """What the choice of a server may depend on."""
        address = client_address(self._framing.fields, self._client.peer)
        return RequestFacts(address, self._head.headers, self._service.wall_clock())

    # -- the request's body

    def refused_by(self, limit: int) -> Refusal | None:
        """Bound the body; the answer when its declared length is over the limit already."""
        return None if self._body is None or self._body.bound(limit) else body_too_long(limit)

    def receive(self, data: bytes) -> bytes:
        """Take bytes that came behind the head; what does not belong to this request is returned. `proceed` comes next.

        Raises `MalformedMessage` for a body that breaks the rules (400) or the limit (413).
        """
        if self._state is _State.OVER:
            return b""  # it is answered: what still comes of it means nothing
        assert self._body is not None  # it is not complete
        body, excess = self._body.receive_data(data)
        self.is_request_complete = self._body.is_complete
        self.request_bytes += len(body)
        self._take(body)
        return excess

    def _take(self, body: bytes) -> None:
        """Hand on a piece of the body."""
        self._forward(body)

    def _forward(self, body: bytes) -> None:
        connection = self._connection
        if connection is None:
            if self._gathered is None:
                self._gathered = GatheredBody()
            self._gathered.receive_data(body)
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
        return self._state is _State.WAITING

    def upstream_acquired(self, connection: UpstreamConnection) -> None:
        """Send the request."""
        self._state = _State.SENT
        self._connection = connection
        is_complete, request = self.is_request_complete, self._request
        if self._gathered is not None:
            request += framed(self._framing, self._gathered.take(), is_complete=is_complete)
            self._gathered = None
        if not is_complete:
            self._client.resume_request()  # first: a server that takes nothing of this pauses it again
        # RFC 9110 section 9.2.2: by itself only what has the same effect twice, and what we have whole
        self._is_repeatable = is_complete and self._head.method in _IDEMPOTENT and self._framing.websocket is None
        self._request = request if self._is_repeatable else b""
        connection.begin(self, self._head.method, self._framing.websocket, request)
        connection.is_request_complete = self.is_request_complete
        self._await_request()
        if self._is_client_paused:
            connection.pause_reading()

    def upstream_unavailable(self, failure: UpstreamFailure) -> None:
        """Try the next server, if there is one."""
        try:
            server = self._attempts.elsewhere(failure)
        except UpstreamFailure as last:
            self._refuse(last)
        else:
            self._ask(server)

    # -- the upstream connection's side

    def informational(self, response: Response) -> None:
        """Relay a 1xx response to a client that can take it (RFC 9110 section 15.2)."""
        status = response.framing.head.status
        # 100 only if it asked for that and still waits: another one would take it for the answer to its next request
        if self._head.minor_version and (status != _CONTINUE or self._waits_for_word):
            self._client.send(informational_head(response))
            if status == _CONTINUE:
                self._said_continue = True
                self._client.resume_request()  # its time for the body begins now
        self._await_request()

    @property
    def _waits_for_word(self) -> bool:
        return self._framing.expects_continue and not self._said_continue and not self.is_request_complete

    def switched(self, response: Response, stream: SocketStream | TlsStream, rest: bytes) -> None:
        """Become a tunnel."""
        self._state = _State.OVER
        self._connection = None
        self.status = response.framing.head.status
        self.first_byte = self._service.stopwatch()
        if self._attempts.binding:
            response = self._bound(response)
        self._client.send(switching_head(response, self.request_id))
        is_extended = b"sec-websocket-extensions" in response.framing.special
        self._client.tunnel(stream, rest, Extensions.NEGOTIATED if is_extended else Extensions.NONE)

    def _bound(self, response: Response) -> Response:
        """Add the cookie that binds the client to the server."""
        return response._replace(forwarded=[*response.forwarded, self._attempts.binding])

    def tunnel_opened(self, tunnel: "Encryptable") -> None:
        """What was the exchange goes on as a WebSocket: its server knows about it."""
        self._attempts.server.tunnel_opened(tunnel)

    def tunnel_ended(self, tunnel: "Tunnelling") -> None:
        """The WebSocket is over."""
        self._attempts.server.tunnel_ended(tunnel)

    def response_started(self, response: Response) -> None:
        """Write the head for the client."""
        self._state = _State.RESPONDING
        self.first_byte = self._service.stopwatch()
        self.status = status = response.framing.head.status
        if status >= _SERVER_ERROR:
            self._attempts.server.answered_badly()
        request = self._framing
        # a body still under way, or bytes that a refused WebSocket client sent ahead, must not become the next request
        keep_alive = (
            request.keep_alive and self.is_request_complete and request.websocket is None and self._client.may_stay
        )
        frame = delivery_frame(response.framing, self._head.minor_version, request.accepts_trailers, keep_alive)
        self._delivery = frame.delivery
        if self._attempts.binding:
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
        self._state = _State.OVER
        self.response_flushed()
        self._client.finished(self._delivery.persistence)

    def response_flushed(self) -> None:
        """Send what one read of the upstream brought, as one piece."""
        if self._out:
            data, self._out = self._out, b""
            self._client.send(data)

    def upstream_failed(self, failure: UpstreamFailure, *, is_retryable: bool) -> None:
        """Try once more where that is safe, else answer for the upstream, or cut what has begun."""
        self._connection = None
        if not is_retryable:  # a connection that was closed while it was idle is nobody's fault
            self._attempts.server.failed_a_request()
        if self._state is _State.RESPONDING:
            self._state = _State.OVER
            self.response_flushed()
            self._client.cut(str(failure))
        elif is_retryable and self._is_repeatable and self._attempts.may_repeat():
            self._state = _State.WAITING
            self._acquire()
        else:
            self._refuse(failure)

    def _refuse(self, failure: UpstreamFailure) -> None:
        self._state = _State.OVER
        self._client.refuse(Refusal(failure.fault.status, failure.fault.sentence, str(failure)))

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
        return self._state is _State.RESPONDING

    def pause_response(self) -> None:
        """The client takes no more."""
        self._is_client_paused = True
        if self._connection is not None:
            self._connection.pause_reading()

    def resume_response(self) -> None:
        """The client takes more again."""
        self._is_client_paused = False
        if self._connection is not None:
            self._connection.resume_reading()

    def abandon(self) -> None:
        """The client is gone, or its request turned out to be malformed: nothing of it may go on."""
        self._state = _State.OVER
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.abandon()
