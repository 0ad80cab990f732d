"""Which idle connections end first when others need room. Pure.

They are those of the client that has the most, and among these the ones with the least progress.
"""

import heapq
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple, TypeVar

from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import ConnectionReason

Connection = TypeVar("Connection")


class Shown(IntEnum):
    """How far the client of an idle connection has come."""

    NOTHING = 0
    """It owes its ClientHello; a part of it counts as nothing."""
    HELLO = 1
    """It was answered and owes the rest of the handshake. A copied ClientHello gets this far."""
    HANDSHAKE = 2
    """It is connected and has sent no request: some browsers connect ahead. Or only a part of its
    first, which no server has."""
    REQUEST = 3
    """It has sent requests and has none under way, or only a part of one that no server has."""


class Idle(NamedTuple):
    """A connection that waits for its client."""

    shown: Shown
    since: float
    """In loop time."""
    listener: str
    client: bytes
    """Its network; `EXEMPT` for one that counts for itself."""

    @property
    def reason(self) -> ConnectionReason:
        """The reason that its end is counted under."""
        return _REASONS[self.shown]


_REASONS = {
    Shown.NOTHING: ConnectionReason.SHED_SILENT,
    Shown.HELLO: ConnectionReason.SHED_UNFINISHED,
    Shown.HANDSHAKE: ConnectionReason.SHED_IDLE,
    Shown.REQUEST: ConnectionReason.SHED_IDLE,
}

Candidate = tuple[Idle, Connection]


def first_to_go(candidates: Iterable[Candidate[Connection]], most: int) -> list[Candidate[Connection]]:
    """Choose connections one after the other.

    Each is one of the client that has the most left: the one with the least progress, and the
    oldest of those.
    """
    clients: dict[object, list[Candidate[Connection]]] = {}
    for one in sorted(candidates, key=_rank, reverse=True):
        client = one[0].client
        clients.setdefault(object() if client == EXEMPT else client, []).append(one)
    # the number tells equal entries apart
    heap = [(-len(of_it), _rank(of_it[-1]), number, of_it) for number, of_it in enumerate(clients.values())]
    heapq.heapify(heap)
    chosen: list[Candidate[Connection]] = []
    while heap and len(chosen) < most:
        _, _, number, of_it = heap[0]
        chosen.append(of_it.pop())
        if of_it:
            heapq.heapreplace(heap, (-len(of_it), _rank(of_it[-1]), number, of_it))
        else:
            heapq.heappop(heap)
    return chosen


def _rank(candidate: Candidate[Connection]) -> tuple[Shown, float]:
    return candidate[0].shown, candidate[0].since


def patience(seconds: float, part: float) -> float:
    """How long a client may take to send its ClientHello.

    `part` is the part of the limit on handshakes that is in use. Up to a half the answer is
    `seconds`.
    """
    least = min(seconds, LEAST_SECONDS)
    return seconds - (seconds - least) * min(1.0, max(0.0, 2.0 * part - 1.0))


LEAST_SECONDS = 2.0
"""A lost packet is sent again after one second (RFC 6298 section 2), and takes time to arrive."""
LEAST_IDLE_SECONDS = 0.5
"""One that has waited for less may have just arrived, with its first bytes still on their way."""
