"""The connection of the streams to a server, as a stream sees it."""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Protocol

from proxy.http.head import Header
from proxy.http2.fields.forwarded_fields import ForwardedFields
from proxy.http2.fields.response_heads import StreamResponses
from proxy.http2.session.client_session import ClientSession
from proxy.http2.streams.stream import SessionStream
from proxy.net.byte_stream import ByteStream
from proxy.upstream.pooling.contracts import Kept
from proxy.upstream.pooling.pools import ResponseLimits


class SharedConnection(Protocol[Kept]):
    session: ClientSession
    responses: StreamResponses
    limits: ResponseLimits
    reads: int
    """How often the server has sent something."""
    is_reused: bool
    """Whether an earlier stream of it was answered."""

    @property
    def loop(self) -> AbstractEventLoop: ...

    @property
    def clock(self) -> Callable[[], float]: ...

    @property
    def fields(self) -> ForwardedFields: ...

    def open(self, carrier: Kept, fields: list[Header], *, ends: bool) -> SessionStream: ...

    def switch(self, carrier: Kept, stream: SessionStream) -> ByteStream:
        """Its stream became a WebSocket. The carrier needs the connection no more."""

    def leave(self) -> None:
        """Begin no more streams on it."""

    def flush_soon(self) -> None:
        """Something waits to be sent."""

    def release(self, carrier: Kept, stream: SessionStream | None) -> None:
        """It needs the connection no more. `stream` is None if it has none."""

    def lend_again(self, carrier: Kept) -> None:
        """It was released: find another connection, as for a borrower that waits."""
