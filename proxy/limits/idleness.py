"""Which connections go first when others need their place: of whoever has most, those that have shown least. Pure."""

import heapq
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple, TypeVar

from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import ConnectionReason

Connection = TypeVar("Connection")


class Shown(IntEnum):
    """What a client has done so far, for which a connection waits that nobody uses."""

    NOTHING = 0
    """It owes its ClientHello, of which a part may be there: to let it drip is to show nothing."""
    HELLO = 1
    """It was answered and owes the rest of the handshake. A copied ClientHello comes so far."""
    HANDSHAKE = 2
    """It is connected, and has no request under way but perhaps a part of one, of which no server knows."""


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
        """What its end is counted as."""
        return _REASONS[self.shown]


_REASONS = {
    Shown.NOTHING: ConnectionReason.SHED_SILENT,
    Shown.HELLO: ConnectionReason.SHED_UNFINISHED,
    Shown.HANDSHAKE: ConnectionReason.SHED_IDLE,
}

Candidate = tuple[Idle, Connection]


def first_to_go(candidates: Iterable[Candidate[Connection]], most: int) -> list[Candidate[Connection]]:
    """Always one of the client that has most of them left: the one that has shown least, and of these the oldest."""
    clients: dict[object, list[Candidate[Connection]]] = {}
    for one in sorted(candidates, key=_rank, reverse=True):
        client = one[0].client
        clients.setdefault(object() if client == EXEMPT else client, []).append(one)
    # the number keeps those apart that are alike
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
    """How long a client may take to its hello while this part of the limit on handshakes is taken: all the time, up to the half."""
    least = min(seconds, LEAST_SECONDS)
    return seconds - (seconds - least) * min(1.0, max(0.0, 2.0 * part - 1.0))


LEAST_SECONDS = 2.0
"""The first repetition of a lost packet comes after one second (RFC 6298 section 2), and takes its way."""
LEAST_IDLE_SECONDS = 0.5
"""Who waits for its client for less may have just come, and be about to say or to ask for something."""
