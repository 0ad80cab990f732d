"""What all HTTP connections of a loop share, and what follows from one configuration."""

import asyncio
import secrets
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from itertools import islice
from time import perf_counter
from typing import Final, Protocol

from proxy.downstream.admission import RouteTarget
from proxy.downstream.maintenance import ClosedRoutes
from proxy.downstream.relay_rules import RelayRules
from proxy.downstream.request_body import BodyLimits
from proxy.downstream.response_buffer import BufferLimits, ResponseBudget
from proxy.downstream.shared_work import SharedWork
from proxy.downstream.slow_work import Computing, SlowWork
from proxy.downstream.spool import Spool
from proxy.downstream.tunnel_places import TunnelPlaces
from proxy.downstream.unread_answers import UnreadAnswers
from proxy.http.head import HeadLimits
from proxy.http.routing import RouteTable
from proxy.http.via import OwnVia
from proxy.http.websocket import WebSocketLimits
from proxy.http2.limits import SessionLimits
from proxy.limits.idleness import LEAST_IDLE_SECONDS, Idle, Shown, first_to_go
from proxy.limits.reasons import ConnectionReason
from proxy.limits.shared import SharedTable
from proxy.net.deadlines import Deadlines
from proxy.observe.access_log import RequestRecord
from proxy.observe.counters import Counters
from proxy.observe.events.clients import ConnectionCut, PageTokenWrong
from proxy.observe.events.process import SpoolFailed
from proxy.observe.events.relays import PassthroughClosed, TcpClosed
from proxy.routes.error_pages import ErrorPages
from proxy.tls.handshake_policy import HandshakePolicy
from proxy.upstream.upstream import Upstream

