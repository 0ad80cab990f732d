"""One connection to a server that speaks HTTP/2: drives its session, and hosts streams.

Theory of operation. The session is pure: bytes in, events out, bytes out. What is to be sent waits
in it until the end of the turn of the loop, so the requests of one turn leave as one piece. The
connection is lent from the moment when the server's SETTINGS came: before, it is not known how many
streams it takes, nor whether it speaks HTTP/2 at all.
"""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.http.head import Header
from proxy.http.responses import ResponseReader
from proxy.http2.fields.forwarded_fields import ForwardedFields
from proxy.http2.fields.response_heads import StreamResponses
from proxy.http2.session.client_session import ClientSession
from proxy.http2.session.events import (
    BodyReceived,
    ConnectionFailed,
    PeerLeaves,
    ResponseReceived,
    SessionEvent,
    StreamReset,
    TrailersReceived,
)
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.limits import SessionLimits
from proxy.net.byte_stream import ByteStream, StreamOwner
from proxy.net.deadlines import NEVER, Deadlines
from proxy.tls.wire.waiting_data import SEND_BYTES
from proxy.upstream.http2.stream import UpstreamStream
from proxy.upstream.http2.tunnel import ServerBytes
from proxy.upstream.pooling.failures import UpstreamFault
from proxy.upstream.pooling.pools import ResponseLimits
from proxy.upstream.pooling.statistics import StreamCounts


