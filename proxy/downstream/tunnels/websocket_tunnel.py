"""A WebSocket after its handshake: bytes pass unchanged, and two trackers know the frame borders.

There is a tracker for each direction. They hold the peers to the framing of RFC 6455 and count
messages. They also let us end a connection with a close frame of our own between two frames, as a
server does before a restart.
"""

import random
import secrets
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from proxy.downstream.requests.standing import NoLongerWelcome
from proxy.downstream.service.service import HttpService
from proxy.downstream.tunnels.flow import Flow, StreamPair
from proxy.http.websocket.close import LOST, NO_CODE, ClosedBy, WebSocketClose
from proxy.http.websocket.frames import (
    CloseCode,
    Extensions,
    FrameSender,
    FrameTracker,
    WebSocketViolation,
    close_frame,
)
from proxy.limits.idleness import QUIET_SECONDS, Idle, Shown
from proxy.limits.reasons import CLOSED
from proxy.net.byte_stream import ByteStream
from proxy.net.deadlines import NEVER
from proxy.observe.counts.route_counters import RouteCounters
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.websocket import MessageFilter, SealedMessages

if TYPE_CHECKING:
    from proxy.observe.counts.relay_counters import Traffic

# Close frames are spread over the first half of the drain timeout. So even the last clients have
# time to answer.
_SPREAD: Final = 0.5
_MASK_KEY_BYTES: Final = 4
_UNANSWERED: Final = "a close frame was not answered"


class _TunnelState(Enum):
    OPEN = auto()
    HALF_CLOSED = auto()  # one side has sent a close frame; the other one owes its own
    CLOSING = auto()  # both did, or we sent ours: the client may answer or end; then, over


class TunnelOwner(Protocol):
    """The connection that a tunnel came from."""

    def tunnel_ended(self, tunnel: "Tunnel", reason: str | None) -> None:
        """Called once, with the reason if it was not a proper close."""

    def client_lost(self, error: OSError | None) -> None: ...

    def idle(self, shown: Shown, since: float) -> Idle:
        """The tunnel as one that may make room, by whose it is."""

    def tunnel_stands(self) -> None:
        """Whether the present configuration still allows this tunnel. Raises `NoLongerWelcome`."""


class _Direction(Flow):
    def __init__(self, tunnel: "Tunnel", source: ByteStream, sink: ByteStream, tracker: FrameTracker) -> None:
        super().__init__(tunnel, source, sink)
        self._tunnel = tunnel
        self.tracker = tracker
        self.traffic: Traffic
        self.waiting_close = b""
        """A close frame of ours that waits for the next frame border."""
        self.is_closed = False
        """Whether we sent a close frame to the sink: no byte may follow it."""
        self.filter: MessageFilter | None = None
        """Changes the messages; its output always ends at a frame border."""

    def data_received(self, data: bytes | memoryview) -> None:
        piece = data if isinstance(data, bytes) else bytes(data)
        received = len(piece)
        self.bytes += received
        tracker = self.tracker
        messages = tracker.messages
        try:
            border = tracker.receive_data(piece)
            if tracker.excess:
                piece = piece[: -tracker.excess]
            if self.filter is not None:
                piece = self.filter.receive_data(piece)
                border = len(piece)
        except WebSocketViolation as violation:
            if not self.is_closed and self.filter is None:
                self.sink.write(piece[: violation.border or 0])
            self._tunnel.violated(self, violation)
            return
        except PayloadFault as fault:
            self._tunnel.refused(self, fault.cause)
            return
        finally:
            traffic = self.traffic
            traffic.bytes += received
            traffic.messages += tracker.messages - messages
        if self.waiting_close and border is not None:
            piece = piece[:border] + self.waiting_close
            self.waiting_close = b""
            self.is_closed = True
            self.sink.write(piece)
        elif piece and not self.is_closed:
            self.sink.write(piece)
        self._tunnel.moved(self)

    def close_sink(self, code: CloseCode, reason: str) -> None:
        """Send a close frame of ours to the sink, now or at the next frame border."""
        if self.is_closed or self.waiting_close or self.tracker.close_sent:
            return
        # section 5.3: what goes to a server is masked by an unpredictable key
        mask_key = secrets.token_bytes(_MASK_KEY_BYTES) if self._tunnel.is_from_client(self) else None
        frame = close_frame(code, reason, mask_key)
        if self.filter is not None or self.tracker.at_frame_border:
            self.is_closed = True
            self.sink.write(frame)
        else:
            self.waiting_close = frame

    @property
    def has_closed_sink(self) -> bool:
        """Whether the sink got a close frame: the sender's, or ours."""
        return self.is_closed or self.tracker.close_sent

    def eof_received(self) -> None:
        self._tunnel.finished(self)

    def connection_lost(self, error: OSError | None) -> None:
        self._tunnel.lost(self, error)


