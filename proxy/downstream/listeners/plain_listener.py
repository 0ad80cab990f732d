"""The listener without TLS of a worker (`[plain]`).

It takes one request on a connection, without its body, in a few seconds. `plain_answers` decides
the answer. If a limit is reached, connections that have their answer end first: they only wait
until their client has it. Then those end that still wait for a request (`limits.room`).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from socket import SocketType, socket
from typing import Final

from config.schema import HttpProtocol
from config.tables.plain import PLAIN_LISTENER
from proxy.downstream.http1.writer import whole_answer
from proxy.downstream.listeners.acceptor import Acceptor
from proxy.downstream.listeners.plain_answers import PlainAnswer, PlainDecision, PlainRules, judgement
from proxy.downstream.pipeline.request_log import write_down
from proxy.downstream.requests.glimpse import glimpse
from proxy.downstream.requests.refusals import RequestRefusal, refusal_answer
from proxy.downstream.service.service import HttpService
from proxy.http.delivery import Persistence
from proxy.limits.connections import ClientCounts, ConnectionCounts, ListenerLimits
from proxy.limits.crowd import Crowd
from proxy.limits.idleness import Idle, Shown
from proxy.limits.networks import network_of
from proxy.limits.rates import Rate
from proxy.limits.reasons import ConnectionReason, RequestReason
from proxy.limits.room import Room
from proxy.limits.scarcity import Scarcity
from proxy.limits.shared import SharedTable
from proxy.net.byte_stream import StreamOwner
from proxy.net.linger import Linger
from proxy.net.shared_io import SharedIo
from proxy.net.sockets import SocketStream
from proxy.observe.logs.access_log import ClientRecord, RequestRecord, TargetRecord
from proxy.observe.turned_away import TurnedAway

# A segment or two; a head may take several reads.
_READ_BYTES: Final = 16_384
# What is read after the answer, so that the client sees the answer instead of a reset: for example
# a form that was posted to http.
_LINGER: Final = Linger(discard_bytes=65_536, seconds=1.0, flush_seconds=2.0)
# The time in a drain that a connection gets whose request is still to come.
_LAST_HEAD_SECONDS: Final = 2.0
_HEAD_END: Final = b"\r\n\r\n"
_TIMEOUT: Final = RequestRefusal(408, "the request head did not arrive in time", RequestReason.HEAD_TIMEOUT)
_TOO_LARGE: Final = RequestRefusal(431, "the request head is too large", RequestReason.HEAD_TOO_LARGE)


@dataclass(frozen=True, slots=True)
class PlainLimits:
    """How many connections a worker takes without TLS."""

    connections: int
    of_a_client: int
    """Of one address, or of one /64."""
    rate: Rate
    """Of a client, in connections."""


_LIMITS: Final = PlainLimits(
    # A request takes a round trip, so these serve thousands a second. CAs check from about five
    # places.
    connections=512,
    # Many people behind one NAT may follow http links at the same time.
    of_a_client=64,
    # A CA that checks a thousand names at once asks for each of them from one address.
    rate=Rate.of(100.0, 1_000),
)


@dataclass(slots=True)
class PlainServices:
    """What the plain listener shares with others of its loop. `tokens` and `lists` change while it
    serves.
    """

    io: SharedIo
    http: HttpService
    scarcity: Scarcity
    turned_away: TurnedAway
    tokens: dict[str, str] = field(default_factory=dict)
    lists: dict[str, bytes] = field(default_factory=dict)


class PlainListener:
    """All addresses of `[plain]`."""

    def __init__(self, rules: PlainRules, services: PlainServices, limits: PlainLimits = _LIMITS) -> None:
        self.rules = rules
        self._services = services
        self._most = limits
        io = services.io
        self._acceptor = Acceptor(PLAIN_LISTENER, io.loop, services.scarcity, self._accepted)
        # of this worker alone: it can end only its own connections, not those of other workers
        # that fill the share
        self.counts: Final = ConnectionCounts(PLAIN_LISTENER, SharedTable.private(), services.http.clock)
        count = partial(services.turned_away.add, PLAIN_LISTENER)
        self.room: Final = Room(PLAIN_LISTENER, self.counts, services.http.connections, services.http.clock, count)
        self.answered: Final[Crowd[_PlainConnection]] = Crowd()
        """Connections that have their answer, and are not closed yet."""

    def accept_on(self, sockets: Collection[socket]) -> None:
        self._acceptor.accept_on(sockets)

    def leave(self) -> None:
        self._acceptor.leave()

    def _accepted(self, sock: SocketType, address: str) -> None:
        counters = self._services.http.counters
        network = network_of(address)
        limits = self._limits()
        self._end_answered(network, limits)
        client = self.room.admit(network, limits, is_exempt=False)
        if isinstance(client, ConnectionReason):
            self._services.turned_away.add(PLAIN_LISTENER, client, network)
            sock.close()
            return
        sock.settimeout(0)
        tally = counters.listener(PLAIN_LISTENER)
        tally.accepted += 1
        tally.open += 1
        connection = _PlainConnection(self, self._services, address, client)
        connection.begin(sock)
        self.room.accepted(connection)

    def _end_answered(self, network: bytes, limits: ListenerLimits) -> None:
        """If a limit is reached, end a connection that has its answer already."""
        one = None
        if self.counts.surplus(limits)[0] > 0:
            one = self.answered.oldest()
        elif self.counts.surplus_of(self.counts.client(network), limits) > 0:
            one = self.answered.oldest_of(network)
        if one is not None:
            one.shed()

    def _limits(self) -> ListenerLimits:
        most = self._most
        return ListenerLimits(
            connections=most.connections,
            connections_per_address=most.of_a_client,
            handshakes_in_flight=most.connections,
            handshakes_per_address=most.of_a_client,
            handshake_rate=most.rate,
            handshake_seconds=self._services.http.runtime.limits.head_seconds,
        )


class _PlainConnection(StreamOwner[memoryview]):
    """One client. Owner of its stream; watched: `deadline` is that of the head; drainable."""

    _stream: SocketStream

    def __init__(self, listener: PlainListener, services: PlainServices, address: str, client: ClientCounts) -> None:
        http = services.http
        self._listener = listener
        self._services = services
        self._address = address
        self._counts = client
        self._is_counted = True
        self._received: bytearray | None = bytearray()
        """What came of the request until it is answered; then None."""
        self._began = http.stopwatch()
        self.since = http.clock()
        self.deadline = self.since + http.runtime.limits.head_seconds

    def begin(self, sock: SocketType) -> None:
        services = self._services
        self._stream = SocketStream(services.io, sock, self, _LINGER, read_bytes=_READ_BYTES, closed=self._counted_out)
        services.http.deadlines.watch(self)
        services.http.connections.opened(self)
        self._stream.resume_reading()

    # -- the stream's side

    def data_received(self, data: memoryview) -> None:
        received = self._received
        if received is None:
            return  # behind the answer: the stream discards further bytes from the next turn on
        searched = max(0, len(received) - len(_HEAD_END) + 1)
        received += data
        end = received.find(_HEAD_END, searched)
        limits = self._services.http.runtime.limits
        if end >= 0 and end + len(_HEAD_END) <= limits.head_bytes:
            raw = bytes(received[: end + len(_HEAD_END)])
            services = self._services
            self._answer(judgement(raw, limits.head, self._listener.rules, services.tokens, services.lists))
        elif len(received) > limits.head_bytes:
            self._answer(PlainDecision(_TOO_LARGE, target=glimpse(bytes(received))))

    def eof_received(self) -> None:
        self._stream.end()

    def connection_lost(self, error: OSError | None) -> None:
        del error  # the request is logged already
        self._over()
        self._services.http.connections.closed(self)

    def pause_writing(self) -> None:
        """Ignored: the answer is written in one piece."""

    def resume_writing(self) -> None:
        """Ignored: see `pause_writing`."""

    # -- answers

    def _answer(self, judged: PlainDecision) -> None:
        http = self._services.http
        target = judged.target
        request_id = http.stamps.new_request_id()
        answer = judged.answer
        if isinstance(answer, RequestRefusal):
            made = refusal_answer(answer, judged.head, date=http.stamps.date(), request_id=request_id)
            data = whole_answer(made, Persistence.CLOSE)
            body_bytes = len(made.body)
            error = answer.reason
        else:
            data, body_bytes = _written(
                answer, http.stamps.date(), is_head=target is not None and target.method == "HEAD"
            )
            error = None
        self._stream.write(data)
        self._stream.end()
        self._log(answer.status, target, body_bytes, request_id.decode("ascii"), error)
        self._over()
        self._listener.answered.add(self.client, self)

    def _log(
        self, status: int, target: TargetRecord | None, body_bytes: int, request_id: str | None, error: str | None
    ) -> None:
        http = self._services.http
        duration = http.stopwatch() - self._began
        if target is not None and not http.runtime.logs_query:
            target.query = None
        if target is not None:
            target.fields = http.runtime.log_fields
        client = ClientRecord(
            self._address, PLAIN_LISTENER, None, "none", "plain", resumed=False, protocol=HttpProtocol.HTTP_1
        )
        record = RequestRecord(
            client,
            target,
            http.wall_clock(),
            status,
            request_bytes=0,
            response_bytes=body_bytes,
            first_byte=duration,
            duration=duration,
            upstream=None,
            route=None,
            request_id=request_id,
            error=error,
            messages=None,
        )
        if http.runtime.logs_wire_bytes:
            record.wire = self._stream.take_wire_bytes()
        write_down(record, http)

    def deadline_passed(self, now: float) -> None:
        """The request is late. A client that sent no byte gets no answer."""
        del now
        if self._received:
            self._answer(PlainDecision(_TIMEOUT, target=glimpse(bytes(self._received))))
            return
        self._log(_TIMEOUT.status, None, 0, None, _TIMEOUT.reason)
        self._over()
        self._stream.end_at_once()

    def _over(self) -> None:
        """Stop waiting for the request."""
        if self._received is None:
            return
        self._received = None
        self._services.http.deadlines.forget(self)
        self._listener.room.over(self, self._counts)

    def _counted_out(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._over()
            self._listener.answered.discard(self.client, self)
            self._listener.counts.closed(self._counts)
            self._services.http.counters.listener(PLAIN_LISTENER).open -= 1

    # -- drains, and room for others

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        del gently  # as gently as it can be
        self.deadline = min(self.deadline, self._services.http.clock() + min(seconds, _LAST_HEAD_SECONDS))

    def give_up(self, reason: str) -> None:
        del reason  # no request is in flight that the log could name
        self._stream.abort()

    def configuration_changed(self, seconds: float) -> None:
        """Ignored: a request is judged by the configuration of its own moment."""

    @property
    def client(self) -> bytes:
        return self._counts.network

    @property
    def awaits_client(self) -> bool:
        return self._received is not None

    @property
    def is_unread(self) -> bool:
        return not self._received and self._stream.unread_bytes > 0

    @property
    def idle(self) -> Idle | None:
        return Idle(Shown.NOTHING, self.since, PLAIN_LISTENER, self.client) if self.awaits_client else None

    def shed(self) -> None:
        self._counted_out()  # now: the connection that takes its place is counted before this one is closed
        self._stream.abort()


def _written(answer: PlainAnswer, date: bytes, *, is_head: bool) -> tuple[bytes, int]:
    shown = b"" if is_head else answer.body
    length = len(answer.body)
    lines = b"%bContent-Length: %d\r\nDate: %b\r\nConnection: close\r\n\r\n" % (answer.start, length, date)
    return lines + shown, len(shown)
