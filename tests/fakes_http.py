"""Stand-ins for what surrounds the HTTP half: streams that remember, clients, a server whose connections the test lends.

Nothing here replaces code of ours that decides anything: connections, exchanges and tunnels in the tests are the real ones.
"""

from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from config.schema import HttpProtocol, PqPolicy, ServerAddress
from config.tables.listener import ClientAddressFrom
from config.tables.upstream import Balance
from proxy.auth.grant import Grant
from proxy.auth.rules import Rule
from proxy.downstream.http1.connection import Http1Connection
from proxy.downstream.http1.writer import Http1Writer
from proxy.downstream.pipeline.contracts import SwitchedStream, TunnelServer
from proxy.downstream.requests.answer_writer import AnswerWriter
from proxy.downstream.requests.body import BodyLimits
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.endpoint import Endpoint
from proxy.downstream.requests.refusals import RequestRefusal
from proxy.downstream.requests.request import Request
from proxy.downstream.requests.requester import PeerTrust
from proxy.downstream.requests.targets import RouteTarget
from proxy.downstream.requests.tunnel_places import TunnelPlace, TunnelPlaces
from proxy.downstream.service.ledger import RequestLedger
from proxy.downstream.service.response_buffer import BufferLimits
from proxy.downstream.service.runtime import HttpLimits, HttpRuntime
from proxy.downstream.service.service import HttpService
from proxy.downstream.service.stamps import Stamps
from proxy.http.chunked import ChunkLimits
from proxy.http.delivery import Persistence
from proxy.http.head import Header, HeadLimits, RequestHead
from proxy.http.responses import Response, ResponseReader
from proxy.http.routing import Route, RouteTable
from proxy.http.websocket.frames import WebSocketLimits
from proxy.http2.wire.limits import SessionLimits
from proxy.limits.request_rates import ClientRates, RequestRate
from proxy.limits.shared import SharedTable
from proxy.net.byte_stream import ByteOwner, ByteStream
from proxy.net.deadlines import Deadlines
from proxy.observe.counts.counters import Counters
from proxy.observe.events.clients import ConnectionCut
from proxy.payload.judgement import PayloadRoute
from proxy.tls.handshake.group_choice import HandshakeOutcome
from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.tls.handshake.identities import IdentityTable, ServerIdentity
from proxy.tls.handshake.results import Established
from proxy.tls.openssl.context import ServerContext, build_alert_context
from proxy.tls.openssl.stream import TlsLimits
from proxy.tls.wire.groups import GroupKind, GroupPreference, NamedGroup
from proxy.tls.wire.protocols import ProtocolOffer
from proxy.upstream.http1.connection import UpstreamConnection
from proxy.upstream.pooling.dial import DialSettings
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.pooling.pools import PoolFigures, PoolOwner, PoolSettings, ResponseLimits, ServerLimits
from proxy.upstream.pooling.shares import Shares
from proxy.upstream.pooling.statistics import StreamCounts
from proxy.upstream.pooling.waiting import Borrower, WaitingLine
from proxy.upstream.servers.ejection import EjectionPolicy
from proxy.upstream.servers.server import Server, ServerRules
from proxy.upstream.servers.upstream import Upstream, UpstreamRules
from tests.fakes import LINGER, FakeLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.observe.events.event import Event
    from proxy.observe.logs.access_log import RequestRecord
    from proxy.payload.websocket import SealedMessages

# Noon of 1 June 2026, for logs and `Date`.
WALL_CLOCK = 1_780_315_200.25
DATE = b"Mon, 01 Jun 2026 12:00:00 GMT"

HYBRID = NamedGroup("X25519MLKEM768", 0x11EC, GroupKind.HYBRID)
CLASSICAL = NamedGroup("X25519", 0x001D, GroupKind.CLASSICAL)

TRUST = PeerTrust((ip_network("192.0.2.7"),), ClientAddressFrom.X_FORWARDED_FOR)
"""Of the peer of a `Conversation`, where it is trusted."""

NO_CREDENTIAL = build_alert_context()