class ConnectionKeeper(Protocol):
    def ready(self, connection: "StreamConnection") -> None:
        """The server's SETTINGS came: it can be lent."""

    def released(self, connection: "StreamConnection", holder: bytes | None) -> None:
        """One stream less is lent, which counted for `holder` unless it was a WebSocket."""

    def switched(self, holder: bytes) -> None:
        """A lent stream became a WebSocket, and does not count for `holder` any more."""

    def lend_again(self, carrier: UpstreamStream) -> None:
        """A server refused this stream, which was released."""

    def lost(self, connection: "StreamConnection", reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class StreamResources:
    """What all connections to one server share."""

    loop: AbstractEventLoop
    after_reports: Callable[[Callable[[], None]], object]
    """That of `SharedIo`."""
    deadlines: Deadlines
    session_limits: SessionLimits
    responses: ResponseLimits
    reader: ResponseReader
    fields: ForwardedFields
    ready_seconds: float
    """How long a server may take to send its SETTINGS."""
    counts: StreamCounts


class StreamConnection(StreamOwner[bytes | memoryview]):
    """Owner of the stream of bytes to a server, which the dialler sets."""

    stream: ByteStream

    def __init__(self, keeper: ConnectionKeeper, resources: StreamResources) -> None:
        self.loop: Final[AbstractEventLoop] = resources.loop
        self.clock: Final = resources.loop.time
        self.limits: ResponseLimits = resources.responses
        self.session: ClientSession = ClientSession(resources.session_limits, self.clock)
        self.responses: StreamResponses = StreamResponses(resources.reader, resources.responses.head)
        self.lent = 0
        self.reads = 0
        self.is_reused = False
        self.deadline = NEVER
        self._keeper: Final = keeper
        self._resources: Final = resources
        self.fields: Final = resources.fields
        self._carriers: Final[dict[int, UpstreamStream]] = {}
        self._tunnels: Final[dict[int, ServerBytes]] = {}
        self._read: list[UpstreamStream] = []
        self._is_ready = False
        self._is_flush_due = False
        self._is_write_paused = False
        self._has_ended = False

    def begin(self) -> None:
        """Send the preface, and wait for the server's SETTINGS."""
        self.deadline = self.clock() + self._resources.ready_seconds
        self._resources.deadlines.watch(self)
        self.stream.resume_reading()
        self._flush()

    # -- the pool's side

    @property
    def has_room(self) -> bool:
        """Whether it can be lent once more."""
        session = self.session
        return session.may_open and self.lent < session.most_streams and not self._has_ended

    @property
    def is_taken_up(self) -> bool:
        """Whether it has WebSockets alone, and takes no request any more."""
        return self.lent > 0 and self.lent == len(self._tunnels) and not self.has_room

    def lend(self, holder: bytes) -> UpstreamStream:
        self.lent += 1
        self.deadline = NEVER
        return UpstreamStream(self, holder)

    def keep_unused(self) -> None:
        """Stay for a limited time without a stream."""
        self.deadline = self.clock() + self.limits.idle_seconds

    def leave(self) -> None:
        """Begin no more streams. Without any, close."""
        if not self._has_ended:
            self.session.go_away()
            self._flush()
            if not self.lent:
                self._end()

    def _end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self.deadline = NEVER
            self.stream.end()

    # -- the streams' side

    def open(self, carrier: UpstreamStream, fields: list[Header], *, ends: bool) -> SessionStream:
        stream = self.session.open(fields, carrier.never_indexed, ends=ends)
        self._carriers[stream.id] = carrier
        self._resources.deadlines.watch(carrier)
        return stream

    def release(self, carrier: UpstreamStream, stream: SessionStream | None) -> None:
        self.lent -= 1
        if stream is not None:
            del self._carriers[stream.id]
            self._resources.deadlines.forget(carrier)
        self._keeper.released(self, carrier.holder)

    def lend_again(self, carrier: UpstreamStream) -> None:
        self._keeper.lend_again(carrier)

    def switch(self, carrier: UpstreamStream, stream: SessionStream) -> ByteStream:
        """As `SharedConnection` says. The stream stays lent until the tunnel is over."""
        del self._carriers[stream.id]
        self._resources.deadlines.forget(carrier)
        tunnel = self._tunnels[stream.id] = ServerBytes(self, stream)
        self._resources.deadlines.watch(tunnel)
        self._keeper.switched(carrier.holder)
        return tunnel

    def tunnel_over(self, stream: SessionStream) -> None:
        self._resources.deadlines.forget(self._tunnels.pop(stream.id))
        self.lent -= 1
        self._keeper.released(self, None)

    def flush_soon(self) -> None:
        if not self._is_flush_due:
            self._is_flush_due = True
            self._resources.after_reports(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        session = self.session
        while not (self._is_write_paused or self._has_ended):
            data = session.data_to_send(SEND_BYTES)
            if not data:
                break
            self.stream.write(data)
        for stream in session.take_unblocked():
            if (carrier := self._carriers.get(stream.id)) is not None:
                carrier.unblocked()
            elif (tunnel := self._tunnels.get(stream.id)) is not None:
                tunnel.resume_writing()

    # -- the stream of bytes

    def data_received(self, data: bytes | memoryview) -> None:
        if self._has_ended:
            return
        self.reads += 1
        self._is_flush_due = True  # it comes below
        for event in self.session.receive_data(bytes(data)):
            self._act(event)
        if not self._is_ready and self.session.has_settings and not self.session.has_failed:
            self._is_ready = True
            self.keep_unused()
            self._keeper.ready(self)
        read, self._read = self._read, []
        for carrier in read:
            carrier.flush()
        self._flush()
        if self.session.is_going_away and not self.lent:
            self._end()

    def _act(self, event: SessionEvent) -> None:
        if isinstance(event, BodyReceived):
            if (carrier := self._told(event.stream)) is not None:
                carrier.body_received(event.data, is_ended=event.is_ended)
            elif (tunnel := self._tunnels.get(event.stream.id)) is not None:
                tunnel.received(event.data, is_ended=event.is_ended)
        elif isinstance(event, ResponseReceived):
            if (carrier := self._told(event.stream)) is not None:
                self.is_reused = True
                carrier.head_received(event)
        else:
            self._act_on_end(event)

    def _act_on_end(self, event: SessionEvent) -> None:
        if isinstance(event, TrailersReceived):
            if (carrier := self._told(event.stream)) is not None:
                carrier.trailers_received(event.decoded)
            elif (tunnel := self._tunnels.get(event.stream.id)) is not None:  # RFC 9113 8.5: DATA alone may come
                self.session.reset(event.stream, ErrorCode.PROTOCOL_ERROR)
                tunnel.failed("trailers of a WebSocket")
        elif isinstance(event, StreamReset):
            self._reset_received(event)
        elif isinstance(event, ConnectionFailed):
            self._fail(event.reason)
        elif isinstance(event, PeerLeaves):
            self._resources.counts.goaways += 1

    def _reset_received(self, event: StreamReset) -> None:
        if event.code == ErrorCode.REFUSED_STREAM and not event.reason:
            self._resources.counts.refused += 1
        if (carrier := self._told(event.stream)) is not None:
            carrier.reset_received(event.code, event.reason)
        elif (tunnel := self._tunnels.get(event.stream.id)) is not None:
            tunnel.failed(event.reason or f"HTTP/2 error {event.code}")

    def _told(self, stream: SessionStream) -> UpstreamStream | None:
        carrier = self._carriers.get(stream.id)
        if carrier is not None and (not self._read or self._read[-1] is not carrier):
            self._read.append(carrier)
        return carrier

    def _fail(self, reason: str) -> None:
        """The server broke a rule that ends the connection, or did not answer in time."""
        self._flush()  # the GOAWAY that says why
        self._end()
        self._lose_streams(reason, UpstreamFault.MALFORMED)
        self._keeper.lost(self, reason)

    def _lose_streams(self, reason: str, fault: UpstreamFault = UpstreamFault.CLOSED) -> None:
        for carrier in list(self._carriers.values()):
            carrier.lost(fault, reason)
        for tunnel in list(self._tunnels.values()):
            tunnel.failed(reason)

    def eof_received(self) -> None:
        self._end()
        self._lose_streams("end of stream")
        self._keeper.lost(self, "the server closed the connection")

    def connection_lost(self, error: OSError | None) -> None:
        self._has_ended = True
        self._resources.deadlines.forget(self)
        reason = "the connection was closed" if error is None else str(error)
        self._lose_streams(reason)
        self._keeper.lost(self, reason)

    def pause_writing(self) -> None:
        """The server takes no more. What waits stays in the session, where it is bounded."""
        self._is_write_paused = True

    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._flush()

    def deadline_passed(self, now: float) -> None:
        """The server sent no SETTINGS in time, or no stream was needed for too long."""
        del now
        self.deadline = NEVER
        if self._is_ready:
            self.leave()
        else:
            self.session.fail(ErrorCode.SETTINGS_TIMEOUT)
            self._fail("the server sent no SETTINGS in time")
