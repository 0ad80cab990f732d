"""One server of an upstream: its connections, its share, and whether it takes requests."""

from asyncio import AbstractEventLoop
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from proxy.figures.snapshot import ServerCounts
from proxy.upstream.pooling.contracts import Tunnelling
from proxy.upstream.pooling.failures import UpstreamFault
from proxy.upstream.pooling.pools import PoolFigures, PoolOwner, PoolSettings
from proxy.upstream.pooling.shares import Shares
from proxy.upstream.pooling.statistics import ServerState, StreamCounts
from proxy.upstream.pooling.waiting import Borrower, WaitingLine
from proxy.upstream.servers.balancing import warmth
from proxy.upstream.servers.ejection import EjectionPolicy, EjectionRecord

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from collections.abc import Callable

# WebSockets that outlast the drain of their server are closed within this many seconds, one by one,
# because their clients all connect to the other servers then.
_CLOSING_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class ServerRules:
    """The settings of one server that can change while it serves (`PoolSettings` cannot)."""

    weight: int
    slow_start_seconds: float
    ejection: EjectionPolicy
    websockets: int
    """Of a server of TCP: connections."""


class ServerConnections(Protocol):
    """The connections to a server: a `Pool`."""

    owner: PoolOwner
    requests: int
    """All requests that ever asked for a connection."""

    @property
    def has_websockets(self) -> bool:
        """Whether its tunnels are WebSockets, and not connections of TCP."""

    @property
    def http2(self) -> StreamCounts: ...

    @property
    def line(self) -> WaitingLine: ...

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> PoolSettings: ...

    @property
    def exchanges(self) -> int: ...

    def figures(self) -> PoolFigures:
        """How many connections and requests there are now."""

    def acquire(self, borrower: Borrower) -> None:
        """Lend a connection, now or later, or refuse."""

    def close_idle(self) -> None:
        """Close what no exchange uses."""


