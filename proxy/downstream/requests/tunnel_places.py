"""The room for tunnels: who has how many, and which of them make room for another one.

Theory of operation. A tunnel is a WebSocket, or a connection of TCP. It lasts, it costs its client
nothing while it is silent, and it holds a connection to a server. So it is bounded three times: as
a connection of its listener (`limits.room`), by what its server takes, and by the descriptors of
this process, of which a part stays for clients that only ask something. The last two are shared out
as the connections to a server are (`upstream.pooling.shares`).

At a limit another tunnel makes room (`limits.idleness`). If the client has its share, that is a
silent one of its own. If all are taken, it is one of a client that has more than the new client: so
who has the most cannot push out those of others. Without room the new tunnel is refused. By then
the server has been asked. So for a moment further attempts of this client are refused before that.
"""

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from proxy.limits.connections import ClientCounts
from proxy.limits.idleness import LEAST_IDLE_SECONDS, Idle, Shown, first_to_go
from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import ConnectionReason
from proxy.upstream.pooling.shares import Shares

# A search looks at all tunnels, so it ends this part of them: the next few need no search. One that
# found none is not repeated at once.
_PART_AT_ONCE: Final = 64
_AGAIN_SECONDS: Final = 0.25
# Clients that were refused a moment ago: more than these come from a crowd, which the limits on
# connections hold.
_MOST_REMEMBERED: Final = 1_024
# No limit, until the process has counted its descriptors.
_UNBOUNDED: Final = 1 << 40


class ListenerPlaces(Protocol):
    def admit_tunnel(self, network: bytes) -> ClientCounts | ConnectionReason:
        """Count one more connection of a client in, or return the limit that it exceeds."""

    def tunnel_over(self, client: ClientCounts) -> None: ...


class PlacesServer(Protocol):
    @property
    def places(self) -> Shares: ...


class TunnelHolder(Protocol):
    @property
    def idle(self) -> Idle | None:
        """How long it has been silent; None while it ends."""

    def shed(self) -> None:
        """End at once, to make room for others."""


class TunnelPlace:
    """What one tunnel takes, until `release`."""

    def __init__(self, places: "TunnelPlaces", client: bytes, shared: Shares) -> None:
        self._places: Final = places
        self._client: Final = client
        self._shared: Final = shared
        self._listener: ListenerPlaces | None = None
        self._counts: ClientCounts | None = None
        self.holder: TunnelHolder | None = None

    def count_at(self, listener: ListenerPlaces, counts: ClientCounts) -> None:
        """It is counted as a connection of the listener, too."""
        self._listener = listener
        self._counts = counts

    def is_of(self, server: Shares | None, client: bytes | None) -> bool:
        """Whether its server has these places, and who has it; None stands for any."""
        return (server is None or self._shared is server) and (client is None or self._client == client)

    def release(self) -> None:
        self._shared.give_back(self._client)
        self._places.released(self, self._client)

    def count_out(self) -> None:
        """Its listener has one connection less."""
        if self._listener is not None and self._counts is not None:
            self._listener.tunnel_over(self._counts)


class TunnelPlaces:
    def __init__(
        self,
        clock: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], object],
        count: Callable[[str, ConnectionReason, bytes], None],
    ) -> None:
        """`count` gets the listener, the reason and the client of each tunnel that made room."""
        self._clock: Final = clock
        self._call_soon: Final = call_soon
        self._count: Final = count
        self._shares: Final = Shares(_UNBOUNDED)
        self._open: dict[TunnelPlace, None] = {}
        self._refused: dict[bytes, tuple[float, str]] = {}
        """Clients that found no room -> until when it is not looked for again, and the limit."""
        self._vain: dict[Shares, tuple[float, int]] = {}
        """Places that were all taken -> until when a search is vain, for clients with how many."""

    def bound(self, most: int) -> None:
        self._shares.resize(most)

    def refusal_of(self, client: bytes) -> str | None:
        """The limit that kept this client out a moment ago, before a server is asked again."""
        refused = self._refused.get(client)
        if refused is None:
            return None
        if self._clock() < refused[0]:
            return refused[1]
        del self._refused[client]
        return None

    def take(self, client: bytes, server: PlacesServer, listener: ListenerPlaces | None = None) -> TunnelPlace | str:
        """Take a place, or return the name of the limit that leaves none.

        `listener` is that of a tunnel that is not a counted connection already.
        """
        place = TunnelPlace(self, client, server.places)
        if listener is not None:
            counts = listener.admit_tunnel(client)
            if isinstance(counts, ConnectionReason):
                return self._refuse(client, counts.value)
            place.count_at(listener, counts)
        if not self._has_place(server.places, client, server.places):
            place.count_out()
            return "websockets"  # the next request may find another server: it is not remembered
        if not self._has_place(self._shares, client, None):
            server.places.give_back(client)
            place.count_out()
            return self._refuse(client, ConnectionReason.OUT_OF_DESCRIPTORS.value)
        self._open[place] = None
        return place

    def _refuse(self, client: bytes, limit: str) -> str:
        if len(self._refused) >= _MOST_REMEMBERED:
            self._refused.clear()
        self._refused[client] = self._clock() + _AGAIN_SECONDS, limit
        return limit

    def released(self, place: TunnelPlace, client: bytes) -> None:
        del self._open[place]
        self._shares.give_back(client)
        self._call_soon(place.count_out)  # behind `ConnectionCounts.leaves`, if it makes room for another

    # -- room

    def _has_place(self, shares: Shares, client: bytes, server: Shares | None) -> bool:
        if shares.take(client):
            return True
        held = 0 if client == EXEMPT else shares.held(client)
        is_full = shares.is_full  # else the client has its share
        if is_full and self._is_vain(shares, held):
            return False
        candidates = [
            (idle, one)
            for idle, one in self._candidates(server, None if is_full else client)
            if (is_full and shares.held(idle.client) > held)
            or (idle.client == client and idle.shown is not Shown.MESSAGES)
        ]
        chosen = first_to_go(candidates, 1 + (shares.in_use if is_full else held) // _PART_AT_ONCE)
        for idle, one in chosen:
            one.shed()
            self._count(idle.listener, idle.reason, idle.client)
        if is_full and not chosen:
            now = self._clock()
            self._vain = {of: one for of, one in self._vain.items() if one[0] > now}
            self._vain[shares] = now + _AGAIN_SECONDS, held
        return bool(chosen) and shares.take_any(client)

    def _is_vain(self, shares: Shares, held: int) -> bool:
        """Whether a client that had no more has found no room a moment ago."""
        until, had = self._vain.get(shares, (0.0, 0))
        return held >= had and self._clock() < until

    def _candidates(self, server: Shares | None, client: bytes | None) -> Iterator[tuple[Idle, TunnelHolder]]:
        """Those with a server, of a client; None stands for any."""
        latest = self._clock() - LEAST_IDLE_SECONDS
        for place in self._open:
            if place.holder is not None and place.is_of(server, client):
                idle = place.holder.idle
                if idle is not None and idle.since <= latest:
                    yield idle, place.holder
