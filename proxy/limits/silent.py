"""Connections that have shown nothing yet, so that the oldest of them can make room for others. Pure.

A limit that refuses the newest is a gift to whoever holds the rest. So it is the client network with most silent connections that
gives one up, the oldest: an honest client has one or two, and is silent for a round trip.
"""

from typing import Generic, TypeVar

One = TypeVar("One")


class SilentOnes(Generic[One]):
    """Those of one listener in this process, by client network, in the order in which they came."""

    __slots__ = ("_by_network",)

    def __init__(self) -> None:
        """Nobody is silent."""
        self._by_network: dict[bytes, dict[One, None]] = {}

    def add(self, network: bytes, one: One) -> None:
        """It came, and has shown nothing."""
        self._by_network.setdefault(network, {})[one] = None

    def discard(self, network: bytes, one: One) -> None:
        """It has shown something, or is gone."""
        ones = self._by_network.get(network)
        if ones is None:
            return
        ones.pop(one, None)
        if not ones:
            del self._by_network[network]  # no entry for what is not there any more

    def oldest_of(self, network: bytes) -> One | None:
        """The one of a network that is silent for the longest time."""
        return next(iter(self._by_network.get(network, ())), None)

    def oldest_of_largest(self) -> One | None:
        """The same of the network that has most."""
        largest = max(self._by_network.values(), key=len, default=None)
        return None if largest is None else next(iter(largest))
