"""Which connections end first when others need room. Pure.

Theory of operation. What waits for its client is judged in three turns. In each of them the client
that has the most gives first: of what it has, what has shown the least, and the oldest of that.

1. What is silent: connections without a request or a finished handshake, and WebSockets and TCP
   connections without messages. Not the connections of a client that have served requests, if it
   has no more than a browser opens: in a shortage most of these are honest.
2. WebSockets and TCP connections that are in use, of clients that have more than a browser opens.
   To look busy costs an attacker a byte now and then, so being busy cannot protect any number.
3. The unused connections that were left out in the first turn. It comes only when nothing else is
   about to make room (`MAKES_ROOM_SECONDS`).

A WebSocket that is in use, of a client that has few, never makes room.
"""

import heapq
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple, TypeVar

from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import ConnectionReason

Connection = TypeVar("Connection")

# Browsers open six connections of HTTP/1.1 to one host.
_OF_A_BROWSER: Final = 6
BEFORE_THE_LAST: Final = 2
ALL_TURNS: Final = 3
MAKES_ROOM_SECONDS: Final = 1.0
"""A tunnel that was ended may hold its descriptors for so long: its server is told, too."""
QUIET_SECONDS: Final = 60.0
"""A tunnel in use is never silent for so long: programs send a sign of life every 20 to 45 s."""


class Shown(IntEnum):
    """How far the client of a connection has come that could make room."""

    NOTHING = 0
    """It owes its ClientHello; a part of it counts as nothing."""
    HELLO = 1
    """It was answered and owes the rest of the handshake. A copied ClientHello gets this far."""
    HANDSHAKE = 2
    """It is connected and has sent no request: some browsers connect ahead. Or only a part of its
    first, which no server has."""
    REQUEST = 3
    """It has sent requests and has none in flight, or only a part of one that no server has."""
    SILENCE = 4
    """It has a tunnel (a WebSocket, or a connection of TCP) that carried no message so far, or
    nothing for `QUIET_SECONDS`."""
    MESSAGES = 5
    """It has a tunnel that carries messages."""


class Idle(NamedTuple):
    """A connection that waits for its client, or a tunnel."""

    shown: Shown
    since: float
    """In loop time. Of a tunnel: when it last carried something."""
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
    Shown.SILENCE: ConnectionReason.SHED_TUNNEL,
    Shown.MESSAGES: ConnectionReason.SHED_TUNNEL,
}

Candidate = tuple[Idle, Connection]
_Turn = list[tuple[int, list[Candidate[Connection]]]]
"""For each client: how much it has when the turn begins, and what of it may go in this turn."""


def first_to_go(
    candidates: Iterable[Candidate[Connection]], most: int, *, turns: int = ALL_TURNS
) -> list[Candidate[Connection]]:
    """Choose connections, one after the other, in the first `turns` of the turns."""
    clients: dict[object, list[Candidate[Connection]]] = {}
    for one in sorted(candidates, key=_rank, reverse=True):
        client = one[0].client
        clients.setdefault(object() if client == EXEMPT else client, []).append(one)
    of_turns: tuple[_Turn[Connection], ...] = ([], [], [])
    for of_it in clients.values():
        parts: tuple[list[Candidate[Connection]], ...] = ([], [], [], [])
        is_large = len(of_it) > _OF_A_BROWSER
        for one in of_it:
            parts[_turn_of(one[0].shown, is_large=is_large)].append(one)
        left = len(of_it)
        for turn, part in zip(of_turns, parts, strict=False):
            if part:
                turn.append((left, part))
            left -= len(part)
    chosen: list[Candidate[Connection]] = []
    for turn in of_turns[:turns]:
        _choose(turn, most, chosen)
    return chosen


def _turn_of(shown: Shown, *, is_large: bool) -> int:
    if shown is Shown.MESSAGES:
        return 1 if is_large else 3
    return 2 if shown is Shown.REQUEST and not is_large else 0


def _choose(turn: _Turn[Connection], most: int, chosen: list[Candidate[Connection]]) -> None:
    # the number tells equal entries apart
    heap = [(-left, _rank(of_it[-1]), number, of_it) for number, (left, of_it) in enumerate(turn)]
    heapq.heapify(heap)
    while heap and len(chosen) < most:
        left, _, number, of_it = heap[0]
        chosen.append(of_it.pop())
        if of_it:
            heapq.heapreplace(heap, (left + 1, _rank(of_it[-1]), number, of_it))
        else:
            heapq.heappop(heap)


def _rank(candidate: Candidate[Connection]) -> tuple[Shown, float]:
    """A silent tunnel counts as an unused connection: the one that waits longer goes first."""
    shown = candidate[0].shown
    return Shown.REQUEST if shown is Shown.SILENCE else shown, candidate[0].since


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
