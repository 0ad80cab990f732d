"""The phase before the handshake, of a listener behind balancers: the PROXY header of a connection.

Theory of operation. Only a trusted peer comes here. It is a balancer and not the client, so its
connection is admitted without the limits on single clients, and counts for itself until the header
is complete. Then it counts for the client that the header names, by all limits, and the listener
continues as if that client had connected. So the connections of one client make room for those of
another, and never those of the balancer. What follows the header is the listener's.

A balancer also connects to see whether we accept connections. It closes without a byte, or sends a
header that names no client (`LOCAL`, `UNKNOWN`) or the balancer, and closes then. That is not a
failure: it is neither counted as one nor logged. Until then a check counts for itself, so no client
can starve it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from socket import SocketType
from typing import Final

from proxy.downstream.listeners.listening import LAST_HANDSHAKE_SECONDS, ListenerRuntime, ListenerServices
from proxy.limits.connections import ClientCounts
from proxy.limits.idleness import Idle, Shown
from proxy.limits.networks import EXEMPT, is_in, network_of
from proxy.limits.reasons import ConnectionReason
from proxy.limits.request_rates import ClientRates
from proxy.limits.room import Room
from proxy.net.byte_stream import StreamOwner
from proxy.net.deadlines import NEVER
from proxy.net.sockets import SocketStream
from proxy.observe.events.clients import HandshakeFailed, milliseconds
from proxy.proxy_protocol.header import ProxyHeader, ProxyHeaderError, Relayed
from proxy.proxy_protocol.reading import ProxyHeaderReader
from proxy.tls.handshake.results import FailureReason
from proxy.tls.wire.waiting_data import RECORD_WIRE_BYTES

# One TLS record in a read, as the handshake that takes over the stream wants it.
_READ_BYTES: Final = RECORD_WIRE_BYTES


@dataclass(frozen=True, slots=True)
class Introduced:
    """A connection behind its header. Its counts are those of `address`."""

    sock: SocketType
    stream: SocketStream
    address: str
    """The client's; the balancer's own if the header names no client."""
    counts: ClientCounts
    rates: ClientRates | None
    """Its rates; None if the limits on single clients do not apply."""
    header: ProxyHeader
    rest: bytes
    """What came behind the header."""
    since: float
    """When the connection was accepted, in loop time."""
    deadline: float
    """When the handshake has to be over."""


class HeaderPhase(StreamOwner[memoryview]):
    """An accepted connection of a balancer until its header is complete.

    It can be drained, shed and watched, as the handshake after it.
    """

    _stream: SocketStream
    _sock: SocketType

    def __init__(
        self,
        runtime: ListenerRuntime,
        services: ListenerServices,
        room: Room,
        address: str,
        counts: ClientCounts,
        introduced: Callable[[Introduced], None],
    ) -> None:
        """`address` and `counts` are the balancer's; `introduced` takes the connection over."""
        self._runtime: Final = runtime
        self._services: Final = services
        self._room: Final = room
        self._address: Final = address
        self._counts: Final = counts
        self._introduced = introduced
        self._reader: Final = ProxyHeaderReader()
        self._is_over = False
        self.since: Final = services.io.loop.time()
        self.deadline = self.since + runtime.limits.handshake_seconds

    def begin(self, sock: SocketType, closed: Callable[[ClientCounts], None]) -> None:
        """Start reading. `closed` is told the counts that the connection leaves at its end."""
        services = self._services
        services.deadlines.watch(self)
        services.http.connections.opened(self)
        self._room.accepted(self)
        self._sock = sock
        left = partial(closed, self._counts)
        self._stream = SocketStream(services.io, sock, self, self._runtime.linger, read_bytes=_READ_BYTES, closed=left)
        self._stream.resume_reading()

    # -- the stream's side

    def data_received(self, data: memoryview) -> None:
        """Take bytes of the header, and perhaps the first of TLS."""
        if self._is_over:
            return
        reader = self._reader
        header = reader.header
        if header is not None:
            self._hand_on(header, bytes(data))
            return
        try:
            reader.receive_data(data)
        except ProxyHeaderError as error:
            self._fail(FailureReason.PROXY_HEADER, str(error))
            return
        header = reader.header
        if header is not None and (reader.rest or not self._may_be_check(header)):
            self._hand_on(header, reader.rest)

    def _may_be_check(self, header: ProxyHeader) -> bool:
        """Whether the balancer may have connected for itself, and close now."""
        named = header.endpoints
        # checks of HAProxy by version 1 name it; a socket for both families shows IPv4 as mapped
        return named is None or named.source == self._address.removeprefix("::ffff:")

    def eof_received(self) -> None:
        """The balancer closed: a check, or an incomplete header."""
        self._ended("the connection ended in the middle of the PROXY header")

    def connection_lost(self, error: OSError | None) -> None:
        self._ended("the connection was lost in the middle of the PROXY header" if error is None else str(error))

    def _ended(self, detail: str) -> None:
        if self._is_over:
            return
        if self._reader.is_empty or self._reader.header is not None:
            self._leave()
            self._stream.abort()
        else:
            self._fail(FailureReason.PROXY_HEADER, detail)

    def deadline_passed(self, now: float) -> None:
        """Neither a header nor a ClientHello came in time."""
        del now
        self.deadline = NEVER
        missing = "PROXY header" if self._reader.header is None else "ClientHello"
        self._fail(FailureReason.TIMEOUT, f"no {missing} came in time")

    # -- the header is complete

    def _hand_on(self, header: ProxyHeader, rest: bytes) -> None:
        counts = self._counts
        address = self._address
        rates = None
        if header.endpoints is not None:
            address = header.endpoints.source
        if header.relayed is not Relayed.LOCAL:
            network = network_of(address)
            runtime = self._runtime
            is_exempt = bool(runtime.exempt) and is_in(address, runtime.exempt)
            client = self._room.identify(counts, network, runtime.limits, is_exempt=is_exempt)
            if isinstance(client, ConnectionReason):
                # as at an accept: no handshake has begun, so no alert can be sent
                self._services.turned_away.add(runtime.name, client, network)
                self._leave()
                self._stream.abort()
                return
            counts = client
            rates = None if is_exempt else ClientRates(network)
        self._is_over = True
        self._services.deadlines.forget(self)
        self._room.handed_on(self)
        self._introduced(
            Introduced(self._sock, self._stream, address, counts, rates, header, rest, self.since, self.deadline)
        )
        self._services.http.connections.closed(self)  # last: a drain must not find the process empty in between

    def _fail(self, reason: FailureReason, detail: str) -> None:
        self._leave()
        self._stream.abort()
        services = self._services
        name = self._runtime.name
        services.counters.failure(name, reason)
        services.log(
            HandshakeFailed(
                client=self._address,
                listener=name,
                name=None,
                reason=reason,
                detail=detail,
                alert=None,
                groups=(),
                duration_ms=milliseconds(services.io.loop.time() - self.since),
            )
        )

    def _leave(self) -> None:
        self._is_over = True
        self._services.deadlines.forget(self)
        self._room.over(self, self._counts)
        self._services.http.connections.closed(self)

    # -- others need its place, or the process ends

    @property
    def client(self) -> bytes:
        """It counts for itself: its client is not known yet."""
        return EXEMPT

    @property
    def is_unread(self) -> bool:
        return self._reader.is_empty and self._stream.unread_bytes > 0

    @property
    def awaits_client(self) -> bool:
        """It only ever waits for the other side."""
        return True

    @property
    def idle(self) -> Idle | None:
        """It has shown no ClientHello."""
        return Idle(Shown.NOTHING, self.since, self._runtime.name, EXEMPT)

    def shed(self) -> None:
        self._leave()
        self._stream.drop()

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        """Continue for a short time: what follows is drained once it is established."""
        del gently  # as gently as it can be
        self.deadline = min(self.deadline, self._services.io.loop.time() + min(seconds, LAST_HANDSHAKE_SECONDS))

    def give_up(self, reason: str) -> None: ...

    def configuration_changed(self, seconds: float) -> None:
        """What follows begins under the new configuration."""
