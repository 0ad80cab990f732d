"""A connection of the proxy to a server of HTTP/2 whose frames a test writes, under a clock that it moves."""

from dataclasses import dataclass, field
from typing import Any

from proxy.http.responses import ResponseReader
from proxy.http.websocket.upgrade import WebSocketOffer
from proxy.http2.fields.forwarded_fields import ForwardedFields
from proxy.http2.wire.frames import PREFACE
from proxy.net.deadlines import Deadlines
from proxy.upstream.http2.connection import StreamConnection, StreamResources
from proxy.upstream.http2.limits import session_limits
from proxy.upstream.http2.stream import UpstreamStream
from proxy.upstream.pooling.carrier import Carrier
from proxy.upstream.pooling.client_link import NO_LINK
from proxy.upstream.pooling.failures import UpstreamFailure
from proxy.upstream.pooling.statistics import StreamCounts
from tests.fakes import FakeLoop
from tests.fakes_http import RESPONSES, FakeStream, RecordingExchange, request_head
from tests.http2_client import SERVER_HELLO
from tests.http2_frames import OK, Sent, block, cut, headers

CLIENT = b"\x0a\0\0\1"
GET_HEAD = b"GET /x HTTP/1.1\r\nHost: chat.example\r\nX-Request-Id: 1\r\n\r\n"
POST_HEAD = b"POST /x HTTP/1.1\r\nHost: chat.example\r\nX-Request-Id: 1\r\n\r\n"
ANSWER = headers(1, payload=block(OK))


@dataclass
class RecordingPool:
    """The pool, as connections see it."""

    events: list[str] = field(default_factory=list)
    refused: list[UpstreamStream] = field(default_factory=list)

    def ready(self, connection: StreamConnection) -> None:
        """Note it."""
        del connection
        self.events.append("ready")

    def released(self, connection: StreamConnection, holder: bytes | None) -> None:
        """Note it."""
        del connection
        assert holder in (CLIENT, None)
        self.events.append("released" if holder else "tunnel released")

    def switched(self, holder: bytes) -> None:
        """Note it."""
        assert holder == CLIENT
        self.events.append("switched")

    def lend_again(self, carrier: UpstreamStream) -> None:
        """Keep it."""
        self.refused.append(carrier)

    def lost(self, connection: StreamConnection, reason: str) -> None:
        """Note it."""
        del connection
        self.events.append(f"lost: {reason}")


class Backend:
    """A server, the proxy's connection to it, and what the exchanges on it were told."""

    def __init__(self, loop: FakeLoop | None = None, hello: bytes = SERVER_HELLO) -> None:
        self.loop = loop or FakeLoop()
        self.pool = RecordingPool()
        resources = StreamResources(
            loop=self.loop,
            after_reports=self.loop.call_soon,
            deadlines=Deadlines(self.loop),
            session_limits=session_limits(RESPONSES.head_bytes, RESPONSES.head),
            responses=RESPONSES,
            reader=ResponseReader(2),
            fields=ForwardedFields(b"http"),
            ready_seconds=5.0,
            counts=StreamCounts(),
        )
        self.counts = resources.counts
        self.connection = StreamConnection(self.pool, resources)
        self.stream = FakeStream(self.loop)
        self.stream.owner = self.connection
        self.connection.stream = self.stream
        self.connection.begin()
        assert self.stream.written.startswith(PREFACE)
        self.stream.written = self.stream.written.removeprefix(PREFACE)
        self.sent()
        if hello:
            self.stream.receive(hello)
            self.sent()

    def lend(
        self,
        request: bytes = GET_HEAD,
        *,
        is_complete: bool = True,
        method: bytes = b"GET",
        offer: WebSocketOffer | None = None,
        never_indexed: frozenset[bytes] = frozenset(),
    ) -> tuple[UpstreamStream, RecordingExchange]:
        """Begin a request."""
        carrier, exchange = self.connection.lend(CLIENT), RecordingExchange()
        carrier.is_request_complete = is_complete
        carrier.begin(exchange, request_head(method, never_indexed), offer, request)
        self.loop.settle()
        return carrier, exchange

    def receive(self, data: bytes) -> None:
        """The server sends."""
        self.stream.receive(data)
        self.loop.settle()

    def sent(self) -> list[Sent]:
        """What the proxy has sent since the last look."""
        self.loop.settle()
        written, self.stream.written = self.stream.written, b""
        return cut(written)


class StreamGuest:
    """A borrower that sends one request as soon as it can."""

    def __init__(self, request: bytes = GET_HEAD, holder: bytes = CLIENT, offer: WebSocketOffer | None = None) -> None:
        self.request = request
        self.offer = offer
        self.holder = holder
        self.link = NO_LINK
        self.is_waiting = True
        self.carrier: Any = None
        self.failure: UpstreamFailure | None = None
        self.exchange = RecordingExchange()

    def upstream_acquired(self, connection: Carrier) -> None:
        """Send the request."""
        assert self.is_waiting
        self.is_waiting = False
        self.carrier = connection
        connection.is_request_complete = True
        connection.begin(self.exchange, request_head(), self.offer, self.request)

    def upstream_unavailable(self, failure: UpstreamFailure) -> None:
        """Note it."""
        assert self.is_waiting
        self.is_waiting = False
        self.failure = failure
