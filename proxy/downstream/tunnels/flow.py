"""The two directions of a connection whose bytes go both ways: what a WebSocket and TCP share."""

from typing import Final

from proxy.net.byte_stream import ByteStream, StreamOwner


class Flow(StreamOwner[bytes | memoryview]):
    """The bytes of one side on their way to the other. Owner of the sender's stream."""

    def __init__(self, pair: "StreamPair", source: ByteStream, sink: ByteStream) -> None:
        """`source` sends, and `sink` gets the bytes."""
        self._pair: Final = pair
        self.source: Final = source
        self.sink: Final = sink
        self.bytes = 0
        """All bytes that the source sent."""

    def pause_writing(self) -> None:
        """Our source takes no more: pause the sender of its bytes."""
        self.sink.pause_reading()
        self._pair.blocked(self)

    def resume_writing(self) -> None:
        """Our source took everything."""
        self.sink.resume_reading()
        self._pair.unblocked(self)


class StreamPair:
    """Two streams, each the other's sink."""

    def __init__(self) -> None:
        self._blocked: set[Flow] = set()
        """Those whose source takes no bytes of the other side."""

    def blocked(self, flow: Flow) -> None:
        """The source of `flow` takes no more bytes."""
        self._blocked.add(flow)

    def unblocked(self, flow: Flow) -> None:
        """The source of `flow` took all bytes."""
        self._blocked.discard(flow)
