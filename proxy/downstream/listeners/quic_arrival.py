"""A client that has begun a QUIC connection, until its handshake is over."""

from collections.abc import Callable
from functools import partial
from typing import Final

from proxy.downstream.http2.connection import Http2Connection
from proxy.downstream.http3.session import Http3Session
from proxy.downstream.listeners.arrival import Arrival, ArrivalHost
from proxy.downstream.listeners.listening import ListenerRuntime, ListenerServices
from proxy.downstream.requests.origin import Origin
from proxy.limits.connections import ClientCounts
from proxy.limits.request_rates import ClientRates
from proxy.proxy_protocol.header import Endpoints
from proxy.quic.handshake import CryptoStream, OwnSteps, QuicHandshake
from proxy.quic.library import native
from proxy.quic.transport import QuicTransport
from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.tls.handshake.results import Established


class QuicArrival(Arrival):
    """One new connection."""

    _transport: QuicTransport
    _answered: Callable[[], None]

    def __init__(
        self,
        listener: ArrivalHost,
        runtime: ListenerRuntime,
        services: ListenerServices,
        ends: Endpoints,
        counts: ClientCounts,
        rates: ClientRates | None,
    ) -> None:
        super().__init__(listener, runtime, services, ends.source, counts, rates)
        self._ends: Final = ends

    def begin(self, transport: QuicTransport, policy: HandshakePolicy, answered: Callable[[], None]) -> None:
        """Start with the first datagram. `answered` is called when the handshake is over."""
        self._transport = transport
        self._answered = answered
        services = self._services
        soon = partial(services.io.after_reports, transport.turn)
        steps = OwnSteps(lambda _: soon())
        driver = native().Tls(transport.native.parameters())
        deadline = self.since + self._runtime.limits.handshake_seconds
        handshake = QuicHandshake(
            policy, services.flights.driven_by(driver, steps), self, deadline, self.client, self._opened
        )
        handshake.begin_on(CryptoStream(transport, soon))
        self._handshake = handshake
        transport.crypto = handshake
        self._enter()

    def _opened(self, result: Established) -> None:
        transport = self._transport
        http = self._services.http
        transport.native.completed()
        transport.crypto = None
        facts = self._established(result)
        facts.origin = Origin(None, None, self._ends)
        session = Http3Session(http.runtime.limits.http2, transport, http.clock)
        counters = http.counters.listener(facts.listener).http3
        connection = Http2Connection(http, transport, facts, session, counters)
        transport.hand_over(connection)
        self._served(connection)

    def _over(self) -> None:
        self._answered()
        super()._over()