CHUNKS = ChunkLimits(line_bytes=256, overhead_bytes=16_384, trailer_bytes=8_192, trailer_count=32)
LIMITS = HttpLimits(
    head_bytes=2_000,
    head=HeadLimits(target_bytes=1_000, header_count=20, header_bytes=1_000),
    bodies=BodyLimits(CHUNKS, gathered=0),  # servers are asked at once; tests of gathering have a limit of their own
    pipelined_bytes=1_000,
    head_seconds=10.0,
    keep_alive_seconds=75.0,
    body_idle_seconds=30.0,
    write_idle_seconds=60.0,
    body_bytes_per_second=100,
    response_bytes_per_second=100,
    response_buffer=BufferLimits(most=0, total=0),  # servers wait at once, as above
    websocket=WebSocketLimits(message_bytes=1_000_000, fragments=100),
    websocket_idle_seconds=3_600.0,
    websocket_close_seconds=5.0,
    http2=SessionLimits(
        streams=8,
        stream_window_bytes=65_536,
        stream_window_most_bytes=131_072,
        connection_window_bytes=131_072,
        resets=16,
        resets_per_second=1.0,
        control_frames=100,
        control_frames_per_second=10.0,
        settings_seconds=10.0,
        header_list_bytes=2_000,
        header_count=20,
        header_bytes=1_000,
    ),
    http3_unacked_bytes=1_000_000,
)
RESPONSES = ResponseLimits(
    head_bytes=4_000,
    head=HeadLimits(target_bytes=1_000, header_count=20, header_bytes=2_000),
    chunks=CHUNKS,
    informational=3,
    first_byte_seconds=60.0,
    stall_seconds=50.0,
    idle_seconds=20.0,
)


DIALLING = DialSettings(ServerAddress("http", "127.0.0.1", 8000), 5.0, None, "", TlsLimits(32), LINGER)
RULES = ServerRules(
    weight=1,
    slow_start_seconds=0.0,
    ejection=EjectionPolicy(connect_failures=3, errors=4, errors_seconds=10.0, base_seconds=10.0, max_seconds=60.0),
    websockets=1_000,
)
UPSTREAM_RULES = UpstreamRules(
    balance=Balance.LEAST_CONNECTIONS,
    hash_on=None,
    cookie=None,
    retry_percent=0.0,
    retries_per_second=10.0,
    most_ejected_percent=50,
    recovery_seconds=None,
)


def _unexpected(error: BaseException) -> None:
    raise error


class FakeStream:
    """The proxy's end of a connection, of either kind. The test plays the peer."""

    def __init__(self, loop: FakeLoop) -> None:
        self._loop = loop
        self.owner: Any = None
        self.written = b""
        """Everything that was written and not yet looked at by `sent`."""
        self.is_reading = True
        self.reads_on = False
        self.is_full = False
        """The peer takes nothing: the next write blocks."""
        self.is_blocked = False
        self.ending: str | None = None
        """How the proxy ended it: `end`, `cut` or `abort`."""
        self.was_truncated = False
        self.is_half_closed = False
        """Whether the proxy has ended its direction alone."""
        self.waiting_bytes = 0
        """What the peer has not acknowledged."""
        self.held_bytes = 0
        """What waits for it here, of what was written while it is blocked."""

    # -- what the proxy calls

    def hand_over(self, owner: ByteOwner) -> None:
        """Tell another one from now on."""
        self.owner = owner

    def write(self, data: bytes | memoryview) -> None:
        """Remember the bytes; the owner is paused when blocking begins, and only then."""
        if self.ending is not None:
            return
        self.written += data
        if self.is_full and not self.is_blocked:
            self.is_blocked = True
            self.owner.pause_writing()
        if self.is_blocked:
            self.held_bytes += len(data)

    def pause_reading(self) -> None:
        """Remember it."""
        self.is_reading = False

    def resume_reading(self) -> None:
        """Remember it."""
        self.is_reading = True

    def end_writing(self) -> None:
        """Remember it."""
        self.is_half_closed = True

    def end(self) -> None:
        """Remember the first ending."""
        self.ending = self.ending or "end"

    def cut(self) -> None:
        """Remember the first ending."""
        self.ending = self.ending or "cut"

    def end_at_once(self) -> None:
        """Close in the next turn."""
        self.ending = self.ending or "end_at_once"
        self._loop.call_soon(self.lose)

    def abort(self) -> None:
        """Close in the next turn, as the real ones do."""
        self.ending = self.ending or "abort"
        self._loop.call_soon(self.lose)

    # -- what the peer does

    def receive(self, data: bytes | memoryview) -> None:
        """Deliver bytes of the peer."""
        assert self.is_reading, "the proxy does not read"
        self.owner.data_received(data)

    def receive_end(self, *, truncated: bool = False) -> None:
        """Deliver the end of the peer's direction."""
        self.was_truncated = truncated
        self.owner.eof_received()

    def take(self) -> None:
        """The peer takes everything."""
        self.is_full = self.is_blocked = False
        self.held_bytes = 0
        self.owner.resume_writing()

    def lose(self, error: OSError | None = None) -> None:
        """The connection is gone; told once."""
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.connection_lost(error)

    def sent(self) -> bytes:
        """What was written since the last look."""
        written, self.written = self.written, b""
        return written


