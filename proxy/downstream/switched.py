"""A connection to a server after its 101: what becomes one side of a tunnel."""

from dataclasses import dataclass
from typing import Protocol

from proxy.downstream.tunnel_places import TunnelPlace
from proxy.http.framing import ResponseFraming
from proxy.http.websocket import Extensions
from proxy.net.byte_stream import ByteStream
from proxy.payload.websocket import SealedMessages
from proxy.upstream.contracts import Tunnelling
from proxy.upstream.shares import Shares


class TunnelServer(Protocol):
    """The server at the other end of a tunnel, which knows of its WebSockets."""

    @property
    def places(self) -> Shares:
        """Those that its tunnels take, by client."""

    def tunnel_opened(self, tunnel: Tunnelling) -> None:
        """Count it in."""

    def tunnel_ended(self, tunnel: Tunnelling) -> None:
        """Count it out."""


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
        """Whether both sides agreed on extensions."""
        is_extended = b"sec-websocket-extensions" in self.response.special
        return Extensions.NEGOTIATED if is_extended else Extensions.NONE
