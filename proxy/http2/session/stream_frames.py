"""The frames of a peer that belong to a stream: HEADERS, CONTINUATION, DATA, RST_STREAM. Pure.

RFC 9113 5.1 says what a frame means in each state of its stream, 6 what it has to look like. What
HEADERS mean differs between the sides: `request_frames` reads those of a client, `response_frames`
those of a server.
"""

from typing import Final

from mypy_extensions import i64

from proxy.http2.hpack.decoder import BlockLimits, DecodedFields, HeaderDecoder
from proxy.http2.session.events import (
    BodyReceived,
    PeerLeaves,
    SessionEvent,
    StreamReset,
    TrailersReceived,
)
from proxy.http2.session.parts import SessionParts
from proxy.http2.streams.states import COMPLETED, DATA_CAME, DROPPED, END_CAME, FAULTS, fault_of
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ConnectionFault, ErrorCode, StreamFault
from proxy.http2.wire.floods import FloodReason, flood
from proxy.http2.wire.frames import FRAME_BYTES, Flag
from proxy.http2.wire.settings import HEADER_TABLE_BYTES

# What a list of the announced size needs, and some: Node and Go fill frames, others cut at 4 KiB.
_CONTINUATIONS: Final = 8
# RFC 9113 6.2: dependency and weight. They are ignored (5.3.2), also of a stream on itself.
_PRIORITY_BYTES: Final = 5
# A view of a longer body costs less than a copy.
_VIEWED_BYTES: Final = 4_096


