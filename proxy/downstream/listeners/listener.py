"""Counts connections against the limits, and hands each to its handshake, then to HTTP."""

import socket
from collections.abc import Collection
from functools import partial
from socket import SocketType
from typing import Final

from config.tables.listener import HttpProtocol
from proxy.downstream.listeners.acceptor import Acceptor
from proxy.downstream.listeners.arrival import Arrival
from proxy.downstream.listeners.listening import ListenerRuntime, ListenerServices
from proxy.downstream.listeners.proxy_header import HeaderPhase, Introduced
from proxy.downstream.listeners.quic_listener import QuicListener
from proxy.downstream.listeners.takeover import take_over
from proxy.downstream.requests.origin import Origin
from proxy.downstream.tunnels.relay_visitors import PassedVisitor
from proxy.downstream.tunnels.tcp_connection import TcpConnection
from proxy.http.alternative import AlternativeService
from proxy.limits.connections import ClientCounts, ConnectionCounts
from proxy.limits.networks import is_in, network_of
from proxy.limits.reasons import ConnectionReason
from proxy.limits.request_rates import ClientRates
from proxy.limits.room import Room
from proxy.net.sockets import SocketStream
from proxy.net.tcp_options import keep_little_unsent
from proxy.proxy_protocol.header import Relayed
from proxy.tls.handshake.handshake import Handshake
from proxy.tls.handshake.results import Established, UnopenedHello
from proxy.tls.openssl.stream import TlsStream
from proxy.tls.wire.waiting_data import RECORD_WIRE_BYTES

# One TLS record in a read: more would let one connection hold the loop for longer (KeyUpdate
# floods).
_READ_BYTES: Final = RECORD_WIRE_BYTES


class Listener:
    """The sockets of one `[listener.NAME]`."""

    def __init__(self, runtime: ListenerRuntime, services: ListenerServices) -> None:
        self.runtime = runtime
        self._services = services
        steps = services.flights.steps
        self._acceptor = Acceptor(
            runtime.name, services.io.loop, services.scarcity, self._accepted, lambda: steps.is_behind
        )
        self.tally: Final = services.counters.listener(runtime.name)
        self._quic: QuicListener | None = None
        clock = services.io.loop.time
        self.counts: Final = ConnectionCounts(runtime.name, services.shared, clock)
        self.room: Final = Room(
            runtime.name, self.counts, services.http.connections, clock, partial(services.turned_away.add, runtime.name)
        )
        self.alternative: Final = AlternativeService()
        """Where clients are told that it serves HTTP/3."""
        self.deadline = 0.0
        """Always over, so that each sweep calls `deadline_passed` (`deadlines.Watched`)."""

    def accept_on(self, sockets: Collection[socket.socket]) -> None:
        """Accept on exactly these listening sockets from now on; see `Acceptor.accept_on`."""
        self._acceptor.accept_on(sockets)
        if sockets:
            self._services.deadlines.watch(self)
        else:
            self._services.deadlines.forget(self)

    def receive_on(self, sockets: Collection[socket.socket]) -> None:
        """Take QUIC connections on exactly these UDP sockets from now on; see `QuicListener`."""
        if self._quic is None and sockets:
            self._quic = QuicListener(self, self._services)
        if self._quic is not None:
            self._quic.receive_on(sockets)

    def serve_by(self, runtime: ListenerRuntime) -> None:
        """Serve by another configuration from the next connection on."""
        self.runtime = runtime
        if self._quic is not None:
            self._quic.follow_keys()

    def end_datagrams(self) -> None:
        """Take no new QUIC connections; see `QuicListener.end`."""
        if self._quic is not None:
            self._quic.end()

    def deadline_passed(self, now: float) -> None:
        """End handshakes that took too long for the room that the limits leave."""
        del now
        self.room.look(self.runtime.limits)

    def leave(self) -> None:
        """Accept no more connections; see `Acceptor.leave`."""
        self._acceptor.leave()
        self.receive_on(())

    def take(self, sock: socket.socket) -> None:
        """Take a connection that another process has accepted."""
        self._accepted(sock, sock.getpeername()[0])

    def _accepted(self, sock: SocketType, address: str) -> None:
        runtime = self.runtime
        network = network_of(address)
        has_header = bool(runtime.header_senders)
        if has_header and not is_in(address, runtime.header_senders):
            self._refuse(sock, ConnectionReason.PROXY_SENDER, network)
            return
        # the limits on single clients wait for the client whom a header names
        is_exempt = has_header or (bool(runtime.exempt) and is_in(address, runtime.exempt))
        client = self.room.admit(network, runtime.limits, is_exempt=is_exempt)
        if isinstance(client, ConnectionReason):
            self._refuse(sock, client, network)
            return
        sock.settimeout(0)
        self.tally.accepted += 1
        self.tally.open += 1
        if has_header:
            phase = HeaderPhase(runtime, self._services, self.room, address, client, self._introduced)
            phase.begin(sock, self.closed)
            return
        rates = None if is_exempt else ClientRates(client.network)
        TcpArrival(self, self._services, address, client, rates).begin(sock)

    def _refuse(self, sock: SocketType, reason: ConnectionReason, network: bytes) -> None:
        """The cheapest refusal: no handshake has begun, so no alert can be sent."""
        self._services.turned_away.add(self.runtime.name, reason, network)
        sock.close()

    def _introduced(self, one: Introduced) -> None:
        TcpArrival(self, self._services, one.address, one.counts, one.rates).follow(one)

    def admit_tunnel(self, network: bytes) -> ClientCounts | ConnectionReason:
        """Count a WebSocket in that has no connection of its own, or return the limit exceeded."""
        return self.room.admit_tunnel(network, self.runtime.limits)

    def tunnel_over(self, client: ClientCounts) -> None:
        self.counts.closed(client)

    def closed(self, client: ClientCounts) -> None:
        """One connection less is open."""
        self.tally.open -= 1
        self.counts.closed(client)


