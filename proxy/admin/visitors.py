"""Which connection of the admin server makes room for the next one. Pure.

A limit that refuses the newest helps the peer that holds the rest, so the newest is taken in and
another one goes: of those that have shown no complete request the oldest, those of the peer with
most first; then of those that have their answer already; at last of those whose answer is under
way. A peer that has its share makes room itself.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Stage(IntEnum):
    """How far a connection has come; the lower, the sooner it goes."""

    SILENT = 0
    """It has shown no complete request."""
    ANSWERED = 1
    """It may ask again, or still reads its answer."""
    ASKING = 2
    """Its answer is under way."""


@dataclass(slots=True, eq=False)
class Visitor:
    """A connection: `peer` is who counts as one, `since` when it came, in seconds of a monotonic
    clock.
    """

    peer: bytes
    since: float
    stage: Stage = Stage.SILENT


def who_goes(others: Collection[Visitor], newcomer: Visitor, most: int, share: int) -> Visitor | None:
    """The connection that makes room for a new one; None if there is room. `most` are there at a
    time, `share` of them of one peer.

    It is the newcomer where its peer has more connections than all others that are silent: those
    came before, and may be slow.
    """
    own = [one for one in others if one.peer == newcomer.peer]
    if len(own) >= share:
        return min(own, key=lambda one: (one.stage, one.since))
    if len(others) < most:
        return None
    stage = min(one.stage for one in others)
    able: Sequence[Visitor] = [one for one in others if one.stage is stage]
    if stage is Stage.SILENT:
        able = [*able, newcomer]
    counts = Counter(one.peer for one in (*others, newcomer))
    return max(able, key=lambda one: (counts[one.peer], -one.since))
