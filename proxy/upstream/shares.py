"""How many connections to one server each client holds, and whether it may have one more. Pure.

Theory of operation. A client may take another connection while it holds fewer than three times as many as are free. So a single
client gets three quarters of them, two get three sevenths each, and with any number of clients some stay free: one that comes new
finds a place at once, whatever the others do with theirs. Nothing is ever taken away from a request under way. Switches share
their memory among ports by the same rule ("dynamic thresholds", Choudhury and Hahne 1998).
"""

from typing import Final

from proxy.limits.networks import EXEMPT

# With 1 a client that is alone would get only half of the connections, with 9 nine tenths; two that hold on to theirs would then
# leave a nineteenth free in place of a seventh. Up to three connections, a client that is alone gets all.
_FOR_EACH_FREE: Final = 3


class Shares:
    """The connections of one server that are in use, by client."""

    __slots__ = ("_connections", "_held", "in_use")

    def __init__(self, connections: int) -> None:
        """All `connections` are free."""
        self._connections = connections
        self._held: dict[bytes, int] = {}
        self.in_use = 0

    def held(self, client: bytes) -> int:
        """How many this client has."""
        return self._held.get(client, 0)

    def take(self, client: bytes) -> bool:
        """Have it take one more, if it may; whether it did. `EXEMPT` may while any is free."""
        held, free = self._held.get(client, 0), self._connections - self.in_use
        if free <= 0 or (held >= _FOR_EACH_FREE * free and client != EXEMPT):
            return False
        self.in_use += 1
        self._held[client] = held + 1
        return True

    def give_back(self, client: bytes) -> None:
        """It has one less."""
        self.in_use -= 1
        left = self._held[client] - 1
        if left:
            self._held[client] = left
        else:
            del self._held[client]  # no entry for a client that has left
