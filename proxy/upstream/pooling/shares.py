"""How much of something scarce each client holds, and whether it may have one more. Pure.

It is used for the connections to one server, and for WebSockets
(`downstream.requests.tunnel_places`).

Theory of operation. A client may take another connection while it holds fewer than three times as
many as are free. So a single client gets three quarters of them, and two get three sevenths each.
With any number of clients some stay free, so a new client finds a place at once, even if the others
hold on to theirs. A request in flight never loses its connection. Switches share their memory among
ports by the same rule ("dynamic thresholds", Choudhury and Hahne 1998).

An answer whose client takes nothing keeps its connection for no use: it stands. The last quarter of
the connections is not for clients with such answers. So attackers with any number of addresses do
not keep out clients that read. `lacking` says how far the quarter is used up: then answers that
stand have to go (`downstream.service.unread_answers`).
"""

from typing import Final

from proxy.limits.networks import EXEMPT

# The factor, a compromise. With 1, a single client would get only half of the connections. With 9,
# it would get nine tenths, and two clients would leave only a nineteenth free, in place of a
# seventh. Up to three connections, a single client gets all.
_FOR_EACH_FREE: Final = 3
_KEPT: Final = 4
"""The share, one in this number, that is kept for clients that read."""


def _kept(connections: int) -> int:
    """How many are for clients that read: one of few, but not the only one."""
    return max(connections // _KEPT, min(1, connections - 1))


class Shares:
    """What is in use, by client: mostly the connections of one server."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._kept = _kept(connections)
        self._held: dict[bytes, int] = {}
        self._standing: dict[bytes, int] = {}
        self.in_use = 0

    def held(self, client: bytes) -> int:
        return self._held.get(client, 0)

    @property
    def is_full(self) -> bool:
        return self.in_use >= self._connections

    def take_any(self, client: bytes) -> bool:
        """Give the client one more while any is free: one of its own, or of another, made room."""
        if self.is_full:
            return False
        self.in_use += 1
        self._held[client] = self._held.get(client, 0) + 1
        return True

    def take(self, client: bytes) -> bool:
        """Give the client one more, if it may have it. Returns whether it got one.

        `EXEMPT` may have one while any is free.
        """
        held = self._held.get(client, 0)
        free = self._connections - self.in_use
        if free <= 0 or (held >= _FOR_EACH_FREE * free and client != EXEMPT):
            return False
        if self._standing and free <= self._kept and client in self._standing:
            return False
        self.in_use += 1
        self._held[client] = held + 1
        return True

    def resize(self, connections: int) -> None:
        """The number of connections is now `connections`. Clients keep what they hold."""
        self._connections = connections
        self._kept = _kept(connections)

    def give_back(self, client: bytes) -> None:
        self.in_use -= 1
        left = self._held[client] - 1
        if left:
            self._held[client] = left
        else:
            del self._held[client]  # no entry for a client that has left

    # -- answers that stand

    @property
    def is_busy(self) -> bool:
        """Whether more than half of the connections are in use."""
        return 2 * self.in_use > self._connections

    @property
    def lacking(self) -> int:
        """How many connections are in use of those that are for clients that read."""
        return max(0, self._kept - (self._connections - self.in_use))

    def stand(self, client: bytes) -> None:
        """The client takes nothing of an answer. `EXEMPT` stands for many clients: it still may."""
        if client != EXEMPT:
            self._standing[client] = self._standing.get(client, 0) + 1

    def move(self, client: bytes) -> None:
        """The answer needs the connection no more, or the client takes it again."""
        left = self._standing.get(client, 0) - 1
        if left > 0:
            self._standing[client] = left
        else:
            self._standing.pop(client, None)
