"""One stream of an HTTP/2 connection: a request and its answer (RFC 9113 section 5). Pure.

The session makes and changes streams. The driver reads them, and sets `owner`.
"""

from typing import TYPE_CHECKING, Final

from proxy.http2.never_indexed import NO_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.http.head import Header

DEFAULT_URGENCY: Final = 3
"""RFC 9218 section 4.1: 0 is the most urgent, 7 the least."""


class StreamSide:
    """What the driver keeps for a stream: its own class inherits from this one."""

    __slots__ = ()


class SessionStream:
    """The state of one stream.

    `id` is odd, and rises from stream to stream. The session never looks at `owner`. The peer sends
    one half of the stream, we send the other: a server receives the request and sends the answer.

    What the peer sends: `is_remote_ended` once END_STREAM came. `received_bytes` counts the body
    without padding. For `unconsumed_bytes` of them the peer has no credit yet; for `kept_bytes` it
    has that of the connection alone.

    What we send: its fields with the names of `never_indexed` are marked so, which the driver sets.
    `is_local_ended` once its end was given; bytes of it may still wait. `queued`
    bytes of body wait for windows or for `data_to_send`. It has handed out `sent_bytes` of body so
    far: the progress of the peer. `is_end_sent` once it has handed out the end. `is_blocked` while
    too many bytes wait: then the driver gives no more.

    `is_closed` once both sides have ended, or one of them reset the stream. Calls of the session
    for a closed stream do nothing.

    A server's stream `has_work` until the end of the answer was given. If the stream was reset
    before, until `ServerSession.work_ended` was called. A stream with work counts for
    SETTINGS_MAX_CONCURRENT_STREAMS, though it may be closed.
    """

    __slots__ = (
        "credited_at",
        "expected_bytes",
        "has_head",
        "has_work",
        "id",
        "is_blocked",
        "is_closed",
        "is_end_sent",
        "is_incremental",
        "is_local_ended",
        "is_prioritized_by_frame",
        "is_remote_ended",
        "is_stopped",
        "kept_bytes",
        "lane",
        "never_indexed",
        "offset",
        "owner",
        "pieces",
        "queued",
        "receive_window",
        "received_bytes",
        "send_window",
        "sent_bytes",
        "trailers",
        "unconsumed_bytes",
        "uncredited_bytes",
        "urgency",
        "window_size",
    )

    def __init__(self, number: int, send_window: int, receive_window: int) -> None:
        """A stream that was just opened; the windows are bytes."""
        self.id: Final = number
        self.owner: StreamSide | None = None
        self.is_closed = False
        self.has_work = True

        self.is_remote_ended = False
        self.has_head = False
        """On the client's side: the final head of the response came."""
        self.is_stopped = False
        """The rest of the body is not wanted."""
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
        self.is_local_ended = False
        self.is_end_sent = False
        self.trailers: Sequence[Header] = ()
        self.pieces: list[bytes] = []
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
