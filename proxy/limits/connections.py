"""The connections and handshakes of one listener, counted over all workers.

There is one count for all clients together, and one for each client.
"""

import math
from dataclasses import dataclass
from typing import Final

from proxy.limits.rates import Rate, connections_of_fleet
from proxy.limits.shared import CONNECTION, HANDSHAKE, Clock, Place, SharedTable

_UNLIMITED: Final = Rate(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Limits on connections before and while they are served."""

    connections: int
    connections_per_address: int
    handshakes_in_flight: int
    handshakes_per_address: int
    handshake_rate: Rate
    handshake_seconds: float
    slow_rate: Rate = _UNLIMITED
    """Of one address: handshakes whose key exchange is too slow for an event loop."""
    fleet_connections: int | None = None
    """Over all nodes of the fleet, of which this one has a share."""


class ClientCounts:
    """What one client network has at this listener in this process."""

    def __init__(self, network: bytes, place: Place, rate_place: Place) -> None:
        self.network: Final = network
        self.place: Final = place
        self.rate_place: Final = rate_place
        self.connections = 0
        self.handshakes = 0
        """Handshakes that have shown a ClientHello."""
        self.leaving = 0
        """Those of its connections that are ended in this turn of the loop."""
        self.no_answered_at = self.no_idle_at = -math.inf
        """When a search for a connection that could make room last found none (`room`)."""


class ConnectionCounts:
    """Counts connections and handshakes in and out, over all workers.

    The count of all clients holds a handshake from its accept on, because its bytes take memory.
    The count of one client holds it from its ClientHello on.
    """

    def __init__(self, listener: str, shared: SharedTable, clock: Clock) -> None:
        """Counts of this process start at zero; those of others are shared."""
        self._prefix = listener.encode() + b"\0"
        self._of_fleet = connections_of_fleet(listener)
        self._shared = shared
        self._clock = clock
        self._place = shared.total_place(listener.encode())
        self._spare_place = shared.total_place(listener.encode() + b"\0spare")
        self._spare = 0
        self._clients: dict[bytes, ClientCounts] = {}
        self._leaving = 0
        self.open = 0
        self.in_flight = 0

    def client(self, network: bytes) -> ClientCounts:
        known = self._clients.get(network)
        if known is not None:
            return known
        place, rate_place = self._shared.places(self._prefix + network)
        return ClientCounts(network, place, rate_place)

    # -- by how many one more exceeds a limit; 0 or less: it is within the limit

    def surplus(self, limits: ListenerLimits) -> tuple[int, int]:
        """Of connections and of handshakes in flight."""
        others_open, others_in_flight = self._shared.others(self._place)
        most = limits.connections
        if limits.fleet_connections is not None:
            most = min(most, int(limits.fleet_connections * self._shared.share(self._of_fleet)))
        return (
            self.open - self._leaving + others_open + 1 - most,
            self.in_flight + others_in_flight + 1 - limits.handshakes_in_flight,
        )

    def surplus_of(self, client: ClientCounts, limits: ListenerLimits) -> int:
        others, _ = self._shared.others(client.place)
        return client.connections - client.leaving + others + 1 - limits.connections_per_address

    def surplus_handshakes_of(self, client: ClientCounts, limits: ListenerLimits) -> int:
        """Of the handshakes of a client that have shown a ClientHello."""
        _, others = self._shared.others(client.place)
        return client.handshakes + others + 1 - limits.handshakes_per_address

    # -- how much could make room here, for the other workers, which cannot end it

    def can_spare(self, handshakes: int, idle: int) -> None:
        """Tell the others how many connections could make room here."""
        spare = idle * CONNECTION + handshakes
        self._shared.add(self._spare_place, spare - self._spare)  # others may count in the same cells
        self._spare = spare

    @property
    def others_can_spare(self) -> tuple[int, int]:
        """How many idle connections and unfinished handshakes all others have."""
        return self._shared.others(self._spare_place)

    def has_most_to_spare(self, handshakes: int) -> bool:
        """Whether no other worker has more than `handshakes` unfinished handshakes."""
        return handshakes >= self._shared.largest_other(self._spare_place)

    # -- counting

    def take_token(self, client: ClientCounts, limits: ListenerLimits) -> bool:
        """Whether the rate of this client allows one more."""
        return not self._shared.take(client.rate_place, limits.handshake_rate, self._clock())

    def take_slow_token(self, client: ClientCounts, limits: ListenerLimits) -> bool:
        """The same for handshakes with a slow key exchange."""
        place = self._shared.rate_place(self._prefix + b"slow\0" + client.network)
        return not self._shared.take(place, limits.slow_rate, self._clock())

    def count_in(self, client: ClientCounts) -> None:
        """One connection more is open, and its handshake in flight."""
        self.open += 1
        self.in_flight += 1
        client.connections += 1
        self._clients[client.network] = client
        self._shared.add(self._place, CONNECTION + HANDSHAKE)
        self._shared.add(client.place, CONNECTION)

    def count_tunnel_in(self, client: ClientCounts) -> None:
        """One more that needs no handshake: `closed` counts it out."""
        self.open += 1
        client.connections += 1
        self._clients[client.network] = client
        self._shared.add(self._place, CONNECTION)
        self._shared.add(client.place, CONNECTION)

    def move(self, before: ClientCounts, client: ClientCounts) -> None:
        """A connection without a ClientHello counts for another client from now on."""
        self._leave(before)
        client.connections += 1
        self._clients[client.network] = client
        self._shared.add(client.place, CONNECTION)

    def _leave(self, client: ClientCounts) -> None:
        client.connections -= 1
        client.leaving -= client.leaving > 0
        if not client.connections:
            del self._clients[client.network]  # clients without connections have no entry
        self._shared.add(client.place, -CONNECTION)

    def hello_shown(self, client: ClientCounts) -> None:
        """The handshake counts as one of its client from now on."""
        client.handshakes += 1
        self._shared.add(client.place, HANDSHAKE)

    def handshake_over(self, client: ClientCounts, *, has_shown: bool) -> None:
        """One handshake less is in flight; `has_shown`: whether `hello_shown` was called for it."""
        self.in_flight -= 1
        self._shared.add(self._place, -HANDSHAKE)
        if has_shown:
            client.handshakes -= 1
            self._shared.add(client.place, -HANDSHAKE)

    def leaves(self, network: bytes) -> None:
        """A connection was asked to end and will close soon: it takes no place any more."""
        self._leaving += 1
        client = self._clients.get(network)
        if client is not None:
            client.leaving += 1

    def closed(self, client: ClientCounts) -> None:
        self.open -= 1
        self._leaving -= self._leaving > 0
        self._shared.add(self._place, -CONNECTION)
        self._leave(client)