class FakeServer:
    """The connections to one server, without sockets: `lend` gives one to the borrower that waits longest.

    `server` is the real one that owns them; `exchanges` are what the test says.
    """

    owner: PoolOwner
    has_websockets = True

    def __init__(
        self,
        loop: FakeLoop,
        name: str = "http://127.0.0.1:8000",
        limits: ResponseLimits = RESPONSES,
        rules: ServerRules = RULES,
    ) -> None:
        self.loop = loop
        self.name = name
        self.settings = PoolSettings(DIALLING, limits, ServerLimits(1, 1, 1.0))
        self.exchanges = self.requests = self.idle_closed = 0
        self.line = WaitingLine(name, ServerLimits(1, 1, 1.0), Shares(1), Deadlines(loop), loop.time)
        self.http2 = StreamCounts()
        self.waiting: list[Borrower] = []
        self.idle: list[UpstreamConnection] = []
        self.gone: list[UpstreamConnection] = []
        self.server = Server(self, rules, loop)

    def figures(self) -> PoolFigures:
        """How many there are."""
        return PoolFigures(0, len(self.idle), 0, len(self.waiting), 0)

    def acquire(self, borrower: Borrower) -> None:
        """Lend an idle connection at once, else let the borrower wait."""
        if self.idle:
            borrower.upstream_acquired(self.idle.pop())
        else:
            self.waiting.append(borrower)

    def lend(self, make_stream: "Callable[[FakeLoop], FakeStream]" = FakeStream) -> FakeStream:
        """Give a new connection to the one that waits longest; answers the server's end."""
        connection = UpstreamConnection(self, self.settings.responses, ResponseReader(), self.loop.time)
        stream = make_stream(self.loop)
        stream.owner = connection
        connection.stream = stream
        borrower = self.waiting.pop(0)
        if borrower.is_waiting:
            borrower.upstream_acquired(connection)
        else:
            connection.keep_unused()
        return stream

    def fail(self, fault: UpstreamFault = UpstreamFault.UNREACHABLE) -> None:
        """Tell the one that waits longest that there is none."""
        self.waiting.pop(0).upstream_unavailable(UpstreamFailure(fault, "tried"))

    def close_idle(self) -> None:
        """Close what no exchange uses, and count how often that was asked."""
        self.idle_closed += 1
        for connection in self.idle:
            connection.close_idle()
        self.idle.clear()

    def returned(self, connection: UpstreamConnection) -> None:
        """Keep it."""
        self.idle.append(connection)

    def closed(self, connection: UpstreamConnection) -> None:
        """Forget it."""
        self.gone.append(connection)
        if connection in self.idle:
            self.idle.remove(connection)


class FakeTunnel:
    """A WebSocket that a server knows of: `drains` are the times that it was given to end."""

    def __init__(self) -> None:
        self.drains: list[float] = []
        self.messages: SealedMessages | None = None

    def drain(self, seconds: float) -> None:
        """Note it."""
        self.drains.append(seconds)

    def encrypt(self, messages: "SealedMessages") -> None:
        """Note it."""
        self.messages = messages


def upstream(*servers: FakeServer, **rules: Any) -> Upstream:
    """An upstream of these servers, by the usual rules but for those that are given."""
    clock = servers[0].loop.time if servers else lambda: 0.0
    return Upstream("chat", [one.server for one in servers], replace(UPSTREAM_RULES, **rules), clock)


def server_identity(name: str = "chat", *hosts: str) -> ServerIdentity:
    """An identity that proves nothing."""
    return ServerIdentity(name, frozenset(hosts or {"chat.test"}), ServerContext(NO_CREDENTIAL))


def established(host: str = "chat.test", group: NamedGroup | None = HYBRID) -> Established:
    """A handshake for `host`."""
    return Established(host, server_identity("chat", host), group, HandshakeOutcome.HYBRID, is_resumed=False)