class TcpArrival(Arrival):
    """One accepted connection."""

    _sock: SocketType

    def __init__(
        self,
        listener: Listener,
        services: ListenerServices,
        address: str,
        counts: ClientCounts,
        rates: ClientRates | None,
    ) -> None:
        super().__init__(listener, listener.runtime, services, address, counts, rates)
        self._introduced: Introduced | None = None
        self._closed: Final = partial(listener.closed, counts)
        self._alternative: Final = listener.alternative
        runtime = self._runtime
        deadline = self.since + runtime.limits.handshake_seconds
        self._handshake = Handshake(runtime.policy, services.flights, self, deadline, services.challenges, self.client)

    def begin(self, sock: SocketType) -> None:
        """Start with the first byte."""
        self._sock = sock
        self._enter()
        linger = self._runtime.linger
        io = self._services.io
        handshake = self._handshake
        handshake.begin(SocketStream(io, sock, handshake, linger, read_bytes=_READ_BYTES, closed=self._closed))

    def follow(self, one: Introduced) -> None:
        """Start behind a PROXY header."""
        self.since = one.since
        self._handshake.deadline = one.deadline
        self._introduced = one
        self._sock = one.sock
        self._enter()
        one.stream.closed = self._closed
        self._handshake.begin(one.stream)
        if one.rest:
            self._handshake.data_received(memoryview(one.rest))

    def handshake_established(self, result: Established, stream: TlsStream) -> None:
        header = None if self._introduced is None else self._introduced.header
        # what an unknown client says of itself is not what its balancer says
        facts = self._established(result, is_named=header is None or header.relayed is not Relayed.UNKNOWN)
        facts.origin = Origin(self._sock, header)
        facts.alternative = self._alternative
        if result.protocol is HttpProtocol.HTTP_2:
            keep_little_unsent(self._sock)
        self._served(take_over(self._services.http, stream, facts))

    def left_unopened(self, hello: UnopenedHello, stream: SocketStream) -> None:
        self._over()
        service = self._services.http
        runtime = self._runtime
        names = runtime.policy.preference.names
        visitor = PassedVisitor(service, runtime.name, self._address, self.client, hello, names)
        passed = TcpConnection(service, stream, visitor)
        passed.begin(hello.wire)
        self._served(passed)
