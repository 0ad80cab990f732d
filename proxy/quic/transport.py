"""One QUIC connection of a client: its datagrams, its timer and its end.

Theory of operation. libngtcp2 decides everything about packets (`_native`). A datagram is read when
it comes; what it means waits as events until the datagrams of this turn are read. Then the owner
acts, and what is to be sent goes out, as much as congestion control allows now. The rest goes when
acknowledgements come or the timer fires: one timer for each connection, which is changed only to
fire earlier.

After an end the connection IDs stay known for three times the probe timeout (RFC 9000 section
10.2): a client that has missed our last packet gets it again, for its 1st, 2nd, 4th, 8th packet.
One that has not begun is forgotten at once: the client tries again with the same ID.
"""

from asyncio import AbstractEventLoop, TimerHandle
from socket import SocketType
from typing import TYPE_CHECKING, Final, Protocol

from proxy.net.byte_stream import NO_OWNER, StreamOwner
from proxy.quic.events import QuicEvent
from proxy.quic.faults import QuicFault, fault_of
from proxy.quic.library import native

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_extensions import i64

    from proxy.quic._native import Connection
    from proxy.quic.events import QuicEventTuple

# ngtcp2.h: ends without a packet.
_ERR_DRAINING: Final = -224
ERR_RETRY: Final = -231
"""A client has to show its address: the first of its packets is missing."""
_ERR_DROP_CONN: Final = -232
_ERR_IDLE_CLOSE: Final = -238
_SILENT: Final = frozenset({ERR_RETRY, _ERR_DRAINING, _ERR_DROP_CONN, _ERR_IDLE_CLOSE})
_NOT_BEGUN: Final = frozenset({ERR_RETRY, _ERR_DROP_CONN})
_CLOSING_PERIODS: Final = 3.0
_NO_ERROR: Final = 0x100
_INTERNAL_ERROR: Final = 0x102
# A timer that would fire this much earlier stays as it is.
_EARLY_ENOUGH_SECONDS: Final = 0.0005


class Router(Protocol):
    """Knows which connection a packet is for."""

    def route(self, connection_id: bytes, transport: "QuicTransport") -> None:
        """Packets for this ID are for the connection from now on."""

    def forget(self, connection_id: bytes) -> None: ...


class CryptoReader(Protocol):
    """Reads what the client says in CRYPTO frames: its handshake."""

    def crypto_received(self, level: int, data: bytes) -> None:
        """Bytes of an encryption level: 0 (Initial), 2 (Handshake), 3 (1-RTT)."""

    def run_steps(self) -> None: ...

    def connection_lost(self, error: OSError | None) -> None:
        """The connection has ended before its handshake."""

    def broken(self, sentence: str) -> None:
        """The same, for what the client did wrong."""


