"""A client that speaks HTTP/3 frame by frame, and judges what comes back."""

from collections.abc import Callable
from typing import Self

from aioquic._buffer import Buffer, BufferReadError
from aioquic.quic.events import QuicEvent, StopSendingReceived, StreamDataReceived, StreamReset
from pylsqpack import Decoder

from tests.hostile import http3_frames as h3
from tests.hostile.http2_client import Stream
from tests.hostile.quic_client import QuicClient, varint
from tests.hostile.strict import NotStrict

_OURS_ONE_WAY = 3
"""The last two bits of the number of a stream that the proxy has opened, which it alone writes to."""


class Http3Client:
    """One connection that has chosen `h3`. Use as a context manager. It says nothing by itself."""

    def __init__(self, quic: QuicClient) -> None:
        """Shake hands by a client that has sent nothing yet; `open` comes next."""
        self.quic = quic
        self.quic.on_event = self._came
        self.streams: dict[int, Stream] = {}
        self.stopped: dict[int, int] = {}
        """The codes of the STOP_SENDING of streams."""
        self._received: dict[int, bytearray] = {}
        self._control = bytearray()
        self.control: list[tuple[int, bytes]] = []
        """Frames of the proxy's control stream."""
        self._decoder = Decoder(0, 0)
        self.quic.shake_hands()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.quic.__exit__()

    def open(self, *pairs: tuple[int, int]) -> Self:
        """Send our settings, and read those of the proxy."""
        self.control_stream = self.begin_one_way(h3.CONTROL, h3.settings(*pairs))
        self.quic.read_until(lambda: self.control)
        return self

    # -- sending

    def begin_one_way(self, kind: int, data: bytes = b"", *, ends: bool = False) -> int:
        """Open a stream of this type; its number."""
        number = self.quic.get_next_available_stream_id(is_unidirectional=True)
        self.quic.send_stream_data(number, varint(kind) + data, end_stream=ends)
        return number

    def begin(self, data: bytes = b"", *, ends: bool = False) -> int:
        """Open a stream that goes both ways; its number."""
        number = self.quic.get_next_available_stream_id()
        self.quic.send_stream_data(number, data, end_stream=ends)
        return number

    def send(self, stream: int, data: bytes, *, ends: bool = False) -> None:
        self.quic.send_stream_data(stream, data, end_stream=ends)

    def ask(self, data: bytes, *, ends: bool = True) -> Stream:
        """Send a request on a stream of its own; its complete answer."""
        return self.answer(self.begin(data, ends=ends))

    # -- receiving

    def answer(self, stream: int) -> Stream:
        """The complete answer on this stream, or how far it got before it was reset."""
        self.read_until(lambda: stream in self.streams and self.streams[stream].is_over)
        return self.streams[stream]

    def read_until(self, condition: Callable[[], object]) -> None:
        self.quic.read_until(condition)

    def end(self) -> int:
        """Read to the end of the connection; the code that HTTP/3 has ended it with."""
        code = self.quic.end()
        assert self.quic.is_application_error, hex(code)
        return code

    def _came(self, event: QuicEvent) -> None:
        if isinstance(event, StreamReset):
            self.streams.setdefault(event.stream_id, Stream()).reset = event.error_code
        elif isinstance(event, StopSendingReceived):
            self.stopped[event.stream_id] = event.error_code
        elif isinstance(event, StreamDataReceived):
            received = self._received.setdefault(event.stream_id, bytearray())
            received += event.data
            if event.stream_id & _OURS_ONE_WAY != _OURS_ONE_WAY:
                self._read(event.stream_id, received, has_ended=event.end_stream)
            elif received[:1] == bytes([h3.CONTROL]):
                self._read_control(received)

    def _read(self, number: int, received: bytearray, *, has_ended: bool) -> None:
        stream = self.streams.setdefault(number, Stream())
        for kind, payload in _frames_of(received):
            if kind == h3.HEADERS:
                _, fields = self._decoder.feed_header(number, payload)
                stream.heads.append({name.decode(): value.decode() for name, value in fields})
            elif kind == h3.DATA:
                stream.body += payload
            else:
                raise NotStrict(f"a frame of type {kind:#x} on a stream of a request")
        if has_ended:
            if received:
                raise NotStrict("a frame is cut")
            stream.has_ended = True

    def _read_control(self, received: bytearray) -> None:
        kept = bytearray(received[1:])
        self.control = _frames_of(kept)


def _frames_of(received: bytearray) -> list[tuple[int, bytes]]:
    """Take the complete frames out of a buffer."""
    found = []
    while received:
        buffer = Buffer(data=bytes(received))
        try:
            kind = buffer.pull_uint_var()
            payload = buffer.pull_bytes(buffer.pull_uint_var())
        except BufferReadError:
            break
        found.append((kind, payload))
        del received[: buffer.tell()]
    return found