_BYTES_IN_HEX: Final = tuple(b"%02x" % number for number in range(256))
_ERRORS: Final = 400
# They are counted four times a second while a limit on connections is near: for a millisecond or
# two.
_MOST_COUNTED: Final = 2_000
# Looking at one connection takes a few microseconds. If the authorities of clients have changed, a
# certificate is verified again: that takes 0.2 ms with ECDSA and 1 ms with ML-DSA.
_REVIEW_SECONDS: Final = 0.001


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits on what clients may send and how long they may take; seconds and bytes."""

    head_bytes: int
    head: HeadLimits
    bodies: BodyLimits
    pipelined_bytes: int
    head_seconds: float
    keep_alive_seconds: float
    body_idle_seconds: float
    write_idle_seconds: float
    body_bytes_per_second: int
    response_bytes_per_second: int
    response_buffer: BufferLimits
    websocket: WebSocketLimits
    websocket_idle_seconds: float
    websocket_close_seconds: float
    http2: SessionLimits


@dataclass(frozen=True, slots=True)
class HttpRuntime:
    """What one configuration says about requests. Each request is judged by the current one."""

    routes: RouteTable[RouteTarget]
    limits: HttpLimits
    logs_query: bool
    """Whether the log has the queries of targets."""
    policies: Mapping[str, HandshakePolicy] = field(default_factory=dict)
    """What each listener demands of the connections on it."""
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    error_pages: ErrorPages | None = None
    """For errors of requests that no route takes."""
    relays: Mapping[str, RelayRules] = field(default_factory=dict)
    """What each listener does with connections that are not read as HTTP."""
    log_fields: tuple[str, ...] = ()
    """Further fields of a line of the log, as the configuration has them."""
    logs_wire_bytes: bool = False
    """Whether a line has the bytes that came and went on the socket."""
    log_samples: Mapping[str, int] = field(default_factory=dict)
    """Of these routes one in so many successes is logged."""
    logs_websocket_opens: bool = False
    """Whether the log has a line when a WebSocket opens."""


def _unwritten(_event: ConnectionCut | TcpClosed | PassthroughClosed | PageTokenWrong | SpoolFailed) -> None:
    pass


def _uncounted(_listener: str, _reason: ConnectionReason, _client: bytes) -> None:
    pass


@dataclass(frozen=True, slots=True)
class RequestLedger:
    """Where requests are written down: the log, the figures, and the rates of all workers."""

    log: Callable[[RequestRecord], None]
    """Writes a line about a request, which is counted already."""
    counters: Counters
    shared: SharedTable
    log_cut: Callable[[ConnectionCut], None] = _unwritten
    log_relay: Callable[[TcpClosed | PassthroughClosed], None] = _unwritten
    log_guesses: Callable[[PageTokenWrong], None] = _unwritten
    count_shed: Callable[[str, ConnectionReason, bytes], None] = _uncounted
    """Counts tunnels that made room: listener, reason and client."""
    log_spool: Callable[[SpoolFailed], None] = _unwritten


class Drainable(Protocol):
    """A connection that the process can ask to end."""

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        """Finish what is under way, start nothing new, then close.

        A WebSocket is closed at some moment within `seconds`. If gently, an idle connection may
        still have one request answered, so that no request is lost on its way.
        """

    def give_up(self, reason: str) -> None:
        """End at once; `reason` is for the log."""

    def configuration_changed(self, seconds: float) -> None:
        """Continue under the new configuration.

        Drain within `seconds` if it does not allow this connection.
        """


class Sheddable(Drainable, Protocol):
    """A connection that can end at once while it waits for its client, to make room for others.

    Or a WebSocket, which can do so at any time.
    """

    @property
    def idle(self) -> Idle | None:
        """How idle it is while it waits for its client; None while it has work to do."""

    def shed(self) -> None:
        """End one that is not None there at once."""


class HttpService:
    """Shared by all connections of one loop."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        deadlines: Deadlines,
        runtime: HttpRuntime,
        ledger: RequestLedger,
        wall_clock: Callable[[], float],
    ) -> None:
        """`wall_clock` gives UNIX seconds, for logs and `Date` only."""
        self.loop = loop
        self.clock = loop.time
        # the loop's clock stands still during a turn and counts whole milliseconds: too coarse for
        # the log
        self.stopwatch = perf_counter
        self.deadlines = deadlines
        self.runtime = runtime
        self.maintenance: ClosedRoutes | None = None
        """The routes that are out of service under every configuration. None if there are none."""
        self._changed_within: float | None = None
        """In how many seconds connections end that the configuration does not allow any more.

        None if it is the first one.
        """
        self._log: Final = ledger.log
        self._sampled: dict[str | None, int] = {}
        self.log_cut = ledger.log_cut
        self.log_relay = ledger.log_relay
        self.log_guesses = ledger.log_guesses
        self.wall_clock = wall_clock
        self.counters = ledger.counters
        self.shared = ledger.shared
        self.via: Final = OwnVia(self.shared.pseudonym)
        """How all workers of this start are known to servers."""
        self.slow_work: Computing = SlowWork(loop)
        self.shared_work = SharedWork(self.slow_work)
        self.response_budget = ResponseBudget()
        self.tunnel_places: Final = TunnelPlaces(loop.time, loop.call_soon, ledger.count_shed)
        self.spool = Spool(loop, self.clock, self._spool_failed)
        self._log_spool: Final = ledger.log_spool
        self.unread_answers = UnreadAnswers(
            deadlines, self.clock, loop.call_soon, self.spool, self.response_budget, runtime.limits.response_buffer
        )
        # by the key for `closed`: a connection does not know its entry here
        self._connections: dict[object, Sheddable] = {}
        self._tunnels: dict[object, Sheddable] = {}
        self._quiet = asyncio.Event()
        self.is_draining = False
        self._drain_ends_at = 0.0
        self._drains_gently = False
        # the prefix makes them unique over processes and restarts, the number within one process
        self._id_prefix = secrets.token_hex(8).encode()
        self._ids = 0
        self._id_start = b""
        self._date = b""
        self._date_second = 0

    def rows(self) -> dict[str, list[dict[str, int]]]:
        """The figures of what waits for slow clients, for `merging`."""
        return {**self.response_budget.rows(), **self.unread_answers.budget.rows()}

    def _spool_failed(self, error: OSError) -> None:
        self._log_spool(SpoolFailed(error.strerror or type(error).__name__))

    def use_spool(self, directories: Iterable[str]) -> None:
        """Spool in the first of these directories that takes a file, if there is to be a spool."""
        if self.runtime.limits.response_buffer.spooled and not self.spool.is_open:
            error = self.spool.open_in(directories)
            if error is not None:
                self._spool_failed(error)

    def opened(self, key: object, connection: Sheddable) -> None:
        """Count a connection in, until `closed` is told the key."""
        self._connections[key] = connection
        self._drain_late(connection)

    def tunnel_opened(self, tunnel: Sheddable) -> None:
        """Count a WebSocket in."""
        self._tunnels[tunnel] = tunnel
        self._drain_late(tunnel)
        # either may have come while the server, or an authorization server, was asked
        if self._changed_within is not None:
            tunnel.configuration_changed(self._changed_within)
        elif self.maintenance is not None:
            tunnel.configuration_changed(self.maintenance.drain_seconds)

    def _drain_late(self, connection: Drainable) -> None:
        if self.is_draining:
            connection.drain(max(0.0, self._drain_ends_at - self.clock()), gently=self._drains_gently)

    def closed(self, key: object) -> None:
        """Count a connection or a WebSocket out."""
        if self._connections.pop(key, None) is None:
            self._tunnels.pop(key, None)
        if self.is_draining and not self.count:
            self._quiet.set()

    def drain(self, seconds: float, *, gently: bool = False) -> asyncio.Event:
        """Ask every connection to end. The event is set when the last one has ended.

        Gently: see `Drainable.drain`.
        """
        self.is_draining = True
        self._drains_gently = gently
        self._drain_ends_at = self.clock() + seconds
        for connection in self._all():
            connection.drain(seconds, gently=gently)
        if not self.count:
            self._quiet.set()
        return self._quiet

    def use(self, runtime: HttpRuntime, seconds: float) -> None:
        """Serve by another configuration from the next request on.

        Connections that it does not allow end within `seconds`.
        """
        self.runtime, self._changed_within = runtime, seconds
        self.unread_answers.limits = runtime.limits.response_buffer
        self._review([*self._connections, *self._tunnels], runtime, seconds)

    def maintain(self, maintenance: ClosedRoutes | None) -> None:
        """Take other routes out of service from the next request on, and close their WebSockets."""
        self.maintenance = maintenance
        if maintenance is not None:
            self._review([*self._tunnels], self.runtime, maintenance.drain_seconds)

    def _review(self, rest: list[object], runtime: HttpRuntime, seconds: float) -> None:
        """Tell the connections, a part in each turn, so that requests are served in between."""
        if runtime is not self.runtime:
            return  # a newer configuration replaced this one, and its review tells all of them
        ends = self.stopwatch() + _REVIEW_SECONDS
        while rest:
            key = rest.pop()
            connection = self._connections.get(key) or self._tunnels.get(key)
            if connection is not None:
                connection.configuration_changed(seconds)
                if self.stopwatch() > ends:
                    break
        if rest:
            self.loop.call_soon(self._review, rest, runtime, seconds)

    def give_up(self, reason: str) -> None:
        """End every connection at once."""
        for connection in self._all():
            connection.give_up(reason)

    def _all(self) -> list[Drainable]:
        return [*self._connections.values(), *self._tunnels.values()]

    @property
    def count(self) -> int:
        """How many connections and WebSockets there are."""
        return len(self._connections) + len(self._tunnels)

    def shed(self, most: int) -> list[Idle]:
        """End all unused connections to upstreams, and at most `most` of clients (`first_to_go`).

        Returns the client connections that it ended.
        """
        for upstream in self.runtime.upstreams.values():
            for server in upstream.servers:
                server.close_idle()
        return self._end(self._idle(self._connections.values(), self._tunnels.values()), most)

    def bound_tunnels(self, most: int) -> None:
        """There are descriptors for so many tunnels."""
        self.tunnel_places.bound(most)

    def shed_idle(self, most: int, listener: str, client: bytes | None = None) -> list[Idle]:
        """End connections of a listener that have no request, of one client or of all.

        Also silent tunnels. Those in use end for other clients alone: else a client at its limit
        would end one for the other without end. Returns those that it ended.
        """
        idle = self._idle(self._connections.values(), self._tunnels.values())
        return self._end(self._idle_on(idle, listener, client, are_in_use=client is None), most)

    def count_idle(self, listener: str) -> int:
        """How many `shed_idle` could end, at least; of tunnels only the oldest are looked at."""
        idle = self._idle(self._connections.values(), islice(self._tunnels.values(), _MOST_COUNTED))
        return sum(1 for _ in self._idle_on(idle, listener, None, are_in_use=False))

    def _idle_on(
        self, several: Iterator[tuple[Idle, Sheddable]], listener: str, client: bytes | None, *, are_in_use: bool
    ) -> Iterator[tuple[Idle, Sheddable]]:
        for idle, one in several:
            is_meant = idle.listener == listener and (client is None or idle.client == client)
            if is_meant and idle.shown >= Shown.HANDSHAKE and (are_in_use or idle.shown is not Shown.MESSAGES):
                yield idle, one

    def _idle(self, *kinds: Iterable[Sheddable]) -> Iterator[tuple[Idle, Sheddable]]:
        latest = self.clock() - LEAST_IDLE_SECONDS
        for kind in kinds:
            for one in kind:
                idle = one.idle
                if idle is not None and idle.since <= latest:
                    yield idle, one

    def _end(self, candidates: Iterable[tuple[Idle, Sheddable]], most: int) -> list[Idle]:
        chosen = first_to_go(candidates, most)
        for _, one in chosen:
            one.shed()
        return [idle for idle, _ in chosen]

    def request_over(self, record: RequestRecord) -> None:
        """Count a request that was answered or given up, and log it, or one of many."""
        self.counters.request(record)
        samples = self.runtime.log_samples
        if samples and (every := samples.get(record.route or "", 0)) and _is_success(record):
            number = self._sampled.get(record.route, 0)
            self._sampled[record.route] = number + 1
            if number % every:
                return
            record.sample = every
        self._log(record)

    def log_opened(self, record: RequestRecord) -> None:
        """Log a WebSocket that opens; it is counted when it is over."""
        self._log(record)

    def new_request_id(self) -> bytes:
        """Make an `X-Request-Id`."""
        number = self._ids % 256
        if not number:
            self._id_start = b"%b-%x" % (self._id_prefix, self._ids // 256)
        self._ids += 1
        return self._id_start + _BYTES_IN_HEX[number]  # formatting all of it takes 0.3 microseconds

    def date(self) -> bytes:
        """The value of a `Date` field now (RFC 9110 section 5.6.7)."""
        second = int(self.wall_clock())
        if second != self._date_second:
            self._date_second = second
            self._date = formatdate(second, usegmt=True).encode()
        return self._date


def _is_success(record: RequestRecord) -> bool:
    """Whether a request was answered without an error; a WebSocket is a matter of its own."""
    return record.error is None and record.status < _ERRORS and record.messages is None
