"""The body of a request: its end, its limit, and how much is gathered for a server. Pure.

Theory of operation. A request holds a connection to a server from the moment when it asks for one
until its answer is complete, and there are few connections. So the proxy first gathers the body, up
to a limit. A client that sends slowly then holds only memory, and it has to send a byte for each
byte that it holds. A route can exempt streams, so that its server sees them as they arrive.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mypy_extensions import mypyc_attr

from proxy.http.chunked import ChunkedDecoder, ChunkLimits, framed
from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.head import MalformedMessage

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Our 100 to a client that waits for it before it sends its body (RFC 9110 section 10.1.1)."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The limits of chunked coding, and how many bytes are gathered."""

    chunks: ChunkLimits
    gathered: int


@mypyc_attr(free_list_len=1)
class RequestBody:
    """A body that was not complete when its head was read."""

    def __init__(
        self,
        framing: RequestFraming,
        for_server: RequestFraming,
        limits: BodyLimits,
        clock: Callable[[], float],
        *,
        ends_itself: bool = True,
    ) -> None:
        """`bound` comes next. `for_server` differs only if the body is decoded on its way.

        A body of HTTP/2 that has no length does not end by itself: `end` says that its stream has
        ended.
        """
        self.framing = for_server
        """What the server is told. Length and 100 may change while the body is gathered."""
        is_chunked = framing.body is BodyKind.CHUNKED
        self._decoder = ChunkedDecoder(limits.chunks, clock) if is_chunked and ends_itself else None
        self._is_open_ended = is_chunked and not ends_itself
        self._left = framing.length
        self._limit = 0
        self.received = 0
        """`received`: bytes of the body as its client sent it, without the chunked coding."""
        self._least = limits.gathered
        self._gathered: bytes | bytearray = b""
        self.is_complete = False
        self.was_invited = False
        """Whether the client has its 100, from us or from the server."""

    def bound(self, limit: int) -> bool:
        """Limit the body to `limit` bytes; False if its head announces more."""
        self._limit = limit
        return self._left <= limit

    def receive_data(self, data: bytes) -> tuple[bytes, bytes]:
        """Take bytes that follow the head. Returns the bytes of the body, and those behind it.

        Raises `MalformedMessage` for a body that breaks the rules (400) or the limit (413).
        """
        decoder = self._decoder
        if self._is_open_ended:
            self._count(len(data))
            return data, b""
        if decoder is None:
            # compiled code copies also for a slice that is the whole
            is_whole = len(data) <= self._left
            body, excess = (data, b"") if is_whole else (data[: self._left], data[self._left :])
            self._left -= len(body)
            self.received += len(body)
            self.is_complete = self._left == 0
            return body, excess
        body = decoder.receive_data(data)
        self._count(len(body))
        self.is_complete = decoder.finished
        return body, decoder.excess if decoder.finished else b""

    def _count(self, received: int) -> None:
        self.received += received
        if self.received > self._limit:
            raise MalformedMessage(413, "the body is longer than this route allows")

    def end(self) -> None:
        self.is_complete = True

    # -- until a server is asked

    def begin(self, *, streams: bool, is_coded: bool) -> bool:
        """Decide how much is gathered before a server is asked.

        Returns whether to tell the client to send its body. `streams`: the route hands on at once a
        body without a length, and one that waits for the server's 100. `is_coded`: the body is
        decoded on its way, so the server's 100 would come too late.
        """
        framing = self.framing
        if streams and (framing.body is BodyKind.CHUNKED or framing.expects_continue):
            self._least = 0
        if not (framing.expects_continue and (self.is_complete or self._least > 0 or is_coded)):
            return False
        self.framing = framing.without_expectation()
        self.was_invited = not (self.is_complete or self.received)
        return self.was_invited

    def settled(self) -> RequestFraming:
        """What the server is told, now that it is asked: a body that is all here has a length."""
        if self._is_open_ended and self.is_complete and self.framing.body is BodyKind.CHUNKED:
            self.framing = self.framing.with_body(BodyKind.LENGTH, self.received)
        return self.framing

    @property
    def awaits_continue(self) -> bool:
        """Whether the client may still be sent the server's 100 (RFC 9110 section 10.1.1)."""
        return self.framing.expects_continue and not self.was_invited and not self.is_complete

    @property
    def is_held_back(self) -> bool:
        """Whether the client rightly waits for that 100 before it sends anything."""
        return self.framing.expects_continue and not self.was_invited and not self.received

    @property
    def is_enough(self) -> bool:
        return self.is_complete or len(self._gathered) >= self._least

    def hurry(self) -> None:
        """Wait for no more of it before a server is asked."""
        self._least = 0

    @property
    def has_more(self) -> bool:
        """Whether a part of it was received, and not all."""
        return bool(self._gathered) and not self.is_complete

    def gather(self, piece: bytes) -> None:
        """Keep a piece, without chunked coding. Most bodies are one piece.

        The work is linear in the bytes, even if the pieces are small.
        """
        if not self._gathered:
            self._gathered = piece
            return
        if isinstance(self._gathered, bytes):
            self._gathered = bytearray(self._gathered)
        self._gathered += piece

    def take(self, *, is_bare: bool) -> bytes:
        """Return the gathered bytes, framed for a server of HTTP/1.1 unless `is_bare`."""
        taken = self._gathered
        self._gathered = b""
        gathered = taken if isinstance(taken, bytes) else bytes(taken)
        return gathered if is_bare else framed(self.framing, gathered, is_complete=self.is_complete)


# RFC 9110 section 9.2.2: to repeat these has no further effect, so the proxy may send them again
_IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})


def is_repeatable(method: bytes) -> bool:
    """Whether a request may be sent once more, if we have all of it. A WebSocket begins by GET."""
    return method in _IDEMPOTENT
