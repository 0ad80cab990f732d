"""What waits to be sent on one connection: whole frames, and bodies that are cut into frames. Pure.

Frames without body keep their order, since header blocks depend on each other (RFC 7541 2.2). For
the same reason trailers are encoded when their turn comes. Bodies wait with their streams. A body
is copied once, into the bytes that `data_to_send` returns.

A stream ends when `data_to_send` hands out its last frame. So an answer that waits for a blocked
transport counts for the number of streams, also one without a body.
"""

from typing import Final

from proxy.http2.hpack.encoder import HeaderEncoder
from proxy.http2.hpack.static_table import AnyHeader
from proxy.http2.streams.flow import ReceiveWindow, StreamWindows
from proxy.http2.streams.priorities import Schedule, turn_bytes
from proxy.http2.streams.states import COMPLETED, CREDIT, DONE, END_LEFT, ENDING, LOCAL, RESET_DUE
from proxy.http2.streams.stream import SessionStream
from proxy.http2.streams.stream_table import StreamTable
from proxy.http2.wire import frames
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.floods import FloodBudgets
from proxy.http2.wire.frames import BODY_BYTES, HEAD_BYTES, Flag, FrameType
from proxy.http2.wire.settings import DEFAULT_WINDOW

# A stream is blocked above this. If all bodies together take more than `_CROWDED_BYTES`, it is
# blocked above the lower number: 128 streams that their client does not read then hold 3 MB.
_FULL_BYTES: Final = 65_536
_CROWDED_BYTES: Final = 1_048_576
_CROWDED_FULL_BYTES: Final = 16_384
# Smaller pieces are joined, so that a list of them takes little more memory than their bytes.
_CRUMB_BYTES: Final = 512


def is_too_much(queued: int, of_all: int) -> bool:
    """Whether a stream is blocked on which `queued` bytes wait, and `of_all` on all streams."""
    return queued > _FULL_BYTES or (queued > _CROWDED_FULL_BYTES and of_all > _CROWDED_BYTES)


