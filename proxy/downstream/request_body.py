"""The body of a request: where it ends, how long it may be, how it goes on. Pure."""

from collections.abc import Callable

from proxy.http.chunked import LAST_CHUNK, ChunkedDecoder, ChunkLimits, encode_chunk
from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.head import MalformedMessage


class RequestBody:
    """Finds the end of a body in what the client sends, and bounds it."""

    __slots__ = ("_decoder", "_left", "_limit", "_received", "is_complete")

    def __init__(self, framing: RequestFraming, chunks: ChunkLimits, clock: Callable[[], float]) -> None:
        """Nothing came of it; `bound` comes next."""
        self._decoder = ChunkedDecoder(chunks, clock) if framing.body is BodyKind.CHUNKED else None
        self._left = framing.length
        self._limit = 0
        self._received = 0
        self.is_complete = False

    def bound(self, limit: int) -> bool:
        """Take so many bytes at most; whether the body is shorter than that, as far as its head says."""
        self._limit = limit
        return self._left <= limit

    def receive_data(self, data: bytes) -> tuple[bytes, bytes]:
        """Take what came behind the head; answers the bytes of body in it, and what stands behind the body.

        Raises `MalformedMessage` for a body that breaks the rules (400) or the limit (413).
        """
        decoder = self._decoder
        if decoder is not None:
            body = decoder.receive_data(data)
            self.is_complete = decoder.finished
            excess = decoder.excess if decoder.finished else b""
        else:
            body = data[: self._left]
            excess = data[self._left :]
            self._left -= len(body)
            self.is_complete = self._left == 0
        self._received += len(body)
        if self._received > self._limit:
            raise MalformedMessage(413, "the body is longer than this route allows")
        return body, excess


def framed(framing: RequestFraming, body: bytes, *, is_complete: bool) -> bytes:
    """Write a piece of a body for the upstream, with the end of the body if nothing follows."""
    if framing.body is not BodyKind.CHUNKED:
        return body
    return encode_chunk(body) + (LAST_CHUNK if is_complete else b"")
