"""Which connection of the admin server makes room for a new one. Pure.

If a full server refused new connections, it would help the peer that holds the old ones. So the
server accepts the new connection and closes another one. It takes the first that it finds among:

1. connections without a complete request,
2. connections that have their answer,
3. pages that watch: each comes again by itself,
4. connections whose answer is in progress.

In each group the peer with most connections comes first, and its oldest connection. A peer that has
its share makes room itself. A connection that has just come keeps its place for a moment, so that
its request can be read.
"""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Stage(IntEnum):
    """How far a connection has come. A lower stage goes sooner."""

    SILENT = 0
    """It has shown no complete request."""
    ANSWERED = 1
    """It has its answer. It may still read it, or ask again."""
    WATCHING = 2
    """Its answer continues as long as a browser shows the page."""
    ASKING = 3
    """Its answer is in progress."""


@dataclass(slots=True, eq=False)
class Visitor:
    """A connection. Connections with the same `peer` count together.

    `since` is when it came, in seconds of a monotonic clock. If it is silent, it keeps its place
    until `safe_until`, which is infinite until the process could have read from it.
    """

    peer: bytes
    since: float
    stage: Stage = Stage.SILENT
    safe_until: float = math.inf


def who_goes(others: Collection[Visitor], newcomer: Visitor, most: int, share: int) -> Visitor | None:
    """The connection that makes room for a new one. None if there is room.

    There is room for `most` connections, and for `share` of one peer. The newcomer itself goes if
    its peer has more connections than each peer with a silent one: that one may only be slow.
    """
    own = [one for one in others if one.peer == newcomer.peer]
    if len(own) >= share:
        return min(own, key=lambda one: (one.stage, one.since))
    if len(others) < most:
        return None
    stage = min(one.stage for one in others)
    able: Sequence[Visitor] = [one for one in others if one.stage is stage]
    if stage is Stage.SILENT:
        # All of them, if there is suddenly room for fewer (descriptors are short).
        able = [*([one for one in able if one.safe_until <= newcomer.since] or able), newcomer]
    counts = Counter(one.peer for one in (*others, newcomer))
    return max(able, key=lambda one: (counts[one.peer], -one.since))