class Outbox:
    """Everything that one connection has to send; it ends streams, since that sends frames too."""

    def __init__(
        self, table: StreamTable, budgets: FloodBudgets, received: ReceiveWindow, windows: StreamWindows
    ) -> None:
        self._table: Final = table
        self._budgets: Final = budgets
        self._received: Final = received
        self._windows: Final = windows
        self.encoder: Final = HeaderEncoder()
        self._schedule: Final = Schedule()
        self._frames: list[bytes | memoryview] = []
        self._frame_bytes = 0
        self._ending: list[SessionStream] = []
        """Streams whose last frame is in `_frames`."""
        self._queued = 0
        """Bytes of all bodies."""
        self._uncut_frames = 0
        self.window = DEFAULT_WINDOW
        """What the client takes on all streams together."""
        self.sent_bytes = 0
        self._unblocked: list[SessionStream] = []

    @property
    def has_data(self) -> bool:
        """Whether there are bytes to send, and windows for them."""
        return bool(self._frames) or self._received.due > 0 or (self.window > 0 and not self._schedule.is_empty)

    def add_frame(self, frame: bytes) -> None:
        """Send a frame without body."""
        self._frames.append(frame)
        self._frame_bytes += len(frame)

    def add_head(self, stream: SessionStream, parts: list[list[AnyHeader]], *, ends: bool) -> None:
        flags = Flag.END_STREAM if ends else 0
        self.add_frame(frames.header_frames(stream.id, self.encoder.encode(parts, stream.never_indexed), flags))
        if ends:
            self._ending.append(stream)

    def add_data(self, stream: SessionStream, data: bytes | memoryview) -> None:
        """Queue a part of a body."""
        pieces = stream.pieces
        size = len(data)
        if size == 0:
            return
        if stream.queued and size < _CRUMB_BYTES and len(pieces[-1]) < _CRUMB_BYTES:
            pieces[-1] = bytes(pieces[-1]) + data
        else:
            pieces.append(data)
        stream.queued += size
        self._queued += size
        if is_too_much(stream.queued, self._queued):
            stream.is_blocked = True
        self.awaken(stream)

    def add_end(self, stream: SessionStream) -> None:
        """The answer is complete: end the stream behind what waits."""
        if stream.queued == 0:
            self._end_without_body(stream)

    def awaken(self, stream: SessionStream) -> None:
        """The stream has got bytes, or a window for them."""
        if stream.lane < 0 and stream.queued > 0 and stream.send_window > 0:
            self._schedule.add(stream)

    def prioritize(self, stream: SessionStream, priority: tuple[int, bool]) -> None:
        """Change urgency and `incremental` of a stream, also while it waits."""
        self._schedule.remove(stream)
        stream.urgency, stream.is_incremental = priority
        self.awaken(stream)

    def widen(self, stream: SessionStream, difference: int) -> None:
        """Change the window of a stream; it may become negative (RFC 9113 6.9.2)."""
        stream.send_window += difference
        if stream.send_window <= 0:
            self._schedule.remove(stream)
        else:
            self.awaken(stream)

    def credit(self, size: int) -> None:
        """`size` bytes of bodies were consumed or dropped: credit for the connection.

        Its frame is made when data is fetched: a client that reads nothing gets no credit.
        """
        self._received.consume(size)

    def keep(self, stream: SessionStream, size: int) -> None:
        """`size` bytes of one body are kept for later: credit for the connection alone."""
        size = min(size, stream.unconsumed_bytes)
        if size > 0:
            stream.unconsumed_bytes -= size
            stream.kept_bytes += size
            self.credit(size)

    @property
    def is_window_used_up(self) -> bool:
        """Whether the client may send nothing on any stream."""
        return self._received.is_used_up

    def consumed(self, stream: SessionStream, size: int) -> None:
        """`size` bytes of one body were consumed: credit for the stream, too."""
        kept = min(size, stream.kept_bytes)
        stream.kept_bytes -= kept
        fresh = min(size - kept, stream.unconsumed_bytes)
        size = kept + fresh
        if size <= 0:
            return
        stream.unconsumed_bytes -= fresh
        self.credit(fresh)
        if self._windows.is_due(stream, size):
            effect = stream.on(CREDIT)
            if effect == RESET_DUE:
                self.reset(stream, ErrorCode.NO_ERROR)
            elif effect == DONE:
                self.add_frame(frames.window_update(stream.id, self._windows.credit(stream)))

    def complete(self, stream: SessionStream) -> None:
        """Both halves have ended. What came was handed on, or is credited now."""
        if stream.unconsumed_bytes > 0:
            self.credit(stream.unconsumed_bytes)
            stream.unconsumed_bytes = 0
        self._table.complete(stream)
        self._budgets.stream_completed()

    def cut(self, stream: SessionStream) -> None:
        """Close the stream: drop what waits for it, and credit what was not consumed."""
        self._schedule.remove(stream)
        self._queued -= stream.queued
        stream.queued = 0
        stream.pieces = []
        if stream.unconsumed_bytes > 0:
            self.credit(stream.unconsumed_bytes)
            stream.unconsumed_bytes = 0
        self._table.cut(stream)

    def cut_all(self) -> None:
        """The session has failed: close every stream. Nothing gets credit any more."""
        for stream in list(self._table.streams.values()):
            self.cut(stream)
        self._received.due = 0

    def reset(self, stream: SessionStream, code: int) -> None:
        """End the stream at once, and tell the peer (RST_STREAM, RFC 9113 section 6.4)."""
        self.add_frame(frames.rst_stream(stream.id, code))
        if not stream.is_remote_ended:
            self._table.remember(stream.id, max(0, stream.receive_window))
        self.cut(stream)

    def take_unblocked(self) -> list[SessionStream]:
        """The streams whose `is_blocked` has ended since the last call."""
        unblocked = self._unblocked
        if unblocked:
            self._unblocked = []
        return unblocked

    def data_to_send(self, room: int) -> bytes:
        """All frames without body; then bodies as far as windows, and about `room` bytes, allow."""
        if not (self._frames or self.has_data):
            return b""
        if self._received.due > 0:
            self.add_frame(frames.window_update(0, self._received.credit()))
        left = room - self._frame_bytes
        before = self.sent_bytes
        while left > 0 and self.window > 0:
            stream = self._schedule.take()
            if stream is None:
                break
            left -= self._send_turn(stream, left)
            self.awaken(stream)
        if self.sent_bytes > before:
            self._budgets.data_sent(self._uncut_frames, self.sent_bytes - before)
            self._uncut_frames = 0
        if self._ending:
            self._end_all()
        self._budgets.unread = 0
        sent = self._frames
        self._frames = []
        self._frame_bytes = 0
        return b"".join(sent)

    def _send_turn(self, stream: SessionStream, room: int) -> int:
        """Send what the turn of a stream allows, and about `room` bytes at most.

        Returns their number.
        """
        most = min(turn_bytes(stream), room)
        sent = 0
        frame_count = 0
        while sent < most and stream.queued > 0 and stream.send_window > 0 and self.window > 0:
            # `min` of four is a call of the interpreter
            size = min(min(BODY_BYTES, stream.queued), min(stream.send_window, self.window))
            self._send_frame(stream, size)
            sent += size
            frame_count += 1
        stream.sent_bytes += sent
        self.sent_bytes += sent
        if stream.is_blocked and not is_too_much(2 * stream.queued, self._queued):
            stream.is_blocked = False
            self._unblocked.append(stream)
        if stream.queued == 0 and stream.state & LOCAL == ENDING:
            if stream.trailers:
                self._end_without_body(stream)
            elif stream.on(END_LEFT) == COMPLETED:
                self.complete(stream)
        return sent + frame_count * HEAD_BYTES

    def _send_frame(self, stream: SessionStream, size: int) -> None:
        stream.queued -= size
        stream.send_window -= size
        self.window -= size
        self._queued -= size
        ends = stream.state & LOCAL == ENDING and stream.queued == 0 and not stream.trailers
        self._frames.append(frames.frame_head(size, FrameType.DATA, Flag.END_STREAM if ends else 0, stream.id))
        if size == BODY_BYTES or stream.queued == 0:
            self._uncut_frames += 1
        if stream.queued == 0 and stream.offset == 0 and len(stream.pieces) == 1:
            self._frames.append(stream.pieces.pop())  # as nearly every small answer
        else:
            self._cut(stream, size)

    def _cut(self, stream: SessionStream, size: int) -> None:
        """Move `size` bytes from the pieces of a stream to the frames."""
        pieces = stream.pieces
        offset = stream.offset
        used = 0
        while size > 0:
            piece = pieces[used]
            rest = len(piece) - offset
            if rest > size:
                self._frames.append(memoryview(piece)[offset : offset + size])
                offset += size
                size = 0
            else:
                self._frames.append(memoryview(piece)[offset:] if offset > 0 else piece)
                offset = 0
                used += 1
                size -= rest
        del pieces[:used]
        stream.offset = offset

    def _end_without_body(self, stream: SessionStream) -> None:
        if stream.trailers:
            self.add_head(stream, [stream.trailers], ends=True)
        else:
            self.add_frame(frames.frame_head(0, FrameType.DATA, Flag.END_STREAM, stream.id))
            self._ending.append(stream)

    def _end_all(self) -> None:
        """The frames that end these streams are handed out now."""
        ending, self._ending = self._ending, []
        for stream in ending:
            if stream.on(END_LEFT) == COMPLETED:  # ignored if the stream was reset meanwhile
                self.complete(stream)
