"""Counts connections against the limits, and hands each to its handshake, then to HTTP."""

import socket
from collections.abc import Collection
from functools import partial
from socket import SocketType
from typing import Final

from config.tables.listener import HttpProtocol
from proxy.downstream.listeners.acceptor import Acceptor
from proxy.downstream.listeners.listening import LAST_HANDSHAKE_SECONDS, ListenerRuntime, ListenerServices
from proxy.downstream.listeners.proxy_header import HeaderPhase, Introduced
from proxy.downstream.listeners.takeover import take_over
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.origin import Origin
from proxy.downstream.requests.requester import PeerTrust
from proxy.downstream.service.connections import Sheddable
from proxy.downstream.tunnels.relay_visitors import PassedVisitor
from proxy.downstream.tunnels.tcp_connection import TcpConnection
from proxy.http.alternative import AlternativeService
from proxy.limits.connections import ClientCounts, ConnectionCounts
from proxy.limits.idleness import Idle, Shown
from proxy.limits.networks import EXEMPT, is_in, network_of
from proxy.limits.reasons import ConnectionReason
from proxy.limits.request_rates import ClientRates
from proxy.limits.room import Room
from proxy.net.sockets import SocketStream
from proxy.net.tcp_options import keep_little_unsent
from proxy.observe.events.certificates import ChallengeAnswered
from proxy.observe.events.clients import HandshakeFailed, milliseconds, offered_groups
from proxy.proxy_protocol.header import Relayed
from proxy.tls.handshake.handshake import Handshake
from proxy.tls.handshake.results import Established, Failed, UnopenedHello
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
        self._tally = services.counters.listener(runtime.name)
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

    def deadline_passed(self, now: float) -> None:
        """End handshakes that took too long for the room that the limits leave."""
        del now
        self.room.look(self.runtime.limits)

    def leave(self) -> None:
        """Accept no more connections; see `Acceptor.leave`."""
        self._acceptor.leave()

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
        self._tally.accepted += 1
        self._tally.open += 1
        if has_header:
            phase = HeaderPhase(runtime, self._services, self.room, address, client, self._introduced)
            phase.begin(sock, self.closed)
            return
        rates = None if is_exempt else ClientRates(client.network)
        _Arrival(self, self._services, address, client, rates).begin(sock)

    def _refuse(self, sock: SocketType, reason: ConnectionReason, network: bytes) -> None:
        """The cheapest refusal: no handshake has begun, so no alert can be sent."""
        self._services.turned_away.add(self.runtime.name, reason, network)
        sock.close()

    def _introduced(self, one: Introduced) -> None:
        _Arrival(self, self._services, one.address, one.counts, one.rates).follow(one)

    def admit_tunnel(self, network: bytes) -> ClientCounts | ConnectionReason:
        """Count a WebSocket in that has no connection of its own, or return the limit exceeded."""
        return self.room.admit_tunnel(network, self.runtime.limits)

    def tunnel_over(self, client: ClientCounts) -> None:
        self.counts.closed(client)

    def closed(self, client: ClientCounts) -> None:
        """One connection less is open."""
        self._tally.open -= 1
        self.counts.closed(client)


