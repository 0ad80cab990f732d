"""What the parts of a request know of each other: client, guard, codec, tunnel."""

from dataclasses import dataclass
from typing import Protocol

from proxy.downstream.requests.refusals import RequestRefusal
from proxy.downstream.requests.tunnel_places import TunnelPlace
from proxy.downstream.service.response_buffer import Stream
from proxy.http.framing import RequestFraming, ResponseFraming
from proxy.http.responses import Response
from proxy.http.websocket.frames import Extensions
from proxy.net.byte_stream import ByteStream
from proxy.payload.websocket import SealedMessages
from proxy.upstream.pooling.contracts import ResponseReceiver, Tunnelling
from proxy.upstream.pooling.shares import Shares


class TunnelServer(Protocol):
    """The server at the other end of a tunnel, which knows of its WebSockets."""

    @property
    def places(self) -> Shares: ...

    def tunnel_opened(self, tunnel: Tunnelling) -> None: ...

    def tunnel_ended(self, tunnel: Tunnelling) -> None: ...


@dataclass(frozen=True, slots=True)
class SwitchedStream:
    """A connection to a server that speaks WebSocket from now on."""

    response: ResponseFraming
    """The server's 101."""
    stream: ByteStream
    rest: bytes
    """What the server sent behind its head."""
    server: TunnelServer
    place: TunnelPlace
    messages: SealedMessages | None
    """Those that encrypt what goes to the client, and decrypt what it sends."""

    @property
    def extensions(self) -> Extensions:
        is_extended = b"sec-websocket-extensions" in self.response.special
        return Extensions.NEGOTIATED if is_extended else Extensions.NONE


class ClientStream(ByteStream, Stream, Protocol):
    """The stream to a client: a `TlsStream`."""

    reads_on: bool
    """Whether one turn may take several full records of a body."""

    def write(self, data: bytes | memoryview) -> None:
        """As `ByteStream` says; a view is valid only during the call."""

    def cut(self) -> None:
        """Send what was written, then close so that the client sees that something is missing."""


class Client(Protocol):
    """The downstream connection, as the responder of its request sees it."""

    def pause_request(self) -> None:
        """Take no more of the request body for now."""

    def resume_request(self) -> None: ...

    def body_taken(self) -> None:
        """A server has what was kept of the request body."""

    def refuse(self, refusal: RequestRefusal) -> None:
        """Answer with an internal error: no response has begun."""

    def cut(self, reason: str) -> None:
        """The response cannot be completed, and the client must see that."""

    def tunnel_place(self, server: TunnelServer) -> TunnelPlace | RequestRefusal:
        """Take a place for a WebSocket with this server, or return why not. `tunnel` is next."""

    def tunnel(self, switched: SwitchedStream) -> None:
        """Both sides speak WebSocket from now on."""

    def has_room(self, holder: bytes, written: int) -> bool:
        """Whether the proxy may take more of the response for the client, which is blocked.

        `holder` is the client network that the bytes count for; `written` bytes were just sent.
        """

    def hold(self, holder: bytes) -> None:
        """Count what waits here for the blocked client: the rest of its response is spooled."""

    def reader_is_late(self, reason: str) -> None:
        """The client takes too little of the response: end it at once."""

    @property
    def may_stay(self) -> bool:
        """Whether the connection may take another request after this one, from our side."""


class PendingGuard(Protocol):
    """Decides whether a request may continue: a `Guard`."""

    def abandon(self) -> None:
        """The client waits no more."""


class ResponseWriter(ResponseReceiver, Protocol):
    """An exchange, as the codec that encrypts its response sees it."""

    @property
    def has_responded(self) -> bool:
        """Whether a byte of the final response went to the client."""

    def switched(
        self, response: Response, stream: ByteStream, rest: bytes, messages: SealedMessages | None = None
    ) -> None:
        """As `ResponseReceiver` says. `messages` encrypt those of the client's side."""

    def response_refused(self, refusal: RequestRefusal, *, is_complete: bool) -> None:
        """Answer with an internal error: no byte of the response went to the client."""


class BodyCodec(Protocol):
    """Decodes the body of the request of one exchange, and encodes that of its response."""

    @property
    def framing(self) -> RequestFraming:
        """The request for the server, as far as it is known from its head."""

    @property
    def is_coded(self) -> bool:
        """Whether the body of the request is decoded."""

    @property
    def refusal(self) -> RequestRefusal | None:
        """The answer to a request that cannot be taken."""

    @property
    def mark(self) -> bytes:
        """Further field lines of an error that answers the request."""

    def bound(self, limit: int) -> int:
        """Let through `limit` decoded bytes. Returns how many encoded bytes that may be."""

    def receive_data(self, data: bytes, *, is_complete: bool) -> bytes:
        """Decode a piece of the body, perhaps the last. Raises `MalformedMessage`."""

    @property
    def is_ready(self) -> bool:
        """Whether enough was decoded to ask a server."""

    def framed(self, framing: RequestFraming) -> RequestFraming:
        """The request for the server, now that it is ready."""

    def receiver(self, writer: ResponseWriter) -> ResponseReceiver:
        """The request is sent now. Returns what takes the response and writes it encoded."""

    def abandoned(self) -> None:
        """The exchange ended before its response was complete."""