class Tunnel(StreamPair):
    """Both directions of one WebSocket. `deadline`: for silence, or a close in progress."""

    def __init__(
        self,
        service: HttpService,
        client: ByteStream,
        upstream: ByteStream,
        extensions: Extensions,
        owner: TunnelOwner,
    ) -> None:
        super().__init__()
        self._service = service
        self._limits = service.runtime.limits
        limits = self._limits.websocket
        self._from_client = _Direction(self, client, upstream, FrameTracker(FrameSender.CLIENT, limits, extensions))
        self._from_upstream = _Direction(self, upstream, client, FrameTracker(FrameSender.SERVER, limits, extensions))
        self._owner: TunnelOwner | None = owner  # None once it is over
        self._state = _TunnelState.OPEN
        self._counters: RouteCounters
        self._flows = True
        """Whether it is open, and no side is blocked.

        Then a message reads nothing of the other direction: 200 tunnels do not fit into the caches,
        and each object that is read costs 20 to 40 ns.
        """
        self._is_shed = False
        self._is_client_finished = False
        self._close_reason: str | None = None
        self.closed: WebSocketClose | None = None
        """How it ended; known when its owner is told."""
        self.deadline = NEVER

    def begin(self, counters: RouteCounters, *, from_client: bytes, from_upstream: bytes) -> None:
        """Start with the bytes that either side sent early; `counters` are the route's."""
        self._counters = counters
        counters.websockets += 1
        counters.websockets_open += 1
        self._from_client.traffic = counters.from_client
        self._from_upstream.traffic = counters.to_client
        self._from_client.source.hand_over(self._from_client)
        self._from_upstream.source.hand_over(self._from_upstream)
        self._service.tunnel_opened(self)
        self._service.deadlines.watch(self)
        self.deadline = self._service.clock() + self._limits.websocket_idle_seconds
        if from_upstream:
            self._from_upstream.data_received(from_upstream)
        if from_client:
            self._from_client.data_received(from_client)

    def encrypt(self, messages: SealedMessages) -> None:
        """Encrypt what goes to the client and decrypt what it sends, from the first message on."""
        self._from_client.filter = messages.filter(FrameSender.CLIENT)
        self._from_upstream.filter = messages.filter(FrameSender.SERVER)

    @property
    def client_bytes(self) -> int:
        return self._from_client.bytes

    @property
    def server_bytes(self) -> int:
        return self._from_upstream.bytes

    @property
    def messages(self) -> tuple[int, int]:
        """Whole messages from the client, and from the upstream."""
        return self._from_client.tracker.messages, self._from_upstream.tracker.messages

    # -- the directions' side

    def is_from_client(self, direction: _Direction) -> bool:
        """Whether the client sends in this direction."""
        return direction is self._from_client

    def side(self, direction: Flow) -> str:
        """Who sends in this direction, for the log."""
        return "the client" if direction is self._from_client else "the upstream"

    def _side(self, direction: Flow) -> ClosedBy:
        return ClosedBy.CLIENT if direction is self._from_client else ClosedBy.SERVER

    def _closes(self, code: int) -> None:
        """We end it, unless another side was first."""
        if self.closed is None:
            self.closed = WebSocketClose(code, ClosedBy.PROXY)

    def moved(self, direction: _Direction) -> None:
        """Bytes arrived: the connection is not idle, and perhaps it is over."""
        if self._flows and not direction.tracker.close_sent:
            self.deadline = self._service.clock() + self._limits.websocket_idle_seconds
            return
        self._flows = False
        if self.closed is None and direction.tracker.close_sent:
            self.closed = WebSocketClose(direction.tracker.close_code or NO_CODE, self._side(direction))
        if self._is_closing:
            if direction is self._from_client and direction.tracker.close_sent:
                self.end(self._close_reason and f"{CLOSED}: {self._close_reason}")  # it has answered our close frame
            return
        client_closes = self._from_client.tracker.close_sent
        upstream_closes = self._from_upstream.tracker.close_sent
        if client_closes and upstream_closes and self._is_client_finished:
            self.end(None)
        elif client_closes and upstream_closes:
            # section 7.1.1: the server ends the connection now; we do not wait if it does not
            self._begin_closing()
        elif (client_closes or upstream_closes) and self._state is _TunnelState.OPEN:
            # section 5.5.1: the other side answers as soon as it can; nothing long comes first
            self._state = _TunnelState.HALF_CLOSED
            self.deadline = self._service.clock() + self._limits.websocket_close_seconds

    @property
    def _is_closing(self) -> bool:
        return self._state is _TunnelState.CLOSING

    def _begin_closing(self) -> None:
        self._state = _TunnelState.CLOSING
        self._flows = False
        self.deadline = self._service.clock() + self._limits.websocket_close_seconds

    def blocked(self, flow: Flow) -> None:
        """One side takes no more bytes: it gets a deadline to continue."""
        super().blocked(flow)
        self._flows = False
        if self._state is _TunnelState.OPEN:
            self.deadline = self._service.clock() + self._limits.write_idle_seconds

    def unblocked(self, flow: Flow) -> None:
        """The side took all bytes."""
        super().unblocked(flow)
        if self._state is _TunnelState.OPEN and not self._blocked:
            self._flows = True
            self.deadline = self._service.clock() + self._limits.websocket_idle_seconds

    def violated(self, direction: _Direction, violation: WebSocketViolation) -> None:
        """One side broke the rules: tell it so, and end both connections."""
        opposite = self._from_upstream if direction is self._from_client else self._from_client
        opposite.close_sink(violation.close_code, violation.reason)
        self._closes(violation.close_code)
        self.end(f"{self.side(direction)} sent {violation}")

    def refused(self, direction: _Direction, cause: Cause) -> None:
        """A message cannot be decrypted or encrypted."""
        if self._owner is not None:  # else the tunnel is over: the first message was refused already
            self._counters.payload_refusals[cause] += 1
        self.violated(direction, WebSocketViolation(CloseCode.POLICY_VIOLATION, cause.reason, None))

    def lost(self, direction: _Direction, error: OSError | None) -> None:
        """A socket is closed; behind its close frame that is no fault (RFC 6455 7.1.1)."""
        if self._owner is not None and direction is self._from_client:
            self._owner.client_lost(error)
        is_orderly = self._is_closing or direction.tracker.close_sent
        self.ended(direction, None if is_orderly else "was lost" if error is None else f"was lost: {error}")

    def finished(self, direction: _Direction) -> None:
        """One side sends no more.

        A client may say so with its close frame: Chromium does, by END_STREAM. It waits for the
        close frame of the server anyway (RFC 6455 section 7.1.5), and sees 1006 without it.
        """
        if direction.tracker.close_sent and direction is self._from_client and not self._is_closing:
            self._is_client_finished = True  # the time for the server's close frame runs
        else:
            self.ended(direction, None if direction.tracker.close_sent else "ended without a close frame")

    def ended(self, direction: _Direction, fault: str | None) -> None:
        """One side sends no more. A client that got a close frame still has time to answer it."""
        owes_answer = self._from_upstream.has_closed_sink and not self._from_client.tracker.close_sent
        if direction is self._from_upstream and owes_answer:
            if not self._is_closing:
                self._begin_closing()
        elif fault is None or self._is_closing:
            self.end(self._close_reason)
        else:
            if self.closed is None:
                self.closed = WebSocketClose(LOST, self._side(direction))
            self.end(f"{self.side(direction)} {fault}")

    # -- ends

    def close(self, code: CloseCode, reason: str) -> None:
        """End both sides properly: a close frame to each, then a bounded wait for the client."""
        if self._is_closing:
            return
        self._begin_closing()
        self._close_reason = reason
        self._closes(code)
        self._from_upstream.close_sink(code, reason)
        self._from_client.close_sink(CloseCode.GOING_AWAY, reason)

    def end(self, reason: str | None) -> None:
        """Close both connections after what was written to them."""
        owner, self._owner = self._owner, None
        if owner is None:
            return
        self._state = _TunnelState.CLOSING
        self._flows = False
        self._closes(LOST)
        self._counters.websockets_open -= 1
        self.deadline = NEVER
        self._service.deadlines.forget(self)
        self._service.connections.closed(self)
        for side in (self._from_client.source, self._from_upstream.source):
            if self._is_shed:  # a peer that does not answer would keep its descriptor
                side.end_at_once()
            else:
                side.end()
        owner.tunnel_ended(self, reason)

    def give_up(self, reason: str) -> None:
        """End at once, with a close frame where one fits."""
        self._from_upstream.close_sink(CloseCode.SERVICE_RESTART, reason)
        self._from_client.close_sink(CloseCode.GOING_AWAY, reason)
        self._closes(CloseCode.SERVICE_RESTART)
        self.end(reason)

    @property
    def idle(self) -> Idle | None:
        """How long it has been silent, to make room for others; None while it ends."""
        owner = self._owner
        if owner is None or self._state is not _TunnelState.OPEN:
            return None
        limits = self._limits
        (sent, received) = self.messages
        since = self.deadline - (limits.write_idle_seconds if self._blocked else limits.websocket_idle_seconds)
        is_silent = not (sent or received) or since < self._service.clock() - QUIET_SECONDS
        return owner.idle(Shown.SILENCE if is_silent else Shown.MESSAGES, since)

    def shed(self) -> None:
        """End at once, to make room for others, with a close frame where one fits.

        1013 says that the client may come again later. 1001 would say that nothing is wrong, and
        1012 that another process is about to serve it.
        """
        self._is_shed = True
        self._from_upstream.close_sink(CloseCode.TRY_AGAIN_LATER, "connection limit reached")
        self._from_client.close_sink(CloseCode.GOING_AWAY, "connection limit reached")
        self._closes(CloseCode.TRY_AGAIN_LATER)
        self.end("closed at a connection limit")

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        """Ask the client to connect again, at a moment of the drain timeout (RFC 6455 7.2.3)."""
        del gently  # a close frame is gentle enough
        self._close_within(seconds, "drained: connect again")

    def configuration_changed(self, seconds: float) -> None:
        """Go on, unless the route is gone or something became stricter."""
        if self._owner is None:
            return
        try:
            self._owner.tunnel_stands()
        except NoLongerWelcome as error:
            self._close_within(seconds, error.reason)

    def _close_within(self, seconds: float, reason: str) -> None:
        delay = random.uniform(0, seconds * _SPREAD)  # noqa: S311 - to spread load, not to hide anything
        self._service.loop.call_later(delay, self.close, CloseCode.SERVICE_RESTART, reason)

    def deadline_passed(self, now: float) -> None:
        """The connection was idle for too long, or a close frame was not answered."""
        del now
        self.deadline = NEVER
        if self._is_closing:
            is_answered = self._from_client.tracker.close_sent
            self.end(self._close_reason or (None if is_answered else _UNANSWERED))
        elif self._state is _TunnelState.HALF_CLOSED:
            self._from_upstream.close_sink(CloseCode.GOING_AWAY, "no answer")
            self._from_client.close_sink(CloseCode.GOING_AWAY, "no answer")
            self.end(_UNANSWERED)
        elif self._blocked:
            self.end(f"{self.side(next(iter(self._blocked)))} takes no more")
        else:
            self.close(CloseCode.GOING_AWAY, "the connection was idle for too long")
