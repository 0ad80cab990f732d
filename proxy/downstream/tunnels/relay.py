"""Bytes that go both ways between a client and a server, until both have ended their direction.

Theory of operation. What one side sends is written to the other in the same turn. If a side takes
no more, the reading of the other is paused, so at most one read waits here for each direction. A
blocked side has to keep the pace that a reader of a response has to keep (`limits.pace`).

*Ends.* If a side ends its direction properly, the other is told so and may continue (half-closed),
as long as it does not fall silent. A side that is lost, or whose TLS ends without a close_notify,
is passed on as a cut: what it sent must not look complete (RFC 8446 section 6.1). In a drain
the client gets its end first. What it sends until it closes still arrives; what the server sends
meanwhile is dropped, as the client would not read it.
"""

import random
from typing import Final, Protocol

from proxy.downstream.service.relay_rules import RelayRules
from proxy.downstream.service.service import HttpService
from proxy.downstream.tunnels.flow import Flow, StreamPair
from proxy.limits.pace import ReaderPace
from proxy.limits.reasons import RelayEnd
from proxy.net.byte_stream import TwoWayStream
from proxy.net.deadlines import NEVER
from proxy.observe.counts.relay_counters import Traffic

# As for WebSockets: even the last clients have time to close.
_SPREAD: Final = 0.5
# In a drain: what a client that was told the end still sends. It is on its way already.
_LAST_BYTES_SECONDS: Final = 5.0


class RelayOwner(Protocol):
    """The connection that a relay belongs to."""

    def relay_ended(self, end: RelayEnd, detail: str | None) -> None:
        """Called once; `detail` is a sentence about the end, where there is more to say."""

    def client_lost(self, error: OSError | None) -> None: ...


class _RelayedDirection(Flow):
    """One direction. It is also what a pace measures: how much its source takes."""

    opposite: "_RelayedDirection"

    def __init__(self, relay: "Relay", source: TwoWayStream, sink: TwoWayStream, traffic: Traffic) -> None:
        super().__init__(relay, source, sink)
        self._relay = relay
        self.stream: Final = source
        self.traffic: Final = traffic
        self.is_ended = False
        """Whether the source has ended its direction."""
        self.is_muted = False
        """Whether our direction to the sink is ended: what still comes goes nowhere."""
        self.pace: ReaderPace | None = None
        """That of a source which takes no more."""

    def data_received(self, data: bytes | memoryview) -> None:
        piece = data if isinstance(data, bytes) else bytes(data)
        received = len(piece)
        self.bytes += received
        self.traffic.bytes += received
        if not self.is_muted:
            self.sink.write(piece)
        self._relay.moved()

    def eof_received(self) -> None:
        self._relay.ended(self)

    def connection_lost(self, error: OSError | None) -> None:
        self._relay.lost(self, error)

    def resume_writing(self) -> None:
        if not self.opposite.is_ended:
            self.sink.resume_reading()
        self._relay.unblocked(self)

    @property
    def waiting_bytes(self) -> int:
        """What the source has not taken."""
        return self.stream.waiting_bytes

    @property
    def written_bytes(self) -> int:
        return self.opposite.bytes


