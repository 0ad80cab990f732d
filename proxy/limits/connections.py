"""The counts of one listener: which connections it takes, over all workers."""

from dataclasses import dataclass
from typing import Final

from proxy.limits.rates import Rate
from proxy.limits.reasons import ConnectionReason
from proxy.limits.shared import CONNECTION, HANDSHAKE, Clock, Place, SharedTable


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Limits on connections before and while they are served."""

    connections: int
    connections_per_address: int
    handshakes_in_flight: int
    handshakes_per_address: int
    handshake_rate: Rate
    """Of one address."""
    handshake_seconds: float


class ClientCounts:
    """What one client network has at this listener in this process."""

    __slots__ = ("connections", "handshakes", "network", "place", "rate_place")

    def __init__(self, network: bytes, place: Place, rate_place: Place) -> None:
        """Nothing yet."""
        self.network: Final = network
        self.place: Final = place
        self.rate_place: Final = rate_place
        self.connections = 0
        self.handshakes = 0


class ConnectionCounts:
    """Admits connections, and counts them out again."""

    def __init__(self, listener: str, shared: SharedTable, clock: Clock) -> None:
        """Nothing is open in this process."""
        self._prefix = listener.encode() + b"\0"
        self._shared = shared
        self._clock = clock
        self._place = shared.total_place(listener.encode())
        self._clients: dict[bytes, ClientCounts] = {}
        self.open = 0
        self.in_flight = 0

    @property
    def clients(self) -> int:
        """How many client networks have connections here."""
        return len(self._clients)

    def admit(self, network: bytes, limits: ListenerLimits, *, is_exempt: bool) -> ClientCounts | ConnectionReason:
        """Count a connection and its handshake in, or say which limit it is over.

        The limits of all together hold for everybody: descriptors and memory do not grow for those who are trusted.
        """
        others_open, others_in_flight = self._shared.others(self._place)
        if self.open + others_open >= limits.connections:
            return ConnectionReason.CONNECTIONS
        if self.in_flight + others_in_flight >= limits.handshakes_in_flight:
            return ConnectionReason.HANDSHAKES_IN_FLIGHT
        client = self._clients.get(network)
        if client is None:
            client = ClientCounts(network, *self._shared.places(self._prefix + network))
        reason = None if is_exempt else self._over_share(client, limits)
        if reason is not None:
            return reason
        self._count_in(client)
        return client

    def _over_share(self, client: ClientCounts, limits: ListenerLimits) -> ConnectionReason | None:
        others_open, others_in_flight = self._shared.others(client.place)
        if client.connections + others_open >= limits.connections_per_address:
            return ConnectionReason.CONNECTIONS_PER_ADDRESS
        if client.handshakes + others_in_flight >= limits.handshakes_per_address:
            return ConnectionReason.HANDSHAKES_PER_ADDRESS
        # last: what is refused for another reason costs no token
        if self._shared.take(client.rate_place, limits.handshake_rate, self._clock()):
            return ConnectionReason.HANDSHAKE_RATE
        return None

    def _count_in(self, client: ClientCounts) -> None:
        self.open += 1
        self.in_flight += 1
        client.connections += 1
        client.handshakes += 1
        self._clients[client.network] = client
        self._shared.add(self._place, CONNECTION + HANDSHAKE)
        self._shared.add(client.place, CONNECTION + HANDSHAKE)

    def handshake_over(self, client: ClientCounts) -> None:
        """One handshake less is under way."""
        self.in_flight -= 1
        client.handshakes -= 1
        self._shared.add(self._place, -HANDSHAKE)
        self._shared.add(client.place, -HANDSHAKE)

    def closed(self, client: ClientCounts) -> None:
        """One connection less is open."""
        self.open -= 1
        client.connections -= 1
        if not client.connections:
            del self._clients[client.network]  # no entry for what is not there any more
        self._shared.add(self._place, -CONNECTION)
        self._shared.add(client.place, -CONNECTION)
