"""What all HTTP connections of a loop share, and how they change to another configuration."""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Final

from proxy.downstream.requests.maintenance import ClosedRoutes
from proxy.downstream.requests.tunnel_places import TunnelPlaces
from proxy.downstream.service.connections import OpenConnections, Sheddable
from proxy.downstream.service.ledger import RequestLedger
from proxy.downstream.service.response_buffer import ResponseBudget
from proxy.downstream.service.runtime import HttpRuntime
from proxy.downstream.service.slow_work import Computing, SharedWork, SlowWork
from proxy.downstream.service.spool import Spool
from proxy.downstream.service.stamps import Stamps
from proxy.downstream.service.unread_answers import UnreadAnswers
from proxy.figures.snapshot import BufferFamilies
from proxy.http.via import OwnVia
from proxy.limits.idleness import Idle
from proxy.net.deadlines import Deadlines
from proxy.observe.events.process import SpoolFailed

# Looking at one connection takes a few microseconds. If the authorities of clients have changed, a
# certificate is verified again: that takes 0.2 ms with ECDSA and 1 ms with ML-DSA.
_REVIEW_SECONDS: Final = 0.001


class HttpService:
    """Shared by all connections of one loop."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        deadlines: Deadlines,
        runtime: HttpRuntime,
        ledger: RequestLedger,
        wall_clock: Callable[[], float],
        after_reports: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        """`wall_clock` gives UNIX seconds, for logs and `Date` only.

        `after_reports` is that of `SharedIo`. Without it, what it would call comes in the next
        turn.
        """
        self.loop = loop
        self.after_reports: Final = after_reports or loop.call_soon
        self.clock = loop.time
        # the loop's clock stands still during a turn and counts whole milliseconds: too coarse for
        # the log
        self.stopwatch = perf_counter
        self.deadlines = deadlines
        self.runtime = runtime
        self.maintenance: ClosedRoutes | None = None
        """The routes that are out of service under every configuration. None if there are none."""
        self.changed_within: float | None = None
        """In how many seconds connections end that the configuration does not allow any more.

        None if it is the first one.
        """
        self.wall_clock = wall_clock
        self.ledger = ledger
        self.counters = ledger.counters
        self.shared = ledger.shared
        self.via: Final = OwnVia(self.shared.pseudonym)
        """How all workers of this start are known to servers."""
        self.slow_work: Computing = SlowWork(loop)
        self.shared_work = SharedWork(self.slow_work)
        self.response_budget = ResponseBudget()
        self.tunnel_places: Final = TunnelPlaces(loop.time, loop.call_soon, ledger.count_shed)
        self.spool = Spool(loop, self.clock, self._spool_failed)
        self.unread_answers = UnreadAnswers(
            deadlines, self.clock, loop.call_soon, self.spool, self.response_budget, runtime.limits.response_buffer
        )
        self.connections: Final = OpenConnections(self.clock)
        self.stamps: Final = Stamps(wall_clock)

    def rows(self) -> BufferFamilies:
        """The figures of what waits for slow clients, for `merging`."""
        return {"response_buffer": [self.response_budget.row()], "spool": [self.unread_answers.budget.row()]}

    def _spool_failed(self, error: OSError) -> None:
        self.ledger.log_event(SpoolFailed(error.strerror or type(error).__name__))

    def use_spool(self, directories: Iterable[str]) -> None:
        """Spool in the first of these directories that takes a file, if there is to be a spool."""
        if self.runtime.limits.response_buffer.spooled and not self.spool.is_open:
            error = self.spool.open_in(directories)
            if error is not None:
                self._spool_failed(error)

    def tunnel_opened(self, tunnel: Sheddable) -> None:
        self.connections.tunnel_opened(tunnel)
        # either may have come while the server, or an authorization server, was asked
        if self.changed_within is not None:
            tunnel.configuration_changed(self.changed_within)
        elif self.maintenance is not None:
            tunnel.configuration_changed(self.maintenance.drain_seconds)

    def use(self, runtime: HttpRuntime, seconds: float) -> None:
        """Serve by another configuration from the next request on.

        Connections that it does not allow end within `seconds`.
        """
        self.runtime = runtime
        self.changed_within = seconds
        self.unread_answers.limits = runtime.limits.response_buffer
        self._review(self.connections.all(), runtime, seconds)

    def maintain(self, maintenance: ClosedRoutes | None) -> None:
        """Take other routes out of service from the next request on, and close their WebSockets."""
        self.maintenance = maintenance
        if maintenance is not None:
            self._review([*self.connections.tunnels], self.runtime, maintenance.drain_seconds)

    def _review(self, rest: list[Sheddable], runtime: HttpRuntime, seconds: float) -> None:
        """Tell the connections, a part in each turn, so that requests are served in between."""
        if runtime is not self.runtime:
            return  # a newer configuration replaced this one, and its review tells all of them
        connections = self.connections
        ends = self.stopwatch() + _REVIEW_SECONDS
        while rest:
            connection = rest.pop()
            if connection in connections.connected or connection in connections.tunnels:
                connection.configuration_changed(seconds)
                if self.stopwatch() > ends:
                    break
        if rest:
            self.loop.call_soon(self._review, rest, runtime, seconds)

    @property
    def count(self) -> int:
        return self.connections.count

    def shed(self, most: int) -> list[Idle]:
        """End all unused connections to upstreams, and at most `most` idle ones of clients.

        Returns those of clients.
        """
        for upstream in self.runtime.upstreams.values():
            for server in upstream.servers:
                server.close_idle()
        return self.connections.shed(most)

    def bound_tunnels(self, most: int) -> None:
        self.tunnel_places.bound(most)
