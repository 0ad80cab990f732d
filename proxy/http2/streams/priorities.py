"""Which stream sends next (RFC 9218). Pure.

Theory of operation. A more urgent stream sends before a less urgent one. Streams of the same
urgency share: short answers go first, since they delay the others little. Long ones take turns. An
endless sequence of short answers leaves each fifth turn to the long ones, so that nothing starves.
Without `incremental` a client can use an answer only when it is complete: such a stream has longer
turns.
"""

from typing import Final

from proxy.http2.streams.stream import DEFAULT_URGENCY, SessionStream
from proxy.http2.wire.frames import BODY_BYTES

_LEVELS: Final = 8
_LONGEST_FIELD: Final = 256
_SHORT_TURNS: Final = 4
# An answer is short while it has sent less than this, or while no more than one frame of it waits.
_SHORT_BYTES: Final = 65_536
_TURN: Final = BODY_BYTES
_LONG_TURN: Final = 4 * BODY_BYTES
_URGENCIES: Final = {b"u=%d" % urgency: urgency for urgency in range(_LEVELS)}
_SWITCHES: Final = {b"i": True, b"i=?1": True, b"i=?0": False}


def parsed_priority(field: bytes) -> tuple[int, bool] | None:
    """Urgency and `incremental` of a `priority` field or of a PRIORITY_UPDATE; None to ignore it.

    Members with other names and parameters are for extensions, and are ignored. A member with
    another value than the RFC allows is ignored too: the default stands (RFC 9218 section 4).
    """
    if len(field) > _LONGEST_FIELD:
        return None
    urgency = DEFAULT_URGENCY
    is_incremental = False
    for member in field.split(b","):
        bare = member.split(b";", 1)[0].strip(b" \t")
        urgency = _URGENCIES.get(bare, urgency)
        is_incremental = _SWITCHES.get(bare, is_incremental)
    return urgency, is_incremental


class Schedule:
    """The streams that have something to send and a window for it."""

    def __init__(self) -> None:
        # For each urgency a lane of short answers and one of long ones. Nearly all streams of a
        # client have one urgency: a list for each lane would be 1 KB of an idle connection.
        self._lanes: Final[list[list[SessionStream] | None]] = [None] * (2 * _LEVELS)
        self._turns = 0
        """Of short answers, while a long one waits."""
        self._count = 0

    @property
    def is_empty(self) -> bool:
        """Whether no stream waits."""
        return self._count == 0

    def add(self, stream: SessionStream) -> None:
        """Let a stream that is in no lane wait for its turn."""
        is_short = stream.queued <= BODY_BYTES or stream.sent_bytes < _SHORT_BYTES
        stream.lane = 2 * stream.urgency + (0 if is_short else 1)
        lane = self._lanes[stream.lane]
        if lane is None:
            self._lanes[stream.lane] = [stream]
        else:
            lane.append(stream)
        self._count += 1

    def remove(self, stream: SessionStream) -> None:
        """Let a stream wait no more, if it does."""
        if stream.lane >= 0:
            lane = self._lanes[stream.lane]
            assert lane is not None  # it waits there
            lane.remove(stream)
            stream.lane = -1
            self._count -= 1

    def take(self) -> SessionStream | None:
        """The stream whose turn it is; it is in no lane afterwards."""
        # each turn of the loop asks once more when nothing is left
        for urgency in range(_LEVELS if self._count > 0 else 0):
            short = self._lanes[2 * urgency]
            long = self._lanes[2 * urgency + 1]
            if short and (not long or self._turns < _SHORT_TURNS):
                self._turns = self._turns + 1 if long else 0
                return self._taken(short)
            if long:
                self._turns = 0
                return self._taken(long)
        return None

    def _taken(self, lane: list[SessionStream]) -> SessionStream:
        stream = lane.pop(0)
        stream.lane = -1
        self._count -= 1
        return stream


def turn_bytes(stream: SessionStream) -> int:
    return _TURN if stream.is_incremental else _LONG_TURN