def handshake_policy(
    *groups: NamedGroup,
    identities: "Sequence[ServerIdentity]" = (),
    default: ServerIdentity | None = None,
    protocols: "Sequence[HttpProtocol]" = (HttpProtocol.HTTP_2, HttpProtocol.HTTP_1),
) -> HandshakePolicy:
    """What a listener demands: these groups (both, where none is named), and one of these identities (chat.test)."""
    return HandshakePolicy(
        PqPolicy.PREFER,
        GroupPreference((groups or (HYBRID, CLASSICAL),)),
        IdentityTable(identities or [server_identity()], default),
        hello_bytes=65_536,
        wire_bytes=65_536,
        alert_context=NO_CREDENTIAL,
        tls_limits=TlsLimits(100),
        protocols=ProtocolOffer.of_http(protocols),
    )


@dataclass
class FakeClient:
    """The client side of an exchange: what it was told, in order."""

    events: list[tuple[str, Any]] = field(default_factory=list)
    writes: list[bytes] = field(default_factory=list)
    """All that it was sent, piece by piece."""
    may_stay: bool = True
    is_full: bool = False
    exchange: Any = None
    taken: int = 0
    """How often a server got what was kept of the body."""
    room: int = 0
    """How much more may be written while it is blocked."""
    place: RequestRefusal | None = None
    """What a WebSocket gets instead of a place."""

    def writer_for(self, request: Request | None) -> AnswerWriter:
        """Writes HTTP/1.1 to this client."""
        return Http1Writer(self, Stamps(lambda: WALL_CLOCK), request)

    def send(self, data: bytes | memoryview) -> None:
        """Note the bytes, joined to those before; block if that is asked for."""
        self.writes.append(bytes(data))
        if self.events and self.events[-1][0] == "send":
            data = self.events.pop()[1] + data
        self.events.append(("send", bytes(data)))
        if self.is_full:
            self.is_full = False
            self.exchange.pause_response()

    def has_room(self, holder: bytes, written: int) -> bool:
        """Whether it has."""
        assert isinstance(holder, bytes)
        self.room -= written
        return self.room > 0

    def hold(self, holder: bytes) -> None:
        """Counts nothing."""
        assert isinstance(holder, bytes)

    def reader_is_late(self, reason: str) -> None:
        """Note it."""
        self.events.append(("late", reason))

    def pause_request(self) -> None:
        """Note it."""
        self.events.append(("pause", None))

    def resume_request(self) -> None:
        """Note it."""
        self.events.append(("resume", None))

    def body_taken(self) -> None:
        """Count it."""
        self.taken += 1

    def refuse(self, refusal: RequestRefusal) -> None:
        """Note it."""
        self.events.append(("refuse", refusal))

    def finished(self, persistence: Persistence) -> None:
        """Note it."""
        self.events.append(("finished", persistence))

    def cut(self, reason: str) -> None:
        """Note it."""
        self.events.append(("cut", reason))

    def tunnel_place(self, server: TunnelServer) -> TunnelPlace | RequestRefusal:
        """One of no limit, or what the test says."""
        if self.place is not None:
            return self.place
        place = TunnelPlaces(lambda: 0.0, lambda _: None, lambda *_: None).take(b"client", server)
        assert isinstance(place, TunnelPlace)
        return place

    def tunnel(self, switched: SwitchedStream) -> None:
        """Note it."""
        self.events.append(("tunnel", switched))

    def told(self) -> list[tuple[str, Any]]:
        """What it was told since the last look."""
        events, self.events = self.events, []
        return events


def request_head(method: bytes = b"GET", never_indexed: frozenset[bytes] = frozenset()) -> RequestHead:
    """What a client sent, as far as carriers look at it."""
    return RequestHead(method, b"/x", 1, [], 1, never_indexed)


