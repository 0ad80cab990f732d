"""What came of a request's body before a server is asked. Pure.

Theory of operation. A request has a connection to a server from the moment when it asks for one until its answer is complete, and of
those there are few. So bodies are gathered first, up to a limit: a client that drips holds memory of ours meanwhile, which it has paid
for byte by byte, and nothing that others need. Streams whose server has to see them as they come are excepted by their route.
"""

from typing import Final

from proxy.http.framing import BodyKind, RequestFraming

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Our own word to a client that waits for it with its body (RFC 9110 section 10.1.1)."""


def bytes_to_gather(framing: RequestFraming, limit: int, *, streams: bool) -> int:
    """How much of a body has to be here before a server is asked, if the body is not complete before.

    `streams`: whether the route hands on at once what has no length, and what waits for the server's word.
    """
    is_stream = framing.body is BodyKind.CHUNKED or framing.expects_continue
    return 0 if streams and is_stream else limit


class GatheredBody:
    """The bytes, chunked coding removed."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        """Nothing came."""
        self._data: bytes | bytearray = b""

    def __len__(self) -> int:
        """How many there are."""
        return len(self._data)

    def receive_data(self, data: bytes) -> None:
        """Keep a piece. The work is linear, however small the pieces are; most bodies come in one."""
        if not self._data:
            self._data = data
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        self._data += data

    def take(self) -> bytes:
        """Hand out everything."""
        data, self._data = bytes(self._data), b""
        return data
