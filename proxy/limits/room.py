"""Which connections a listener takes, and which ones make room when a limit is reached.

Theory of operation. A limit that refuses the newest connection helps an attacker who holds the
others: a thousand silent connections would lock out all clients. So a new connection is refused
only if no other one can make room. A connection can make room while it waits for its client. It
waits for a complete ClientHello, even if parts of it arrive; for the end of the handshake, since a
copied ClientHello costs an attacker nothing; or for a request. A connection that waits for us (for
OpenSSL, a token, an upstream) never makes room. The oldest connection of the client that has the
most goes first: a new one is as silent as an old one, and only its age tells them apart.

`handshakes_in_flight` limits the memory of unfinished handshakes. It includes silent connections,
which any new connection may push out. `handshakes_per_address` counts from the ClientHello on,
because a handshake costs work from then on. The more of the first limit is in use, the shorter is
the time for the ClientHello.

*Several workers.* The counts are those of all workers, but a worker can end only its own
connections. So each worker tells the others how many it could end. If a limit is reached, the
worker that could end the most ends some. Another worker admits beyond the limit, but not more than
the others could end. The others end their surplus at their next connection or check, at most a
quarter of a second later.

*What it costs.* Unfinished handshakes stand in order (`crowd`). Other connections are searched,
because an attacker has to pay for each of them. A search ends several at once. A search that found
none is not repeated before `_SEARCH_SECONDS` have passed.
"""

import math
from collections.abc import Callable
from typing import Final, Protocol

from proxy.limits.connections import ClientCounts, ConnectionCounts, ListenerLimits
from proxy.limits.crowd import Crowd
from proxy.limits.idleness import LEAST_IDLE_SECONDS, Idle, patience
from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import ConnectionReason

_SEARCH_SECONDS: Final = 0.25
# A search looks at all connections, so it ends this part of the limit: the next few need no search.
_PART_AT_ONCE: Final = 64
# Accepted but not checked, or in OpenSSL's queue: not more than come in a turn or two of the
# loop.
_MOST_SPARED: Final = 64
# From these parts of a limit on the time for a ClientHello shrinks, and the others are told how
# much could be spared here.
_HALF: Final = 0.5
_PRESSING: Final = 0.75


class Unfinished(Protocol):
    """A connection whose handshake is not over."""

    @property
    def client(self) -> bytes:
        """The network that it counts for, or `EXEMPT`."""

    @property
    def since(self) -> float: ...

    @property
    def is_unread(self) -> bool:
        """Whether its first bytes arrived and were not read yet."""

    @property
    def awaits_client(self) -> bool:
        """Whether it waits for its client, and not for us."""

    def shed(self) -> None:
        """End at once."""


def _key(one: Unfinished) -> object:
    """Each connection of an exempt network counts as a client of its own."""
    return one.client or one


class Connections(Protocol):
    def shed_idle(self, most: int, listener: str, client: bytes | None = None) -> list[Idle]:
        """End connections without a request, of one client or of all; returns what was ended."""

    def count_idle(self, listener: str) -> int:
        """How many `shed_idle` could end."""