class RecordingExchange:
    """Whoever borrowed an upstream connection: what it was told, in order; neighbouring data is joined."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.flushes = 0
        self.tunnel: ByteOwner | None = None
        """Takes the stream of an upgrade at once."""

    def never_index(self, names: frozenset[bytes]) -> None:
        """Note the names."""
        self.events.append(("never_index", sorted(names)))

    def informational(self, response: Response) -> None:
        """Note the status."""
        self.events.append(("informational", response.framing.head.status))

    def switched(self, response: Response, stream: ByteStream, rest: bytes) -> None:
        """Note the stream and what came behind the head."""
        del response
        if self.tunnel is not None:
            stream.hand_over(self.tunnel)
        self.events.append(("switched", (stream, rest)))

    def response_started(self, response: Response) -> None:
        """Note the status."""
        self.events.append(("started", response.framing.head.status))

    def response_data(self, data: bytes | memoryview) -> None:
        """Note the bytes."""
        if self.events and self.events[-1][0] == "data":
            data = self.events.pop()[1] + data
        self.events.append(("data", bytes(data)))

    def response_ended(self, trailers: list[Header]) -> None:
        """Note the trailers."""
        self.events.append(("ended", trailers))

    def response_flushed(self) -> None:
        """Count it."""
        self.flushes += 1

    def upstream_failed(self, failure: UpstreamFailure, *, is_excused: bool) -> None:
        """Note the fault."""
        self.events.append(("failed", (failure.fault, is_excused)))

    def pause_writing(self) -> None:
        """Note it."""
        self.events.append(("pause", None))

    def resume_writing(self) -> None:
        """Note it."""
        self.events.append(("resume", None))

    def told(self) -> list[tuple[str, Any]]:
        """What it was told since the last look."""
        events, self.events = self.events, []
        return events


class Conversation:
    """A client, the proxy's HTTP half, and the servers of one upstream, under a clock that the test moves."""

    def __init__(  # noqa: PLR0913 - each has its default, a test names the one it is about
        self,
        *,
        limits: HttpLimits = LIMITS,
        servers: int = 1,
        body_bytes: int = 100_000,
        requires_pq: bool = False,
        group: NamedGroup | None = HYBRID,
        is_trusted: bool = False,
        logs_query: bool = False,
        rate: RequestRate | None = None,
        rates: ClientRates | None = None,
        payload: PayloadRoute | None = None,
        endpoint: Endpoint | None = None,
        streams_requests: bool = False,
        auth: Rule | None = None,
        withheld: Grant | None = None,
        loop: FakeLoop | None = None,
    ) -> None:
        self.loop = loop or FakeLoop()
        self.servers = [FakeServer(self.loop, f"http://127.0.0.1:{8000 + number}") for number in range(servers)]
        target = RouteTarget(
            "chat.test/",
            "chat",
            requires_pq,
            body_bytes,
            rate,
            payload,
            endpoint,
            streams_requests,
            auth=auth,
            withheld=withheld,
        )
        self.sso = FakeServer(self.loop, "http://127.0.0.1:9000")
        self.records: list[RequestRecord] = []
        self.log_events: list[Event] = []
        self.deadlines = Deadlines(self.loop)
        self.deadlines.start()
        self.service = HttpService(
            self.loop,
            self.deadlines,
            HttpRuntime(
                RouteTable([Route("chat.test", "/", target)]),
                limits,
                logs_query,
                {"public": handshake_policy()},
                {"chat": upstream(*self.servers), "sso": upstream(self.sso)},
            ),
            RequestLedger(self.records.append, Counters(), SharedTable.private(), self.log_events.append),
            lambda: WALL_CLOCK,
        )
        self.service.stopwatch = self.loop.time
        self.client = FakeStream(self.loop)
        tls = established(group=group)
        self.connect(ClientFacts("192.0.2.7", "public", tls, TRUST if is_trusted else None, rates))

    def connect(self, facts: ClientFacts) -> None:
        """Take the connection up."""
        self.downstream = Http1Connection(self.service, self.client, facts)
        self.client.owner = self.downstream

    @property
    def cuts(self) -> list[ConnectionCut]:
        """The lines about connections that ended for a fault of the client."""
        return [one for one in self.log_events if isinstance(one, ConnectionCut)]

    @property
    def server(self) -> FakeServer:
        """The only server."""
        return self.servers[0]

    def receive(self, *pieces: bytes) -> None:
        """Have the client send, and let the loop come to rest after each piece."""
        for piece in pieces:
            self.client.receive(piece)
            self.loop.settle()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.advance(seconds)

    def answer(self, data: bytes) -> bytes:
        """Lend a connection to the request that waits, answer it with `data`; returns what the server got."""
        server = self.server.lend()
        got = server.sent()
        server.receive(data)
        self.loop.settle()
        return got


def request(*lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes = b"chat.test", body: bytes = b"") -> bytes:
    """Write a request with these field lines."""
    return b"\r\n".join([start, b"Host: " + host, *lines, b"", body])


def response(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK", body: bytes = b"") -> bytes:
    """Write a response with these field lines."""
    return b"\r\n".join([start, *lines, b"", body])


def changed(limits: HttpLimits, **changes: Any) -> HttpLimits:
    """The limits with some of them changed."""
    return replace(limits, **changes)


def octets(data: bytes) -> list[bytes]:
    """Each octet by itself."""
    return [data[at : at + 1] for at in range(len(data))]
