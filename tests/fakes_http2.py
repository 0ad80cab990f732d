"""A client that speaks HTTP/2 by a library of others, with the proxy's half and its servers, without sockets."""

from collections.abc import Sequence
from typing import Any, TypeVar

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from proxy.downstream.http2.connection import Http2Connection
from proxy.downstream.requests.client import ClientFacts
from proxy.http2.session.server_session import ServerSession
from proxy.http2.streams.stream import SessionStream
from tests.fakes_http import Conversation, FakeStream

Fields = Sequence[tuple[bytes, bytes]]
Kind = TypeVar("Kind", bound=Event)

GET: Fields = ((b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"chat.test"), (b":path", b"/"))
POST: Fields = ((b":method", b"POST"), *GET[1:])
CONNECT: Fields = ((b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:], (b"sec-websocket-version", b"13"))


def frames(data: bytes) -> list[bytes]:
    """Each frame by itself."""
    cut = []
    while data:
        length = 9 + int.from_bytes(data[:3])
        cut.append(data[:length])
        data = data[length:]
    return cut


class Http2Conversation(Conversation):
    """A conversation whose client has chosen `h2`. `peer` is its side of the connection."""

    connection: Http2Connection
    session: ServerSession
    peer: H2Connection
    backend: FakeStream

    def __init__(self, *, silent: bool = False, **settings: Any) -> None:
        """`silent`: the client does not even begin."""
        self.is_silent = silent
        super().__init__(**settings)

    def connect(self, facts: ClientFacts) -> None:
        """Take the connection up, and exchange the prefaces."""
        self.session = ServerSession(self.service.runtime.limits.http2, self.service.clock)
        counters = self.service.counters.listener(facts.listener).http2
        self.connection = Http2Connection(self.service, self.client, facts, self.session, counters)
        self.client.owner = self.connection
        self.events: list[Event] = []
        self.peer = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        if not self.is_silent:
            self.peer.initiate_connection()
            self.pump()

    def pump(self) -> None:
        """Carry bytes both ways until both sides are silent."""
        while True:
            self.loop.settle()
            back = self.client.sent()
            for frame in frames(back):
                self.events += self.peer.receive_data(frame)
                if isinstance(self.events[-1:] and self.events[-1], ConnectionTerminated):
                    # the library takes GOAWAY for the end; RFC 9113 6.8 has open streams continue
                    self.peer.state_machine.state = ConnectionState.CLIENT_OPEN
            out = self.peer.data_to_send()
            if out and self.client.owner is not None:
                self.client.receive(out)
            elif not back:
                return

    def ask(self, fields: Fields = GET, body: bytes | None = None, *, ends: bool = True) -> int:
        """Send a request; answers the number of its stream."""
        stream = self.peer.get_next_available_stream_id()
        self.peer.send_headers(stream, list(fields), end_stream=ends and body is None)
        if body is not None:
            self.send(stream, body, ends=ends)
        self.pump()
        return stream

    def send(self, stream: int, body: bytes, *, ends: bool = False) -> None:
        """Send a piece of a body, in frames."""
        for at in range(0, max(len(body), 1), 16_384):
            piece = body[at : at + 16_384]
            self.peer.send_data(stream, piece, end_stream=ends and at + len(piece) >= len(body))
        self.pump()

    def respond(self, data: bytes) -> bytes:
        """Answer the request that waits longest with `data`; returns what the server got.

        If none waits, the last connection was lent again.
        """
        if self.server.waiting:
            self.backend = self.server.lend()
        got = self.backend.sent()
        self.backend.receive(data)
        self.pump()
        return got

    def streams(self) -> list[SessionStream]:
        """The open streams as the session sees them, in their order."""
        return sorted((one._stream for one in self.connection._streams), key=lambda one: one.id)

    def of(self, kind: type[Kind], stream: int) -> list[Kind]:
        """The events of this kind on a stream."""
        return [event for event in self.events if isinstance(event, kind) and event.stream_id == stream]  # type: ignore[attr-defined]

    def head(self, stream: int) -> dict[bytes, bytes]:
        """The fields of its final answer."""
        (event,) = self.of(ResponseReceived, stream)
        assert event.headers is not None
        return dict(event.headers)

    def status(self, stream: int) -> int:
        """The status of its answer."""
        return int(self.head(stream)[b":status"])

    def body(self, stream: int) -> bytes:
        """The body that came so far."""
        return b"".join(event.data for event in self.of(DataReceived, stream) if event.data)

    def trailers(self, stream: int) -> Any:
        """Its trailer fields, None if there were none."""
        events = self.of(TrailersReceived, stream)
        return list(events[0].headers or []) if events else None

    def has_ended(self, stream: int) -> bool:
        """Whether its answer is complete."""
        return bool(self.of(StreamEnded, stream))

    def reset_code(self, stream: int) -> int | None:
        """The code it was reset with."""
        events = self.of(StreamReset, stream)
        return int(events[0].error_code or 0) if events else None