class Room:
    """Of one listener in one process."""

    def __init__(
        self,
        listener: str,
        counts: ConnectionCounts,
        connections: Connections,
        clock: Callable[[], float],
        count: Callable[[ConnectionReason, bytes], None],
    ) -> None:
        """`count` gets the reason of each connection that was ended, and its client."""
        self._listener = listener
        self._counts = counts
        self._connections = connections
        self._clock = clock
        self._count = count
        self._waiting: Crowd[Unfinished] = Crowd()
        """Connections whose handshake is not over, without those that wait for a token."""
        self._shown: dict[Unfinished, None] = {}
        """Those of them that have shown a ClientHello."""
        self._idle = 0
        """Connections without a request, at the last look."""
        self._is_pressing = False
        self._no_idle_at = -math.inf

    # -- newcomers

    def admit(self, network: bytes, limits: ListenerLimits, *, is_exempt: bool) -> ClientCounts | ConnectionReason:
        """Count a connection and its handshake in, or return the limit that they exceed.

        At a limit another connection may make room. The limits of a single client are checked
        first: a connection that they refuse must not have pushed out another. The limits of all
        clients together also apply to exempt ones: descriptors and memory do not grow for trusted
        clients.
        """
        counts = self._counts
        client = counts.client(network)
        if not is_exempt:
            if counts.surplus_of(client, limits) > 0 and not self._makes_room_of(client, limits):
                return ConnectionReason.CONNECTIONS_PER_ADDRESS
            if not counts.take_token(client, limits):
                return ConnectionReason.HANDSHAKE_RATE
        connections, handshakes = counts.surplus(limits)
        self._is_pressing = (
            handshakes > (_PRESSING - 1.0) * limits.handshakes_in_flight
            or connections > (_PRESSING - 1.0) * limits.connections
        )
        if handshakes > 0:
            if not self._makes_room_for_handshake(handshakes):
                return ConnectionReason.HANDSHAKES_IN_FLIGHT
            connections, _ = counts.surplus(limits)
        if connections > 0 and not self._makes_room_for_connection(connections, limits):
            return ConnectionReason.CONNECTIONS
        counts.count_in(client)
        return client

    def identify(
        self, sender: ClientCounts, network: bytes, limits: ListenerLimits, *, is_exempt: bool
    ) -> ClientCounts | ConnectionReason:
        """Count a connection for the client that its balancer named, or return the limit exceeded.

        It was admitted as exempt, under the counts of the balancer. These keep it if it is refused.
        """
        counts = self._counts
        client = counts.client(network)
        counts.move(sender, client)
        if not is_exempt:
            reason = None
            # the surplus is of one more, and this one is counted already
            if counts.surplus_of(client, limits) > 1 and not self._makes_room_of(client, limits):
                reason = ConnectionReason.CONNECTIONS_PER_ADDRESS
            elif not counts.take_token(client, limits):
                reason = ConnectionReason.HANDSHAKE_RATE
            if reason is not None:
                counts.move(client, sender)
                return reason
        return client

    def admit_tunnel(self, network: bytes, limits: ListenerLimits) -> ClientCounts | ConnectionReason:
        """Count a WebSocket over HTTP/2 in as a connection, or return the limit that it exceeds."""
        counts = self._counts
        client = counts.client(network)
        if network != EXEMPT and counts.surplus_of(client, limits) > 0 and not self._makes_room_of(client, limits):
            return ConnectionReason.CONNECTIONS_PER_ADDRESS
        connections, _ = counts.surplus(limits)
        if connections > 0 and not self._makes_room_for_connection(connections, limits):
            return ConnectionReason.CONNECTIONS
        counts.count_tunnel_in(client)
        return client

    def _makes_room_for_handshake(self, surplus: int) -> bool:
        self._tell_others()
        if self._counts.has_most_to_spare(len(self._waiting)) and self._end_unfinished(surplus):
            return True
        _, elsewhere = self._counts.others_can_spare
        return elsewhere >= surplus

    def _makes_room_for_connection(self, surplus: int, limits: ListenerLimits) -> bool:
        """The newest connections go last: the room is made for them."""
        latest = self._clock() - LEAST_IDLE_SECONDS
        if self._end_unfinished(surplus, latest):
            return True
        if self._clock() >= self._no_idle_at + _SEARCH_SECONDS:
            if self._end_idle(max(surplus, limits.connections // _PART_AT_ONCE)):
                return True
            self._no_idle_at = self._clock()
        idle, _ = self._counts.others_can_spare
        return idle >= surplus or self._makes_room_for_handshake(surplus)

    def _makes_room_of(self, client: ClientCounts, limits: ListenerLimits) -> bool:
        """Only the connections of the client in this worker can go."""
        oldest = self._waiting.oldest_of(client.network)
        if oldest is not None and oldest.since <= self._clock() - LEAST_IDLE_SECONDS and oldest.awaits_client:
            self._end(oldest)
            return True
        if self._clock() >= client.no_idle_at + _SEARCH_SECONDS:
            if self._end_idle(1 + limits.connections_per_address // _PART_AT_ONCE, client.network):
                return True
            client.no_idle_at = self._clock()
        if oldest is not None and oldest.awaits_client:
            self._end(oldest)
            return True
        return False

    # -- present connections

    def accepted(self, one: Unfinished) -> None:
        """It was admitted, and has sent no ClientHello yet."""
        self._waiting.add(_key(one), one)
        self._tell_others_if_pressing()

    def handed_on(self, one: Unfinished) -> None:
        """Another object stands for the connection, and is `accepted` next."""
        self._waiting.discard(_key(one), one)

    def hello_shown(self, one: Unfinished, client: ClientCounts, limits: ListenerLimits) -> bool:
        """Its ClientHello is complete: whether its handshake may continue."""
        if (
            one.client != EXEMPT
            and self._counts.surplus_handshakes_of(client, limits) > 0
            and not self._makes_room_for_handshake_of(client, limits)
        ):
            return False
        self._shown[one] = None
        self._counts.hello_shown(client)
        return True

    def _makes_room_for_handshake_of(self, client: ClientCounts, limits: ListenerLimits) -> bool:
        if self._clock() < client.no_answered_at + _SEARCH_SECONDS:
            return False
        # in the order of their ClientHellos
        answered = [one for one in self._shown if one.client == client.network and one.awaits_client]
        for one in answered[: 1 + limits.handshakes_per_address // _PART_AT_ONCE]:
            self._end(one)
        if not answered:
            client.no_answered_at = self._clock()
        return bool(answered)

    def token_asked(self, one: Unfinished) -> None:
        """It waits for a signature, and does not make room meanwhile."""
        self._waiting.discard(_key(one), one)
        self._tell_others_if_pressing()

    def token_answered(self, one: Unfinished) -> None:
        """It is the client's turn again."""
        self._waiting.discard(_key(one), one)  # a second ClientHello is not reported
        self._waiting.add(_key(one), one)
        self._tell_others_if_pressing()

    def over(self, one: Unfinished, client: ClientCounts) -> None:
        """Its handshake is over, whichever way."""
        has_shown = one in self._shown
        if has_shown:
            del self._shown[one]
        self._waiting.discard(_key(one), one)
        self._counts.handshake_over(client, has_shown=has_shown)
        self._tell_others_if_pressing()

    # -- from time to time

    def look(self, limits: ListenerLimits) -> None:
        """End handshakes that take too long, and the surplus over all workers; tell what can be
        spared.

        The less room is left, the sooner a handshake takes too long.
        """
        connections, handshakes = (surplus - 1 for surplus in self._counts.surplus(limits))
        self._end_impatiently(limits, 1.0 + handshakes / limits.handshakes_in_flight)
        is_pressing = connections >= (_PRESSING - 1.0) * limits.connections
        self._idle = self._connections.count_idle(self._listener) if is_pressing else 0
        self._tell_others()
        if handshakes > 0 and self._counts.has_most_to_spare(len(self._waiting)):
            self._end_unfinished(handshakes)
        if connections > 0:
            self._end_idle(connections)

    def _end_impatiently(self, limits: ListenerLimits, part: float) -> None:
        if part > _HALF:
            oldest = self._clock() - patience(limits.handshake_seconds, part)
            for one in [one for one in self._waiting if one.since < oldest and one not in self._shown]:
                self._end(one)

    def _tell_others_if_pressing(self) -> None:
        if self._is_pressing:
            self._tell_others()

    def _tell_others(self) -> None:
        self._counts.can_spare(len(self._waiting), self._idle)

    # -- ending

    def _end_unfinished(self, most: int, latest: float = math.inf) -> bool:
        """End up to `most`, none that arrived after `latest`; whether there was any."""
        ended = 0
        spared = min(_MOST_SPARED, len(self._waiting))
        while ended < most and (one := self._waiting.oldest()) is not None and one.since <= latest:
            if not one.awaits_client or (spared and one.is_unread):
                if not spared:
                    break
                spared -= 1
                # as if it had just arrived: it is not silent
                self._waiting.discard(_key(one), one)
                self._waiting.add(_key(one), one)
            else:
                self._end(one)
                ended += 1
        return ended > 0

    def _end(self, one: Unfinished) -> None:
        client = one.client
        reason = ConnectionReason.SHED_UNFINISHED if one in self._shown else ConnectionReason.SHED_SILENT
        one.shed()
        self._count(reason, client)

    def _end_idle(self, most: int, client: bytes | None = None) -> bool:
        ended = self._connections.shed_idle(most, self._listener, client)
        for one in ended:
            self._counts.leaves(one.client)
            self._count(one.reason, one.client)
        return bool(ended)
