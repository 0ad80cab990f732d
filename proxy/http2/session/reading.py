"""What a peer sends, cut into frames (RFC 9113 3.4, 4.1). Pure."""

from typing import Final

from mypy_extensions import i64

from proxy.http2.session.connection_frames import ConnectionFrames
from proxy.http2.session.stream_frames import StreamFrames
from proxy.http2.wire.errors import ConnectionFault, ErrorCode, StreamFault
from proxy.http2.wire.frames import FRAME_BYTES, HEAD_BYTES, LAST_STREAM, PREFACE, Flag, FrameType


class FrameReader:
    """Cuts input into frames, and gives each to its reader.

    At most one frame without its last byte is kept.
    """

    def __init__(self, streams: StreamFrames, connection: ConnectionFrames, preface: bytes) -> None:
        """`preface` is what the peer sends before its first frame: nothing if it is a server."""
        self._streams: Final = streams
        self._connection: Final = connection
        self._has_preface = not preface
        self._pieces: list[bytes] = []
        """The begin of a frame: joined when the frame is complete, so each byte is copied twice."""
        self._size = 0
        self._needed = 0

    def receive_data(self, data: bytes) -> None:
        """Read all complete frames; raises ConnectionFault."""
        start: i64 = 0
        if not self._has_preface:
            data = self._take_begun() + data
            start = self._read_preface(data)
            if start < 0:
                return
        # What completes a frame is joined to it. The rest stays where it is: of a body it is large.
        while self._size > 0:
            piece = data[start : start + self._needed - self._size]
            start += len(piece)
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size < self._needed:
                return
            self._read_frames(self._take_begun(), 0)  # which keeps it again if it was a head alone
        self._read_frames(data, start)

    def _take_begun(self) -> bytes:
        begun = b"".join(self._pieces)
        self._pieces = []
        self._size = 0
        return begun

    def _keep(self, data: bytes, needed: int) -> None:
        """Wait until there are `needed` bytes."""
        if data:
            self._pieces = [data]
            self._size = len(data)
            self._needed = needed

    def _read_preface(self, data: bytes) -> int:
        size = len(PREFACE)
        if data[:size] != PREFACE[: len(data)]:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "connection preface is not that of HTTP/2")
        if len(data) < size:
            self._keep(data, len(data) + 1)
            return -1
        self._has_preface = True
        return size

    def _read_frames(self, data: bytes, begin: i64) -> None:
        start: i64 = begin
        end: i64 = len(data)
        needed: i64 = HEAD_BYTES
        while end - start >= HEAD_BYTES:
            high: i64 = data[start]
            middle: i64 = data[start + 1]
            low: i64 = data[start + 2]
            length: i64 = high << 16 | middle << 8 | low
            if length > FRAME_BYTES:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame is larger than announced")
            needed = HEAD_BYTES + length
            if end - start < needed:
                break
            self._read_frame(data, start, start + needed)
            start += needed
            needed = HEAD_BYTES
        if start < end:
            self._keep(data[start:] if start else data, needed)

    def _read_frame(self, data: bytes, start: i64, end: i64) -> None:
        kind: i64 = data[start + 3]
        flags: i64 = data[start + 4]
        first: i64 = data[start + 5]
        second: i64 = data[start + 6]
        third: i64 = data[start + 7]
        fourth: i64 = data[start + 8]
        # the first bit is reserved and ignored (RFC 9113 4.1)
        number = (first << 24 | second << 16 | third << 8 | fourth) & LAST_STREAM
        start += HEAD_BYTES
        if self._streams.block_stream != 0 and kind != FrameType.CONTINUATION:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "frame within a header block")
        if not self._connection.has_peer_settings and (kind != FrameType.SETTINGS or flags & Flag.ACK):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "first frame is not SETTINGS")
        try:
            self._dispatch(kind, flags, number, data, start, end)
        except StreamFault as fault:
            self._streams.fault(number, fault)

    def _dispatch(self, kind: i64, flags: i64, number: i64, data: bytes, start: i64, end: i64) -> None:
        if kind == FrameType.HEADERS:
            self._streams.headers(flags, number, data, start, end)
        elif kind == FrameType.DATA:
            self._streams.data(flags, number, data, start, end)
        elif kind == FrameType.WINDOW_UPDATE:
            self._connection.window_update(number, data, start, end)
        elif kind == FrameType.RST_STREAM:
            self._streams.rst_stream(number, data, start, end)
        elif kind == FrameType.CONTINUATION:
            self._streams.continuation(flags, number, data, start, end)
        else:
            self._dispatch_rare(kind, flags, number, data, start, end)

    def _dispatch_rare(self, kind: i64, flags: i64, number: i64, data: bytes, start: i64, end: i64) -> None:
        if kind == FrameType.SETTINGS:
            self._connection.settings(flags, number, data, start, end)
        elif kind == FrameType.PING:
            self._connection.ping(flags, number, data, start, end)
        elif kind == FrameType.PRIORITY:
            self._connection.priority(number, start, end)
        elif kind == FrameType.PRIORITY_UPDATE:
            self._connection.priority_update(number, data, start, end)
        elif kind == FrameType.GOAWAY:
            self._go_away(number, data, start, end)
        elif kind == FrameType.PUSH_PROMISE:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which is not allowed")
        else:
            self._connection.unknown()

    def _go_away(self, number: i64, data: bytes, start: i64, end: i64) -> None:
        self._connection.go_away(number, start, end)
        last_stream = int.from_bytes(data[start : start + 4], "big") & LAST_STREAM
        code = int.from_bytes(data[start + 4 : start + 8], "big")
        self._streams.peer_leaves(last_stream, code)