class QuicTransport:
    """A `pipeline.contracts.ClientStream` without bytes: `Http3Session` reads its events."""

    was_truncated: Final = False
    native: "Connection"

    def __init__(self, loop: AbstractEventLoop, sock: SocketType, router: Router) -> None:
        self._loop: Final = loop
        self._sock: Final = sock
        self._router: Final = router
        self.reads_on = False
        self.owner: StreamOwner[bytes] = NO_OWNER
        self.crypto: CryptoReader | None = None
        self.closed: Callable[[], None] | None = None
        """Called when the connection has ended, for counts of connections."""
        self.close_code = _NO_ERROR
        """The code of HTTP/3 that tells a client why we end the connection."""
        self.fault: QuicFault | None = None
        """What the client did wrong, if that ends the connection."""
        self._error = 0
        self._ids: set[bytes] = set()
        self._events: list[QuicEventTuple] = []
        self._sent_events: list[QuicEventTuple] = []
        self._timer: TimerHandle | None = None
        self._fires_at = 0.0
        self._is_busy = False
        self._wants_end = False
        self._has_turn = False
        self.is_over = False
        self._last_packet = b""
        self._late_packets = 0

    def use(self, connection: "Connection", original_id: bytes) -> None:
        """Begin. `original_id` is the one that the client has made up for its first packets."""
        self.native = connection
        self._add_id(original_id)
        self._add_id(connection.own_id())

    def _add_id(self, connection_id: bytes) -> None:
        self._ids.add(connection_id)
        self._router.route(connection_id, self)

    # -- datagrams

    def received(self, data: bytes, local: bytes, remote: bytes, ecn: int) -> int:
        """Read a datagram; returns an error of ngtcp2, or 0.

        `turn` comes when those of this turn are read.
        """
        if self.is_over:
            self._answer_late(local, remote)
            return 0
        if self.fault is not None:
            return 0
        self._is_busy = True
        try:
            error = self.native.receive(data, local, remote, ecn)
        finally:
            self._is_busy = False
        if error:
            self.refuse(error)
        return error

    def _answer_late(self, local: bytes, remote: bytes) -> None:
        self._late_packets += 1
        if self._last_packet and self._late_packets & (self._late_packets - 1) == 0:
            self._send_last(local, remote)

    def turn(self) -> None:
        """Act on what came, and send what is to be sent."""
        if self.is_over:
            return
        self._take_native_events(self._events)
        if self.crypto is not None:
            self.crypto.run_steps()
        if self._wants_end:
            self._end_now()
        elif self.owner is not NO_OWNER:
            self.owner.data_received(b"")  # it sends as well
        else:
            self.transmit()

    def _take_native_events(self, to: "list[QuicEventTuple]") -> None:
        for event in self.native.take_events():
            kind: i64 = event[0]
            if kind == QuicEvent.ID_MADE:
                self._add_id(event[1])
            elif kind == QuicEvent.ID_GONE:
                self._ids.discard(event[1])
                self._router.forget(event[1])
            else:
                to.append(event)

    def take_events(self) -> "list[QuicEventTuple]":
        events, self._events = self._events, []
        return events

    def take_sent(self) -> "list[QuicEventTuple]":
        """What the last `transmit` has done to streams."""
        events, self._sent_events = self._sent_events, []
        return events

    def crypto_received(self, level: int, data: bytes) -> None:
        """Called from the middle of a packet (`_native`)."""
        if self.crypto is not None:
            self.crypto.crypto_received(level, data)
            self.crypto.run_steps()

    # -- sending

    def transmit(self) -> None:
        """Send what may be sent now, and set the timer."""
        if self.is_over or self._is_busy:
            return
        error, has_more = self.native.transmit(self._sock)
        self._take_native_events(self._sent_events)
        if error:
            self.refuse(error)
            return
        self._set_timer()
        if has_more:
            self.turn_soon()

    def hold(self) -> None:
        """Send nothing yet: what waits goes with what follows soon, or when the timer fires.

        It fires when an acknowledgement is due, so this is for a turn that brought something to
        acknowledge (RFC 9000 section 13.2.1).
        """
        if not self.is_over:
            self._set_timer()

    def turn_soon(self) -> None:
        """Have a turn in the next turn of the loop."""
        if not self._has_turn:
            self._has_turn = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._has_turn = False
        self.turn()

    def _set_timer(self) -> None:
        seconds = self.native.expiry()
        due = self._loop.time() + seconds
        if self._timer is not None:
            if self._fires_at - due < _EARLY_ENOUGH_SECONDS:
                return
            self._timer.cancel()
        self._fires_at = due
        self._timer = self._loop.call_later(seconds, self._expired)

    def _expired(self) -> None:
        self._timer = None
        if self.is_over:
            return
        if self.native.expiry() > 0.0:
            self._set_timer()
            return
        error = self.native.expired()
        if error:
            self.refuse(error)
        if not self.is_over:
            self.turn()

    # -- the end

    def refuse(self, error: int) -> None:
        """End for an error of ngtcp2: what the client said, or that it said nothing."""
        if error in _SILENT:
            self._error = error
            self._over(None)
            return
        self._error = error
        self.fault = fault_of(error)
        if self.owner is NO_OWNER:
            self._wants_end = True
            self._loop.call_soon(self._end_now)
        else:
            self.turn_soon()

    @property
    def held_bytes(self) -> int:
        return 0

    @property
    def waiting_bytes(self) -> int:
        return 0 if self.is_over else self.native.unacked

    def hand_over(self, owner: StreamOwner[bytes]) -> None:
        self.owner = owner

    # a session of HTTP/3 has no bytes of its own, and windows hold a client back

    def write(self, data: bytes | memoryview) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def end(self) -> None:
        """Close, and tell the client why by `close_code`."""
        if not self.is_over:
            self._wants_end = True
            self._loop.call_soon(self._end_now)

    def end_at_once(self) -> None:
        self.end()

    def abort(self) -> None:
        self.end()

    def cut(self) -> None:
        """Close so that the client sees that something is missing."""
        if self.close_code == _NO_ERROR:
            self.close_code = _INTERNAL_ERROR
        self.end()

    def drop(self) -> None:
        self._over(None)

    def _end_now(self) -> None:
        if self.is_over or self._is_busy:
            return
        self._last_packet = self.native.close(self._error, self.close_code)
        local, remote = self.native.path()
        self._send_last(local, remote)
        self._over(None)

    def _send_last(self, local: bytes, remote: bytes) -> None:
        if self._last_packet:
            native().send(self._sock, self._last_packet, local, remote)

    def _over(self, error: OSError | None) -> None:
        if self.is_over:
            return
        self.is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._error in _NOT_BEGUN:
            self._forget()
        else:
            self._loop.call_later(_CLOSING_PERIODS * self.native.pto(), self._forget)
        self._loop.call_soon(self._let_go, error)

    def _let_go(self, error: OSError | None) -> None:
        """Tell the owner, outside of all calls of the connection."""
        owner, self.owner = self.owner, NO_OWNER
        crypto, self.crypto = self.crypto, None
        if crypto is not None and self.fault is not None:
            crypto.broken(self.fault.sentence)
        elif crypto is not None:
            crypto.connection_lost(error)
        owner.connection_lost(error)
        self.native.free()
        if self.closed is not None:
            self.closed()
            self.closed = None

    def _forget(self) -> None:
        for one in self._ids:
            self._router.forget(one)
        self._ids.clear()
