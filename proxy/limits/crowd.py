"""Which client has the most unfinished connections, and which of these is the oldest. Pure.

Theory of operation. In a flood this is asked thousands of times a second, and each honest client
enters and leaves as well. So no step may take longer when there are more members. Clients stand on
shelves, one shelf for each number of members. A client that gets a member moves up a shelf, and one
that loses a member moves down. So the highest shelf in use is never far from the last one.
"""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Member = TypeVar("Member")


class Crowd(Generic[Member]):
    """Members, each of a client."""

    def __init__(self) -> None:
        self._clients: dict[Hashable, dict[Member, None]] = {}
        self._shelves: dict[int, dict[Hashable, None]] = {}
        """Number of members -> the clients with that number, the first to reach it first."""
        self._highest = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Member]:
        """All members, those of a client side by side."""
        for members in self._clients.values():
            yield from members

    def add(self, client: Hashable, member: Member) -> None:
        """Add a member, as the youngest of its client."""
        members = self._clients.get(client)
        if members is None:
            members = self._clients[client] = {}
        size = len(members)
        members[member] = None
        self._count += 1
        self._move(client, size, size + 1)
        self._highest = max(self._highest, size + 1)

    def discard(self, client: Hashable, member: Member) -> None:
        """Remove a member, if it is there."""
        members = self._clients.get(client)
        if members is None or member not in members:
            return
        size = len(members)
        del members[member]
        self._count -= 1
        self._move(client, size, size - 1)
        if size == 1:
            del self._clients[client]
        if self._highest not in self._shelves:
            self._highest = size - 1

    def _move(self, client: Hashable, size: int, other: int) -> None:
        shelves = self._shelves
        if size:
            shelf = shelves[size]
            del shelf[client]
            if not shelf:
                del shelves[size]
        if other:
            above = shelves.get(other)
            if above is None:
                shelves[other] = {client: None}
            else:
                above[client] = None

    def oldest(self) -> Member | None:
        """The oldest of the client that has most."""
        if not self._count:
            return None
        return next(iter(self._clients[next(iter(self._shelves[self._highest]))]))

    def oldest_of(self, client: Hashable) -> Member | None:
        members = self._clients.get(client)
        return None if members is None else next(iter(members))
