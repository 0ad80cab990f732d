"""A bounded queue in which client networks take turns. Pure.

So a network that brings many items does not make the others wait for all of them.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from proxy.limits.networks import EXEMPT

Item = TypeVar("Item")


class NoRoom(Enum):
    """Why something is not taken."""

    FULL = auto()
    SHARE = auto()
    """This network has as much in the queue as one may have."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many may wait: all together, and of one network, unless it is `EXEMPT`."""

    all: int
    per_network: int


class FairQueue(Generic[Item]):
    """Takes one of each network in turn."""

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._waiting: OrderedDict[bytes, deque[Item]] = OrderedDict()
        self._urgent: deque[Item] = deque()
        self.waiting = 0
        """How many wait, our own included."""

    def __iter__(self) -> Iterator[Item]:
        """All that wait except our own, in no particular order."""
        return (item for of_network in self._waiting.values() for item in of_network)

    def push(self, network: bytes, item: Item) -> NoRoom | None:
        """Add the last one of a network; None if it was taken."""
        if self.waiting - len(self._urgent) >= self._limits.all:
            return NoRoom.FULL
        of_network = self._waiting.get(network)
        if of_network is None:
            of_network = self._waiting[network] = deque()
        elif network != EXEMPT and len(of_network) >= self._limits.per_network:
            return NoRoom.SHARE
        of_network.append(item)
        self.waiting += 1
        return None

    def push_fairly(self, network: bytes, item: Item, displaced: Callable[[Item], object]) -> NoRoom | None:
        """Add the last one of a network as `push` does; in a full queue another one may give way.

        `displaced` gets the one that gave way.
        """
        room = self.push(network, item)
        if room is not NoRoom.FULL or (other := self.give_way(network)) is None:
            return room
        room = self.push(network, item)
        displaced(other)
        return room

    def push_urgent(self, item: Item) -> None:
        """Add one of our own, before all others and beyond the limits."""
        self._urgent.append(item)
        self.waiting += 1

    def pop(self, may: Callable[[bytes], bool] | None = None) -> Item | None:
        """Take the next one; None if none waits.

        `may` says of a network whether its turn can come; a network whose turn cannot come keeps
        its place. The item of the first network that `may` accepts is taken.
        """
        if self._urgent:
            self.waiting -= 1
            return self._urgent.popleft()
        network = next((one for one in self._waiting if may is None or may(one)), None)
        if network is None:
            return None
        of_network = self._waiting.pop(network)
        item = of_network.popleft()
        if of_network:
            self._waiting[network] = of_network
        self.waiting -= 1
        return item

    def ahead_of(self, network: bytes) -> int:
        """How many are taken before the next one of this network, if no others come."""
        own = len(self._waiting.get(network, ()))
        others = sum(min(len(items), own + 1) for one, items in self._waiting.items() if one != network)
        return len(self._urgent) + own + others

    def give_way(self, network: bytes) -> Item | None:
        """Take an item away from the network with the most, in favour of this network.

        The answer is the newest item of that network, or None if it does not have at least two more
        than this one: with one more, the two would only change places. `EXEMPT` stands for many
        clients, which keep theirs.
        """
        networks = (one for one in self._waiting if one != EXEMPT)
        most = max(networks, key=lambda one: len(self._waiting[one]), default=network)
        if len(self._waiting.get(most, ())) <= len(self._waiting.get(network, ())) + 1:
            return None
        self.waiting -= 1
        return self._waiting[most].pop()

    def remove(self, network: bytes, item: Item) -> bool:
        """Take out one that need not wait any more; whether it was there."""
        of_network = self._waiting.get(network)
        if of_network is None or item not in of_network:
            return False
        of_network.remove(item)
        self.waiting -= 1
        if not of_network:
            del self._waiting[network]
        return True

    def clear(self) -> list[Item]:
        items = list(self)
        self._waiting.clear()
        self.waiting = len(self._urgent)
        return items
