"""One stream of an HTTP/2 connection: a request and its answer (RFC 9113 section 5). Pure.

The session makes and changes streams. The driver reads them, and sets `owner`.
"""

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from proxy.http2.hpack.never_indexed import NO_NAMES
from proxy.http2.streams.states import COMPLETE, CUT, END_SENT, ENDED_CUT_AT_WORK, LOCAL, OPEN, TRANSITIONS

if TYPE_CHECKING:
    from proxy.http.head import Header

DEFAULT_URGENCY: Final = 3
"""RFC 9218 section 4.1: 0 is the most urgent, 7 the least."""


class StreamSide:
    """What the driver keeps for a stream: its own class inherits from this one."""


@mypyc_attr(free_list_len=1)
class SessionStream:
    """One stream: its `state` (see `states`), and the bytes of both halves.

    `id` is odd, and rises from stream to stream. The session never looks at `owner`. The peer sends
    one half of the stream, we send the other: a server receives the request and sends the answer.

    What the peer sends: `received_bytes` counts the body without padding. For `unconsumed_bytes` of
    them the peer has no credit yet; for `kept_bytes` it has that of the connection alone.

    What we send: its fields with the names of `never_indexed` are marked so, which the driver sets.
    `queued` bytes of body wait for windows or for `data_to_send`. It has handed out `sent_bytes` of
    body so far: the progress of the peer. `is_blocked` while too many bytes wait: then the driver
    gives no more.

    Calls of the session for a closed stream do nothing.
    """

    def __init__(self, number: int, send_window: int, receive_window: int, state: i64 = OPEN) -> None:
        """A stream that begins in `state`; the windows are bytes."""
        self.id: Final = number
        self.owner: StreamSide | None = None
        self.state: i64 = state

        self.received_bytes = 0
        self.expected_bytes = -1
        """The content-length, or -1."""
        self.unconsumed_bytes = 0
        self.kept_bytes = 0
        self.uncredited_bytes = 0
        """Consumed, but not yet told to the peer."""
        self.receive_window = receive_window
        """What the peer may send."""
        self.window_size = receive_window
        self.credited_at = 0.0

        self.never_indexed = NO_NAMES
        self.trailers: list[Header] = []
        self.pieces: list[bytes | memoryview] = []
        self.offset = 0
        """Bytes of the first piece that are sent."""
        self.queued = 0
        self.sent_bytes = 0
        self.send_window = send_window
        self.is_blocked = False

        self.urgency = DEFAULT_URGENCY
        self.is_incremental = False
        self.is_prioritized_by_frame = False
        self.lane = -1
        """Where the stream waits for its turn to send; -1 if it does not."""

    def on(self, event: i64) -> i64:
        """Move to the next state. Returns the effect; one from `FAULTS` on is an error."""
        entry: i64 = TRANSITIONS[self.state | event]
        self.state = entry & 0xF0
        return entry & 0x0F

    @property
    def is_closed(self) -> bool:
        """Whether both halves have ended, or one side reset the stream."""
        return self.state & LOCAL == CUT or self.state == COMPLETE

    @property
    def is_remote_ended(self) -> bool:
        """Whether END_STREAM of the peer came."""
        return self.state >= ENDED_CUT_AT_WORK

    @property
    def is_end_sent(self) -> bool:
        """Whether `data_to_send` has handed out our END_STREAM."""
        return self.state & LOCAL == END_SENT


def own_pieces(stream: SessionStream) -> None:
    """Copy what waits on a stream in views."""
    pieces = stream.pieces
    if pieces:
        pieces[0] = pieces[0][stream.offset :]
        stream.offset = 0
    for place, piece in enumerate(pieces):
        if isinstance(piece, memoryview):
            pieces[place] = bytes(piece)
