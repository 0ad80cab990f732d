"""What an exchange expects of the connection that it serves."""

from typing import TYPE_CHECKING, Protocol

from proxy.downstream.response_buffer import Stream
from proxy.net.byte_stream import ByteStream
from proxy.upstream.contracts import Tunnelling

if TYPE_CHECKING:
    from proxy.downstream.refusals import RequestRefusal
    from proxy.http.framing import Persistence
    from proxy.http.headers import ForwardedPeer
    from proxy.http.websocket import Extensions
    from proxy.payload.websocket import SealedMessages


class ClientStream(ByteStream, Stream, Protocol):
    """What leads to a client: a `TlsStream`."""

    def cut(self) -> None:
        """Send what was written, then close so that the client sees that something is missing."""

    def end_at_once(self) -> None:
        """Close cleanly, without waiting for the client's answer."""


class Client(Protocol):
    """The downstream connection, as an exchange sees it."""

    def send(self, data: bytes) -> None:
        """Send response bytes."""

    def pause_request(self) -> None:
        """Take no more of the request body for now."""

    def resume_request(self) -> None:
        """Take the request body again."""

    def refuse(self, refusal: "RequestRefusal") -> None:
        """Answer with an error of ours: no response has begun."""

    def finished(self, persistence: "Persistence") -> None:
        """The response is complete."""

    def cut(self, reason: str) -> None:
        """The response cannot be completed, and the client must see that."""

    def tunnel(self, stream: ByteStream, rest: bytes, extensions: "Extensions") -> None:
        """Both sides speak WebSocket from now on; `rest` came from the upstream already."""

    def has_room(self, holder: bytes, written: int) -> bool:
        """Whether more of the response may be taken for the client, which is blocked; so much of it was just sent.

        `holder` is the client network that it counts for.
        """

    @property
    def peer(self) -> "ForwardedPeer":
        """Who is at the other end of the connection."""

    @property
    def may_stay(self) -> bool:
        """Whether the connection may take another request after this one, as far as we are concerned."""


class Encryptable(Tunnelling, Protocol):
    """A WebSocket whose messages can be encrypted on the client's side."""

    def encrypt(self, messages: "SealedMessages") -> None:
        """Encrypt and decrypt by these from the first message on."""
