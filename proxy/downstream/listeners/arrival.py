"""A client from the moment that it is counted until its handshake is over, over TCP or QUIC."""

from typing import TYPE_CHECKING, Final, Protocol

from proxy.downstream.listeners.listening import LAST_HANDSHAKE_SECONDS, ListenerRuntime, ListenerServices
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.requester import PeerTrust
from proxy.downstream.requests.tunnel_places import ListenerPlaces
from proxy.downstream.service.connections import Sheddable
from proxy.limits.connections import ClientCounts, ConnectionCounts
from proxy.limits.idleness import Idle, Shown
from proxy.limits.networks import EXEMPT, is_in
from proxy.limits.request_rates import ClientRates
from proxy.limits.room import Room
from proxy.observe.events.certificates import ChallengeAnswered
from proxy.observe.events.clients import HandshakeFailed, milliseconds, offered_groups
from proxy.tls.handshake.handshake import Handshake
from proxy.tls.handshake.results import Established, Failed, UnopenedHello

if TYPE_CHECKING:
    from proxy.net.sockets import SocketStream
    from proxy.tls.openssl.stream import TlsStream


class ArrivalHost(ListenerPlaces, Protocol):
    """The listener that the client has come to."""

    @property
    def counts(self) -> ConnectionCounts: ...

    @property
    def room(self) -> Room: ...


class Arrival:
    """One client until its handshake is over.

    It is drainable, so that a worker that has to end waits for it.
    """

    _handshake: Handshake

    def __init__(
        self,
        listener: ArrivalHost,
        runtime: ListenerRuntime,
        services: ListenerServices,
        address: str,
        counts: ClientCounts,
        rates: ClientRates | None,
    ) -> None:
        """`runtime` is that of `listener`, which stays that of this client."""
        self._listener: Final = listener
        self._runtime: Final = runtime
        self._services: Final = services
        self._address: Final = address
        self._counts: Final = counts
        self._rates: Final = rates
        self._has_hello = False
        self._began_under = services.http.runtime
        self.since = services.io.loop.time()
        self._began = services.http.stopwatch()

    def _enter(self) -> None:
        services = self._services
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

    def _established(self, result: Established, *, is_named: bool = True) -> ClientFacts:
        """The handshake is over: count it, and say what is known of the client."""
        self._over()
        services = self._services
        runtime = self._runtime
        services.counters.established(runtime.name, result, services.http.stopwatch() - self._began)
        trust = None
        if is_named and runtime.trusted_peers and is_in(self._address, runtime.trusted_peers):
            trust = PeerTrust(runtime.trusted_peers, runtime.client_address_from, runtime.exempt)
        facts = ClientFacts(self._address, runtime.name, result, trust, self._rates, is_named=is_named)
        facts.via = services.http.via
        facts.listener_places = self._listener
        return facts

    def _served(self, connection: Sheddable) -> None:
        self._judge(connection)
        # last: a drain must not find the process empty in between
        self._services.http.connections.closed(self)

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

    def handshake_established(self, result: Established, stream: "TlsStream") -> None: ...

    def left_unopened(self, hello: UnopenedHello, stream: "SocketStream") -> None: ...

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