class StreamFrames:
    """Reads frames of streams into `events`.

    Every method raises ConnectionFault. StreamFault is for `fault`.
    """

    def __init__(self, parts: SessionParts) -> None:
        limits = parts.limits
        self._table: Final = parts.table
        self._budgets: Final = parts.budgets
        self._received: Final = parts.received
        self._windows: Final = parts.windows
        self._outbox: Final = parts.outbox
        self._decoder: Final = HeaderDecoder(HEADER_TABLE_BYTES)
        self._block_limits: Final = BlockLimits(limits.header_count, limits.header_list_bytes, limits.header_bytes)
        self._most_block_bytes: Final = max(limits.header_list_bytes, FRAME_BYTES)
        self.block_stream = 0
        """The stream whose header block is not complete yet; 0 if none."""
        self._block: list[bytes] = []
        self._block_bytes = 0
        self._block_ends = False
        self._is_left = False
        self.events: list[SessionEvent] = []

    def headers(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        """RFC 9113 6.2."""
        if number == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS for stream 0")
        if flags & Flag.PADDED:
            end -= padding(data, start, end)
            start += 1
        if flags & Flag.PRIORITY:
            start += _PRIORITY_BYTES
        if start > end:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its flags")
        ends = flags & Flag.END_STREAM != 0
        if flags & Flag.END_HEADERS:
            self._complete(number, data[start:end], ends=ends)
            return
        self.block_stream = number
        self._block = [data[start:end]]
        self._block_bytes = end - start
        self._block_ends = ends

    def continuation(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        """RFC 9113 6.10: the rest of a header block."""
        if self.block_stream == 0 or self.block_stream != number:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS before it")
        if start == end:
            raise flood(FloodReason.CONTINUATIONS, "CONTINUATION is empty")
        self._block.append(data[start:end])
        self._block_bytes += end - start
        if self._block_bytes > self._most_block_bytes or len(self._block) > _CONTINUATIONS + 1:
            raise flood(FloodReason.CONTINUATIONS, "header block without end")
        if flags & Flag.END_HEADERS:
            self.block_stream = 0
            block = b"".join(self._block)
            self._block = []
            self._complete(number, block, ends=self._block_ends)

    def _complete(self, number: int, block: bytes, *, ends: bool) -> None:
        # in any case: the next block depends on the table after this one (RFC 9113 4.3)
        decoded = self._decoder.decode(block, self._block_limits)
        stream = self._table.streams.get(number)
        if stream is not None:
            self._next_headers(stream, decoded, ends=ends)
        elif number > self._table.last_seen:
            self._first_headers(number, decoded, ends=ends)
        else:
            self._late_headers(number, ends=ends)

    def _first_headers(self, number: int, decoded: DecodedFields, *, ends: bool) -> None:
        """Take a block for an identifier above all others."""

    def _next_headers(self, stream: SessionStream, decoded: DecodedFields, *, ends: bool) -> None: ...

    def _trailers(self, stream: SessionStream, effect: i64, decoded: DecodedFields, *, ends: bool) -> None:
        """`effect` is that of the block."""
        if effect >= FAULTS:
            raise fault_of(effect)
        if not ends:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "trailers do not end the message")
        self._end(stream)
        if effect != DROPPED:
            self.events.append(TrailersReceived(stream, decoded))

    def _late_headers(self, number: int, *, ends: bool) -> None:
        window = self._table.late_window(number)
        if window < 0 and self._table.was_left_out(number):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "identifier of a stream is too low")
        if window < 0:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, "HEADERS for a closed stream")
        self._budgets.late_frames.spend(1)
        self._table.use_late_window(number, window, ends=ends)

    def data(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        """RFC 9113 6.1."""
        if number == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "DATA for stream 0")
        length = end - start
        self._received.receive(length)
        ends = flags & Flag.END_STREAM != 0
        if flags & Flag.PADDED:
            end -= padding(data, start, end)
            start += 1
        stream = self._table.streams.get(number)
        if stream is None:
            self._late_data(number, length, ends=ends)
        else:
            body = data[start:end] if end - start < _VIEWED_BYTES else memoryview(data)[start:end]
            self._body(stream, body, length, ends=ends)

    def _body(self, stream: SessionStream, body: bytes | memoryview, length: int, *, ends: bool) -> None:
        size = len(body)
        stream.unconsumed_bytes += length
        effect = stream.on(DATA_CAME)
        if effect >= FAULTS:
            raise fault_of(effect)
        self._windows.receive(stream, length)
        stream.received_bytes += size
        if ends:
            self._end(stream)
        elif 0 <= stream.expected_bytes < stream.received_bytes:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "body is longer than its content-length")
        elif size == 0:
            self._budgets.empty_data_frame()
        if effect == DROPPED:
            # nothing consumes a body that is not wanted, nor padding
            self._outbox.consumed(stream, length)
            return
        if size > 0 or ends:
            self._tell(stream, body, ends=ends)
        if length > size:
            self._outbox.consumed(stream, length - size)

    def _tell(self, stream: SessionStream, body: bytes | memoryview, *, ends: bool) -> None:
        if self.events:
            last = self.events[-1]
            if isinstance(last, BodyReceived) and last.stream is stream:
                last.add(body, is_ended=ends)
                return
        self.events.append(BodyReceived(stream, body, is_ended=ends))

    def _late_data(self, number: int, length: int, *, ends: bool) -> None:
        if self._table.is_idle(number):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "DATA for an idle stream")
        window = self._table.late_window(number)
        if window < 0:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, "DATA for a closed stream")
        if length > window:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more data than the window of a closed stream")
        if length == 0:  # the window bounds the others
            self._budgets.late_frames.spend(1)
        self._table.use_late_window(number, window - length, ends=ends)
        self._outbox.credit(length)

    def _end(self, stream: SessionStream) -> None:
        if stream.expected_bytes >= 0 and stream.expected_bytes != stream.received_bytes:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "body differs from its content-length")
        if stream.on(END_CAME) == COMPLETED:
            self._outbox.complete(stream)

    def rst_stream(self, number: int, data: bytes, start: int, end: int) -> None:
        """RFC 9113 6.4."""
        if end - start != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM is not 4 bytes long")
        stream = self._table.streams.get(number)
        if stream is None:
            if self._table.is_idle(number):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "RST_STREAM for an idle stream")
            self._budgets.late_frames.spend(1)
            self._table.use_late_window(number, -1, ends=True)
            return
        code = int.from_bytes(data[start:end], "big")
        self._outbox.cut(stream)
        self.events.append(StreamReset(stream, code, ""))
        self._budgets.resets.spend(1)

    def peer_leaves(self, last_stream: int, code: int) -> None:
        """GOAWAY: the peer takes up none of our streams above `last_stream` (RFC 9113 6.8)."""
        del last_stream
        if not self._is_left:
            self._is_left = True
            self.events.append(PeerLeaves(code))

    def fault(self, number: int, fault: StreamFault) -> None:
        """A frame broke a rule that ends its stream (RFC 9113 5.4.2)."""
        stream = self._table.streams[number]
        self._outbox.reset(stream, fault.code)
        self.events.append(StreamReset(stream, fault.code, fault.reason))
        self._budgets.answer_frame()
        self._budgets.provoked.spend(1)


def padding(data: bytes, start: int, end: int) -> int:
    """How many bytes of padding a payload ends with; its first byte says it (RFC 9113 6.1)."""
    if start == end:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame has no room for the length of its padding")
    size = data[start]
    if size >= end - start:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "frame is shorter than its padding")
    return size
