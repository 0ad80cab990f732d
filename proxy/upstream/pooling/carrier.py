"""What carries one request to a server, and its response back, in the protocol of the server."""

from typing import Final

from proxy.http.framing import RequestFraming
from proxy.http.head import RequestHead
from proxy.http.websocket.upgrade import WebSocketOffer
from proxy.net.byte_stream import StreamOwner
from proxy.upstream.pooling.client_link import NO_LINK, ClientLink
from proxy.upstream.pooling.contracts import ResponseReceiver


class Carrier(StreamOwner[bytes | memoryview]):
    """Lent to one exchange: a connection (`http1.connection`) or a stream (`http2.stream`).

    It is a class and not a protocol, because a call through a protocol costs compiled code more. A
    connection of HTTP/1.1 also owns its stream of bytes. Compiled code has only one base for both,
    so this one is an owner, too. A stream of HTTP/2 does not use that.
    """

    def __init__(self, *, has_frames: bool) -> None:
        self.has_frames: Final = has_frames
        """Whether the protocol says by itself where a body ends: then it is given bare."""
        self.is_request_complete = False
        """Whether all of the request was given. The exchange says so before the piece is given."""

    @property
    def link(self) -> ClientLink:
        """As `Borrower` says, for a stream that asks for another connection of HTTP/2.

        No server of HTTP/2 gets a PROXY header.
        """
        return NO_LINK

    def begin(
        self, exchange: ResponseReceiver, head: RequestHead, offer: WebSocketOffer | None, request: bytes
    ) -> None:
        """Send `request`: its head as the proxy writes it, and what is here of its body.

        `head` is what the client sent. The rest of the body follows by `write_body`.
        """

    def write_body(self, framing: RequestFraming, data: bytes) -> bool:
        """Send a bare piece of the body. Returns whether something was sent."""
        raise NotImplementedError

    def await_request(self) -> None:
        """The client owes the rest of the request: its own deadline runs, and not the server's.

        A server that takes no more bytes keeps its deadline.
        """

    def pause_reading(self) -> None:
        """The client takes no more: pause the server, without a deadline."""

    def resume_reading(self) -> None:
        """The client takes more again: a paused server gets a new deadline."""

    def abandon(self) -> None:
        """The exchange is over, but not complete."""
