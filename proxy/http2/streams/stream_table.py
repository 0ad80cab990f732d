"""The streams of one connection: which are open, which were (RFC 9113 5.1). Pure.

Of closed streams little has to be known. All identifiers up to the highest one that the client used
are closed, unless a stream is in the table. A client that has not read our RST_STREAM yet may still
send frames for that stream: they are ignored. So the last streams that we reset while their
requests went on are remembered, each with the rest of its window.
"""

from typing import Final

from mypy_extensions import i64

from proxy.http2.streams.states import AT_WORK, CUT_ANSWER, CUT_REQUEST, RELEASED, WORK_ENDED
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.limits import SessionLimits
from proxy.http2.wire.settings import DEFAULT_WINDOW

# Four times the default of http2_streams. An entry takes 150 bytes.
_REMEMBERED: Final = 512
# Ranges of identifiers that the client left out. More are not worth a name for the fault.
_GAPS: Final = 8


class StreamTable:
    """Open streams, and what has to be known of others.

    `open` counts streams that are not closed, or that a server works for. `last_seen` is the
    highest identifier of the client, `last_taken` the highest one that was not refused.
    """

    def __init__(self, limits: SessionLimits, *, is_server: bool) -> None:
        self._cut: Final = CUT_ANSWER if is_server else CUT_REQUEST
        self.streams: Final[dict[int, SessionStream]] = {}
        self.open = 0
        self.last_seen = 0
        self.last_taken = 0
        self.peer_window = DEFAULT_WINDOW
        """What new streams may send: the client's SETTINGS_INITIAL_WINDOW_SIZE."""
        self.first_window: Final = limits.stream_window_bytes
        """What a client may send on a new stream."""
        self._limit: Final = limits.streams
        self._late: Final[dict[int, int]] = {}
        self._gaps: Final[list[tuple[int, int]]] = []
        self._priorities: Final[dict[int, tuple[int, bool]]] = {}

    @property
    def is_full(self) -> bool:
        """Whether the client has as many streams as it may have."""
        return self.open >= self._limit

    def is_idle(self, number: int) -> bool:
        """Whether a stream of the client, or of us, was never opened."""
        return number > self.last_seen or number & 1 == 0

    def was_left_out(self, number: int) -> bool:
        """Whether a lower identifier was passed over, and may not be used any more (5.1.1)."""
        return any(first <= number <= last for first, last in self._gaps)

    def see(self, number: int) -> None:
        """The client opens a stream with an odd identifier above all others."""
        if number > self.last_seen + 2 and len(self._gaps) < _GAPS:
            self._gaps.append((self.last_seen + 1, number - 1))
        self.last_seen = number

    def take_up(self, number: int, state: i64) -> SessionStream:
        """A new stream, which begins in `state`."""
        stream = SessionStream(number, self.peer_window, self.first_window, state)
        self.streams[number] = stream
        if self._priorities:
            self._apply_priority(stream)
        self.open += 1
        self.last_taken = number
        return stream

    def _apply_priority(self, stream: SessionStream) -> None:
        priority = self._priorities.pop(stream.id, None)
        if priority is not None:
            stream.is_prioritized_by_frame = True
            stream.urgency, stream.is_incremental = priority

    def keep_priority(self, number: int, priority: tuple[int, bool]) -> None:
        """Keep the priority of a stream that may open later: for no more streams than may be open.

        RFC 9218 7.1 allows to drop the others. For a closed stream it is ignored.
        """
        if len(self._priorities) >= self._limit:
            for passed in [one for one in self._priorities if one <= self.last_seen]:
                del self._priorities[passed]
        if number > self.last_seen and len(self._priorities) < self._limit:
            self._priorities[number] = priority

    def complete(self, stream: SessionStream) -> None:
        """Forget a stream whose halves have both ended."""
        del self.streams[stream.id]
        self.open -= 1

    def cut(self, stream: SessionStream) -> None:
        """Close and forget a stream; it still counts while a server works for it."""
        del self.streams[stream.id]
        if stream.on(self._cut) != AT_WORK:
            self.open -= 1

    def work_ended(self, stream: SessionStream) -> None:
        """A server works no more for a stream that was cut."""
        if stream.on(WORK_ENDED) == RELEASED:
            self.open -= 1

    def remember(self, number: int, window: int) -> None:
        """We reset or refused a stream: the client may still send `window` bytes on it."""
        if len(self._late) >= _REMEMBERED:
            del self._late[next(iter(self._late))]
        self._late[number] = window

    def late_window(self, number: int) -> int:
        """What the client may still send on a closed stream; -1 if it may not send at all."""
        return self._late.get(number, -1)

    def use_late_window(self, number: int, window: int, *, ends: bool) -> None:
        """The client has used some of it; `ends` if it has ended the stream."""
        if ends:
            self._late.pop(number, None)
        else:
            self._late[number] = window