class Relay(StreamPair):
    """Both directions. `deadline`: for silence, a blocked side, or an end in progress."""

    def __init__(
        self,
        service: HttpService,
        rules: RelayRules,
        client: TwoWayStream,
        server: TwoWayStream,
        traffic: tuple[Traffic, Traffic],
        owner: RelayOwner,
    ) -> None:
        """Take over two streams. `traffic` counts the bytes from the client, and those to it."""
        super().__init__()
        self._service = service
        self._clock = service.clock
        self.rules = rules
        self._owner: RelayOwner | None = owner
        self._from_client = _RelayedDirection(self, client, server, traffic[0])
        self._from_server = _RelayedDirection(self, server, client, traffic[1])
        self._from_client.opposite = self._from_server
        self._from_server.opposite = self._from_client
        self._flows = True
        """Whether bytes extend the deadline: no side is blocked, and no end is in progress."""
        self._patience = rules.idle_seconds
        self._blocked_at = 0.0
        self._closing: RelayEnd | None = None
        self._closing_detail: str | None = None
        self.deadline = NEVER

    def begin(self, early: bytes, *, has_ended: bool) -> None:
        """Start with what the client sent early, and perhaps its end."""
        client = self._from_client.stream
        server = self._from_server.stream
        client.hand_over(self._from_client)
        server.hand_over(self._from_server)
        self._service.deadlines.watch(self)
        self.deadline = self._clock() + self._patience
        server.resume_reading()
        if early:
            self._from_client.data_received(early)
        if has_ended:
            self.ended(self._from_client)
        elif self._from_server not in self._blocked:
            client.resume_reading()

    @property
    def client_bytes(self) -> int:
        return self._from_client.bytes

    @property
    def server_bytes(self) -> int:
        return self._from_server.bytes

    @property
    def silent_since(self) -> float | None:
        """Since when no side has sent or taken anything; None while it ends."""
        if self._closing is not None or self._owner is None:
            return None
        return self.deadline - self._patience if self._flows else self._blocked_at

    def follow(self, rules: RelayRules) -> None:
        """Go on by the rules of a new configuration."""
        self.rules = rules
        is_half_closed = self._from_client.is_ended or self._from_server.is_ended
        self._patience = rules.half_closed_seconds if is_half_closed else rules.idle_seconds
        self.moved()

    # -- the directions' side

    def moved(self) -> None:
        """Bytes arrived: the connection is not idle."""
        if self._flows:
            self.deadline = self._clock() + self._patience

    def blocked(self, flow: Flow) -> None:
        """A side takes no more: from the next sweep on its pace is measured."""
        super().blocked(flow)
        self._flows = False
        if self._closing is None:
            self.deadline = self._blocked_at = self._clock()

    def unblocked(self, flow: Flow) -> None:
        """A side took all bytes."""
        super().unblocked(flow)
        for one in (self._from_client, self._from_server):
            if one is flow and one.pace is not None:
                one.pace.end(self._clock())
        if not self._blocked and self._closing is None:
            self._flows = True
            self.deadline = self._clock() + self._patience

    def ended(self, direction: _RelayedDirection) -> None:
        """A side sends no more. The stream may say so again after a pause."""
        if self._owner is None or direction.is_ended:
            return
        direction.is_ended = True
        if direction.stream.was_truncated:
            # a client that has read the end of the server's words often leaves so
            self._cut(direction, "its TLS ended without a close_notify", is_fault=not direction.opposite.is_ended)
        elif self._closing is not None:
            self._end(self._closing, self._closing_detail)
        elif direction.opposite.is_ended:
            self._end(RelayEnd.CLOSED)
        else:
            direction.is_muted = True
            direction.opposite.stream.end_writing()
            self._patience = self.rules.half_closed_seconds
            self.moved()

    def lost(self, direction: _RelayedDirection, error: OSError | None) -> None:
        """The connection of a side is gone."""
        if self._owner is not None:
            if direction is self._from_client:
                self._owner.client_lost(error)
            self._cut(direction, "it was closed" if error is None else str(error))

    # -- ends

    def _cut(self, direction: _RelayedDirection, detail: str, *, is_fault: bool = True) -> None:
        """Pass on that a side is gone before it had ended."""
        direction.stream.abort()
        direction.opposite.stream.cut()
        lost = RelayEnd.CLIENT_LOST if direction is self._from_client else RelayEnd.SERVER_LOST
        if is_fault and self._closing is None:
            self._over(lost, detail)
        else:
            self._over(self._closing or RelayEnd.CLOSED, self._closing_detail)

    def _end(self, end: RelayEnd, detail: str | None = None) -> None:
        """Close both connections behind what was written to them."""
        self._from_client.stream.end()
        self._from_server.stream.end()
        self._over(end, detail)

    def _over(self, end: RelayEnd, detail: str | None) -> None:
        owner, self._owner = self._owner, None
        self._flows = False
        self.deadline = NEVER
        self._service.deadlines.forget(self)
        if owner is not None:
            owner.relay_ended(end, detail)

    def close(self, end: RelayEnd, detail: str | None = None) -> None:
        """End the direction to the client, and wait a short time for the client's last bytes."""
        if self._owner is None or self._closing is not None:
            return
        if self._from_client.is_ended:
            self._end(end, detail)
            return
        self._closing = end
        self._closing_detail = detail
        self._flows = False
        self.deadline = self._clock() + _LAST_BYTES_SECONDS
        if not self._from_server.is_muted:
            self._from_server.is_muted = True
            self._from_client.stream.end_writing()

    def close_within(self, seconds: float, end: RelayEnd, detail: str | None = None) -> None:
        """Close at some moment within a part of `seconds`."""
        delay = random.uniform(0, seconds * _SPREAD)  # noqa: S311 - to spread load, not to hide anything
        self._service.loop.call_later(delay, self.close, end, detail)

    def give_up(self, end: RelayEnd, detail: str | None = None) -> None:
        """End at once, behind what was written."""
        if self._owner is not None:
            self._end(end, detail)

    def shed(self) -> None:
        """Close at once: others need the room."""
        if self._owner is not None:
            self._from_client.stream.abort()
            self._from_server.stream.abort()
            self._over(RelayEnd.SHED, None)

    def deadline_passed(self, now: float) -> None:
        """Both sides were silent for too long, one takes no more, or an end is in progress."""
        if self._closing is not None:
            self._end(self._closing, self._closing_detail)
        elif self._blocked:
            self._look_at_readers(now)
        elif self._from_client.is_ended or self._from_server.is_ended:
            self._end(RelayEnd.HALF_CLOSED)
        else:
            self._end(RelayEnd.IDLE)

    def _look_at_readers(self, now: float) -> None:
        limits = self._service.runtime.limits
        deadline = NEVER
        for one in (self._from_client, self._from_server):
            if one in self._blocked:
                if one.pace is None:
                    one.pace = ReaderPace(one, limits.response_bytes_per_second, limits.write_idle_seconds)
                deadline = min(deadline, one.pace.look(now))
                if deadline <= now:
                    self._stuck(one)
                    return
        self.deadline = deadline

    def _stuck(self, direction: _RelayedDirection) -> None:
        """A side takes no more: neither end can be told properly."""
        direction.stream.abort()
        direction.opposite.stream.cut()
        self._over(RelayEnd.CLIENT_STUCK if direction is self._from_client else RelayEnd.SERVER_STUCK, None)