class Server:
    """A `balancing.Candidate`."""

    def __init__(self, connections: ServerConnections, rules: ServerRules, loop: AbstractEventLoop) -> None:
        """It is up, and warm. Owns its connections."""
        self.connections: Final = connections
        connections.owner = self
        self.name = connections.name
        self.acquire: Final = connections.acquire  # bound once, as each request is lent its connection by it
        self.close_idle: Final = connections.close_idle
        self._loop: Final = loop
        self._clock: Final = loop.time
        self.changed: Callable[[], None] = _unheard
        """Called when `may_be_chosen` or `is_ejected` may have changed."""
        self.share = float(rules.weight)
        self.credit = 0.0
        self.is_down = False
        self._rules = rules
        self._record = EjectionRecord(rules.ejection)
        self._ejection_over: TimerHandle | None = None
        self._warm_since: float | None = None
        self.is_draining = False
        self.drain_ends_at = 0.0
        """Loop time. It counts only while the server is draining."""
        self._is_retired = False
        self._drain_over: TimerHandle | None = None
        self._closes_tunnels = False
        self.tunnels: set[Tunnelling] = set()
        self.places = Shares(rules.websockets)
        """Those that tunnels take, by client."""
        self.failures = 0

    def __repr__(self) -> str:
        return f"<Server {self.name} {self.connections.figures()}>"

    # -- choice

    @property
    def load(self) -> int:
        """Exchanges in flight or waiting, and WebSockets."""
        return self.connections.exchanges + len(self.tunnels)

    @property
    def may_be_chosen(self) -> bool:
        """Whether it takes new requests, as far as checks and the operator say."""
        return not (self.is_down or self.is_draining)

    @property
    def is_ejected(self) -> bool:
        """Whether it failed too many requests."""
        return self._record.is_ejected

    @property
    def is_unreachable(self) -> bool:
        """Whether it was ejected because connecting failed."""
        return self.is_ejected and self._record.is_unreachable

    @property
    def state(self) -> ServerState:
        """The state for `status`: what the operator wants comes first, then what checks say."""
        if self.is_draining:
            return ServerState.DRAINING if self.load else ServerState.DRAINED
        if self.is_down:
            return ServerState.DOWN
        if self.is_ejected:
            return ServerState.EJECTED
        return ServerState.UP if self._warm_since is None else ServerState.SLOW_START

    def statistics(self, upstream: str) -> ServerCounts:
        connections = self.connections
        now = self.connections.figures()
        return {
            "upstream": upstream,
            "server": self.name,
            "state": self.state,
            "open": now.open if connections.has_websockets else len(self.tunnels),
            "idle": now.idle,
            "dialling": now.dialling,
            "waiting": now.waiting,
            "requests": connections.requests,
            "websockets": len(self.tunnels) if connections.has_websockets else 0,
            "failures": self.failures,
            "ejections": self._record.count,
            "wait_seconds": connections.line.wait_seconds,
            "streams_open": now.streams,
            "http2_requests": connections.http2.requests,
            "http2_goaways": connections.http2.goaways,
            "http2_refused": connections.http2.refused,
        }

    def follow(self, rules: ServerRules) -> None:
        """Continue by the rules of a new configuration; all counts stay."""
        self._rules = rules
        self._record.policy = rules.ejection
        self.places.resize(rules.websockets)
        self.warm(self._clock())

    def succeed(self, other: "Server") -> None:
        """Replace a server at the same address with other settings: keep its state and figures."""
        self.is_down = other.is_down
        self.tunnels = other.tunnels  # the same: a drain is for those too
        self.places = other.places
        self.places.resize(self._rules.websockets)
        self.failures = other.failures
        ours = self.connections
        theirs = other.connections
        ours.requests = theirs.requests
        ours.line.wait_seconds = theirs.line.wait_seconds
        ours.http2.follow(theirs.http2)
        if other.is_draining:
            self.drain(max(0.0, other.drain_ends_at - self._clock()))
            other.undrain()

    def begin_slowly(self) -> None:
        """It is new, or back: give it little at first."""
        if self._rules.slow_start_seconds > 0:
            self._warm_since = self._clock()
        self.warm(self._clock())

    def warm(self, now: float) -> bool:
        """Settle its share. Returns whether the share still grows."""
        self.share = float(self._rules.weight)
        if self._warm_since is None:
            return False
        part = warmth(now - self._warm_since, self._rules.slow_start_seconds)
        if part >= 1.0:
            self._warm_since = None
            return False
        self.share *= part
        return True

    # -- checks, failures and drains

    def check_told(self, *, is_up: bool) -> None:
        if self.is_down is is_up:
            self.is_down = not is_up
            if is_up:
                self.begin_slowly()
            else:
                self.close_idle()
            self.changed()

    def answered_badly(self) -> None:
        """It answered with a status of class 5xx."""
        self._leave_out(self._record.answered_badly(self._clock()))

    def failed_a_request(self) -> None:
        """It sent no response, an incomplete one, or a malformed one."""
        self.failures += 1
        self.answered_badly()

    def _leave_out(self, seconds: float) -> None:
        if seconds:
            self._ejection_over = self._loop.call_later(seconds, self._end_ejection)
            self.changed()

    def _end_ejection(self) -> None:
        self._ejection_over = None
        self._record.end()
        self.begin_slowly()
        self.changed()

    def drain(self, seconds: float) -> None:
        """Take no new requests. WebSockets stay for `seconds`, then close one after the other."""
        self.is_draining = True
        self.drain_ends_at = self._clock() + seconds
        self.close_idle()
        if self._drain_over is not None:
            self._drain_over.cancel()
        self._drain_over = self._loop.call_later(seconds, self._close_tunnels, min(seconds, _CLOSING_SECONDS))
        self.changed()

    def undrain(self) -> None:
        """Take requests again; WebSockets that were asked to close still do."""
        if self.is_draining:
            self.is_draining = False
            self._closes_tunnels = False
            if self._drain_over is not None:
                self._drain_over.cancel()
                self._drain_over = None
            self.begin_slowly()
            self.changed()

    def _close_tunnels(self, seconds: float) -> None:
        self._drain_over = None
        self._closes_tunnels = True
        for tunnel in list(self.tunnels):
            tunnel.drain(seconds)

    def retire(self) -> None:
        """The configuration has it no more: work in flight continues, idle connections close."""
        self._is_retired = True
        self.changed = _unheard
        if self._ejection_over is not None:
            self._ejection_over.cancel()
        self.close_idle()  # a drain continues: some WebSockets may still be open

    # -- WebSockets

    def tunnel_opened(self, tunnel: Tunnelling) -> None:
        """A connection became a WebSocket: it is load until it ends, and a drain closes it."""
        self.tunnels.add(tunnel)
        if self._closes_tunnels:  # its request came before the drain
            tunnel.drain(0.0)

    def tunnel_ended(self, tunnel: Tunnelling) -> None:
        self.tunnels.discard(tunnel)

    # -- the pool's side

    @property
    def keeps_idle(self) -> bool:
        return not (self.is_down or self.is_draining or self._is_retired)

    def dialled(self, fault: UpstreamFault | None) -> None:
        if fault is None:
            self._record.connected()
        elif fault is not UpstreamFault.NO_ROOM:  # that one is ours
            self.failures += 1
            self._leave_out(self._record.connect_failed(self._clock()))


def _unheard() -> None:
    """There is no upstream yet that wants to know."""
