"""The interfaces between the parts of a request: connection, responder, codec, client stream."""

from typing import Protocol

from proxy.auth.grant import Grant
from proxy.downstream.admission import RouteTarget
from proxy.downstream.answer_writer import AnswerWriter
from proxy.downstream.refusals import RequestRefusal
from proxy.downstream.requests import Request
from proxy.downstream.response_buffer import Stream
from proxy.downstream.switched import SwitchedStream, TunnelServer
from proxy.downstream.tally import RequestTally
from proxy.downstream.tunnel_places import TunnelPlace
from proxy.http.framing import Persistence, RequestFraming
from proxy.http.responses import Response
from proxy.net.byte_stream import ByteStream
from proxy.payload.websocket import SealedMessages
from proxy.upstream.client_link import ClientLink
from proxy.upstream.contracts import ResponseReceiver
from proxy.upstream.upstream import Upstream


class ClientStream(ByteStream, Stream, Protocol):
    """The stream to a client: a `TlsStream`."""

    reads_on: bool
    """Whether one turn may take several full records of a body."""

    def cut(self) -> None:
        """Send what was written, then close so that the client sees that something is missing."""


class Client(Protocol):
    """The downstream connection, as the responder of its request sees it."""

    def writer_for(self, request: Request | None) -> AnswerWriter:
        """What writes the answer to a request; None for one that was not understood."""

    def pause_request(self) -> None:
        """Take no more of the request body for now."""

    def resume_request(self) -> None:
        """Take the request body again."""

    def body_taken(self) -> None:
        """A server has what was kept of the request body."""

    def refuse(self, refusal: RequestRefusal) -> None:
        """Answer with an error of ours: no response has begun."""

    def finished(self, persistence: Persistence) -> None:
        """The response is complete."""

    def cut(self, reason: str) -> None:
        """The response cannot be completed, and the client must see that."""

    def tunnel_place(self, server: TunnelServer) -> TunnelPlace | RequestRefusal:
        """Take a place for a WebSocket with this server, or return the refusal.

        `tunnel` comes next.
        """

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
    """Decides whether a request may go on: a `Guard`."""

    def abandon(self) -> None:
        """The client waits no more."""


class Responder(Protocol):
    """What answers one request: an exchange with a server, or the proxy itself.

    The connection first calls `refused_by`, which bounds the body. Then it may hand over what came
    with the head by `receive`. Then it calls `start`.
    """

    holder: bytes
    """The client network that its connection to a server counts for, or `EXEMPT`."""
    link: ClientLink
    """The connection of its client, for servers that want a PROXY header."""
    target: RouteTarget | None
    """The route of the request, also if the route refuses it; None if there is none."""
    guard: PendingGuard | None
    """What decides whether it may start, while that takes time."""

    @property
    def tally(self) -> RequestTally:
        """What the log will say about the request."""

    @property
    def mark(self) -> bytes:
        """Further field lines of an error that answers it."""

    @property
    def is_request_complete(self) -> bool:
        """Whether all of the request was received."""

    def refused_by(self, limit: int) -> RequestRefusal | None:
        """Limit the body to `limit` bytes.

        Returns the refusal if the head announces more, or if the request cannot be taken.
        """

    def receive(self, data: bytes) -> bytes:
        """Take bytes that came behind the head. Returns those that belong to the next request.

        `proceed` comes next. Raises `MalformedMessage` for a body that breaks the rules (400) or
        the limit (413).
        """

    def end_request(self) -> None:
        """The body is complete, because its stream has ended (HTTP/2). `proceed` comes next.

        Raises `MalformedMessage` as `receive` does.
        """

    def hurry(self) -> None:
        """Gather no more of the body before a server is asked. `proceed` comes next."""

    @property
    def keeps_body(self) -> bool:
        """Whether it keeps what it receives now."""

    def start(
        self, target: RouteTarget, fields: bytes, grant: Grant | None = None, upstream: Upstream | None = None
    ) -> None:
        """Answer, once enough of the request was received. `fields` are its lines for a server.

        `grant` are fields that replace those of the client. `upstream` is that of the target, for a
        request that waited: the current configuration may not have it any more.
        """

    def proceed(self) -> None:
        """Go on with the body that was received; it may end the request."""

    @property
    def holds_client_back(self) -> bool:
        """Whether the client rightly waits for a 100 before its body (RFC 9110 section 10.1.1)."""

    @property
    def has_responded(self) -> bool:
        """Whether the client has a part of the final response, but not all of it."""

    def pause_response(self) -> None:
        """The client takes no more."""

    def resume_response(self) -> None:
        """The client takes more again."""

    def abandon(self) -> None:
        """The client is gone, or got an error as its answer: stop all work on the request."""


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
        """Answer with an error of ours.

        The response cannot be passed on, and no byte of it went to the client.
        """


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