class _Arrival:
    """One accepted connection until its handshake is over.

    It is drainable, so that a worker that has to end waits for it.
    """

    _sock: SocketType

    def __init__(
        self,
        listener: Listener,
        services: ListenerServices,
        address: str,
        counts: ClientCounts,
        rates: ClientRates | None,
    ) -> None:
        self._listener = listener
        self._runtime = listener.runtime
        self._services = services
        self._address = address
        self._counts = counts
        self._rates = rates
        self._has_hello = False
        self._introduced: Introduced | None = None
        self._began_under = services.http.runtime
        self.since = services.io.loop.time()
        self._began = services.http.stopwatch()
        policy = self._runtime.policy
        deadline = self.since + self._runtime.limits.handshake_seconds
        self._handshake = Handshake(policy, services.flights, self, deadline, services.challenges, self.client)

    def begin(self, sock: SocketType) -> None:
        """Start with the first byte."""
        self._enter(sock)
        closed = partial(self._listener.closed, self._counts)
        linger = self._runtime.linger
        io = self._services.io
        handshake = self._handshake
        handshake.begin(SocketStream(io, sock, handshake, linger, read_bytes=_READ_BYTES, closed=closed))

    def follow(self, one: Introduced) -> None:
        """Start behind a PROXY header."""
        self.since = one.since
        self._handshake.deadline = one.deadline
        self._introduced = one
        self._enter(one.sock)
        one.stream.closed = partial(self._listener.closed, self._counts)
        self._handshake.begin(one.stream)
        if one.rest:
            self._handshake.data_received(memoryview(one.rest))

    def _enter(self, sock: SocketType) -> None:
        services = self._services
        self._sock = sock
        services.deadlines.watch(self._handshake)
        services.http.connections.opened(self)
        self._listener.room.accepted(self)

    def slow_exchange_begins(self) -> bool:
        """Whether the rate of this client for slow groups allows one more."""
        if self._rates is None:
            return True
        return self._listener.counts.take_slow_token(self._counts, self._runtime.limits)

    def token_asked(self) -> None:
        """It waits for a token or a slow key exchange, and does not make room meanwhile."""
        self._listener.room.token_asked(self)

    def token_answered(self) -> None:
        """It waits for its client, and may make room again."""
        self._listener.room.token_answered(self)

    def handshake_established(self, result: Established, stream: TlsStream) -> None:
        self._over()
        services = self._services
        runtime = self._runtime
        services.counters.established(runtime.name, result, services.http.stopwatch() - self._began)
        header = None if self._introduced is None else self._introduced.header
        # what an unknown client says of itself is not what its balancer says
        is_named = header is None or header.relayed is not Relayed.UNKNOWN
        trust = None
        if is_named and runtime.trusted_peers and is_in(self._address, runtime.trusted_peers):
            trust = PeerTrust(runtime.trusted_peers, runtime.client_address_from, runtime.exempt)
        facts = ClientFacts(self._address, runtime.name, result, trust, self._rates, is_named=is_named)
        facts.origin = Origin(self._sock, header)
        facts.via = services.http.via
        facts.listener_places = self._listener
        facts.alternative = self._listener.alternative
        if result.protocol is HttpProtocol.HTTP_2:
            keep_little_unsent(self._sock)
        connection = take_over(services.http, stream, facts)
        self._judge(connection)
        services.http.connections.closed(self)  # last: a drain must not find the process empty in between

    def handshake_failed(self, failure: Failed) -> None:
        self._over()
        services = self._services
        name = self._runtime.name
        services.http.connections.closed(self)
        services.counters.failure(name, failure.reason)
        if failure.is_refusal:
            services.counters.refused(name, failure.identity)
        services.log(
            HandshakeFailed(
                client=self._address,
                listener=name,
                name=failure.server_name,
                reason=failure.reason,
                detail=failure.detail,
                alert=None if failure.alert is None else failure.alert.name.lower(),
                groups=offered_groups(failure.offered_groups, self._runtime.policy.preference.names),
                duration_ms=milliseconds(services.io.loop.time() - self.since),
            )
        )

    def left_unopened(self, hello: UnopenedHello, stream: SocketStream) -> None:
        self._over()
        service = self._services.http
        runtime = self._runtime
        names = runtime.policy.preference.names
        visitor = PassedVisitor(service, runtime.name, self._address, self.client, hello, names)
        passed = TcpConnection(service, stream, visitor)
        passed.begin(hello.wire)
        self._judge(passed)
        service.connections.closed(self)  # last: a drain must not find the process empty in between

    def challenge_answered(self, server_name: str) -> None:
        """Log it: if a CA does not believe a name, it helps to know that the CA was here."""
        self._over()
        services = self._services
        services.http.connections.closed(self)
        listener = self._runtime.name
        services.tell(ChallengeAnswered(self._address, listener, server_name))

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        """Continue for a short time: the connection is drained once it is established."""
        del gently  # as gently as it can be
        now = self._services.io.loop.time()
        self._handshake.deadline = min(self._handshake.deadline, now + min(seconds, LAST_HANDSHAKE_SECONDS))

    @property
    def client(self) -> bytes:
        return EXEMPT if self._rates is None else self._counts.network

    @property
    def is_unread(self) -> bool:
        return self._handshake.is_unread

    @property
    def awaits_client(self) -> bool:
        return self._handshake.awaits_client

    @property
    def idle(self) -> Idle | None:
        """How idle it is while it waits for its client; None otherwise."""
        if not self.awaits_client:
            return None
        shown = Shown.HELLO if self._has_hello else Shown.NOTHING
        return Idle(shown, self.since, self._runtime.name, self.client)

    def shed(self) -> None:
        self._over()
        self._services.http.connections.closed(self)
        self._handshake.give_way()

    def hello_complete(self) -> bool:
        """Count it as a handshake of its client, if the limits allow one more."""
        self._has_hello = self._listener.room.hello_shown(self, self._counts, self._runtime.limits)
        return self._has_hello

    def give_up(self, reason: str) -> None:
        """Ignored: it ends with the process, and has no request that the log could name."""

    def configuration_changed(self, seconds: float) -> None:
        """Finish the handshake under its old policy; see `_judge`."""

    def _judge(self, connection: Sheddable) -> None:
        """Judge it by the present policy, if that has changed during its handshake.

        A change reaches open connections only, in several turns of the loop.
        """
        http = self._services.http
        if http.changed_within is not None and http.runtime is not self._began_under:
            connection.configuration_changed(http.changed_within)

    def _over(self) -> None:
        self._services.deadlines.forget(self._handshake)
        self._listener.room.over(self, self._counts)
