"""Which sockets each worker accepts on, as a list of listeners with the numbers of their sockets.

The number of a socket is its descriptor in the parent. A worker gets the whole list each time, and
the descriptors of sockets that are new to it. It closes the sockets that are not in the list.
"""

from collections.abc import Hashable, Iterable
from typing import Protocol

from proxy.processes.messages.questions import Accept
from proxy.supervisor.workers.sockets import BoundAddress


class Sockets(Protocol):
    @property
    def bound(self) -> Iterable[BoundAddress]: ...


class Acceptance:
    """The sockets that each worker was asked to accept on, and those that it has copies of."""

    def __init__(self, sockets: Sockets) -> None:
        """The lists of all workers are empty at first."""
        self._sockets = sockets
        self._slots: dict[Hashable, frozenset[int]] = {}
        self._given: dict[Hashable, set[int]] = {}

    def slots(self, worker: Hashable) -> frozenset[int]:
        """The slots whose sockets a worker accepts on."""
        return self._slots.get(worker, frozenset())

    def add(self, worker: Hashable, slots: frozenset[int]) -> bool:
        """Let a worker accept on the sockets of these slots too. Tells if this is a change."""
        return self.settle(worker, self.slots(worker) | slots)

    def settle(self, worker: Hashable, slots: frozenset[int]) -> bool:
        """Let a worker accept on the sockets of exactly these slots. Tells if this is a change."""
        before = self.slots(worker)
        self._slots[worker] = slots
        return slots != before

    def listing(self, worker: Hashable) -> tuple[Accept, list[int]]:
        """The list for a worker, and the descriptors to send with it. They stay open here."""
        slots = self.slots(worker)
        listeners: dict[str, list[int]] = {}
        for address in self._sockets.bound:
            numbers = [sock.fileno() for sock in address.of_slots(slots)]
            listeners.setdefault(address.listener, []).extend(numbers)
        listed = {number for numbers in listeners.values() for number in numbers}
        new = sorted(listed - self._given.get(worker, set()))
        self._given[worker] = listed
        return Accept({name: tuple(numbers) for name, numbers in listeners.items()}, tuple(new)), new

    def refused(self, worker: Hashable, before: frozenset[int]) -> None:
        """A worker refused its list: it accepts as before.

        The parent does not know any more which sockets the worker has copies of.
        """
        self._slots[worker] = before
        self._given.pop(worker, None)

    def forget(self, worker: Hashable) -> None:
        self._slots.pop(worker, None)
        self._given.pop(worker, None)
