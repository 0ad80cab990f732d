"""A client whose bytes go to a server as they are: it gets a server, then a relay, then a log line.

A client that finds no server sees its connection cut: by a FIN without a close_notify, or by a
reset where its TLS is not ours. A close_notify would say that the server had nothing to tell.
"""

from typing import TYPE_CHECKING, Final

from proxy.downstream.requests.standing import NoLongerWelcome
from proxy.downstream.requests.tunnel_places import TunnelPlace
from proxy.downstream.service.service import HttpService
from proxy.downstream.tunnels.relay import Relay
from proxy.downstream.tunnels.relay_visitors import RelayFigures, RelayVisitor
from proxy.limits.idleness import QUIET_SECONDS, Idle, Shown
from proxy.limits.reasons import RelayEnd
from proxy.net.byte_stream import StreamOwner, TwoWayStream
from proxy.upstream.pooling.carrier import Carrier
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.servers.upstream import RequestFacts, Upstream
from proxy.upstream.tcp_dials import TcpCarrier

if TYPE_CHECKING:
    from proxy.upstream.servers.server import Server


class TcpConnection(StreamOwner[bytes | memoryview]):
    """Owns the client's stream until a server is there. The service and the server know it."""

    def __init__(self, service: HttpService, stream: TwoWayStream, visitor: RelayVisitor) -> None:
        """Take over a stream that is reading. `begin` comes next."""
        self._service: Final = service
        self._stream: Final = stream
        self._visitor: Final = visitor
        self._counters: Final = visitor.counters
        self._since = service.clock()
        self._started = service.stopwatch()
        self.holder = visitor.network
        self.link: Final = visitor.link
        self._early = b""
        self._shown = 0
        """Bytes of the handshake, in front of what the client has to say."""
        self._has_ended = False
        self._upstream: Upstream | None = None
        self._tried: tuple[Server, ...] = ()
        self._server: Server | None = None
        self._relay: Relay | None = None
        self._place: TunnelPlace | None = None
        self._is_over = False
        stream.hand_over(self)
        service.connections.opened(self)
        self._counters.connections += 1
        self._counters.connections_open += 1

    def begin(self, early: bytes = b"") -> None:
        """Ask a server for a connection; `early` is what the client has sent so far."""
        self._shown = len(early)
        if early:
            self.data_received(early)
        upstream = self._service.runtime.upstreams.get(self._visitor.upstream or "")
        if upstream is None:
            self._fail("a reload took its server name from the listener")
            return
        self._upstream = upstream
        limit = self._service.tunnel_places.refusal_of(self._visitor.network)
        if limit is None:
            self._ask_next(upstream)
        else:
            self._fail(limit, RelayEnd.NO_ROOM)

    # -- the client, before a server is there

    def data_received(self, data: bytes | memoryview) -> None:
        """Keep what a client says first. The kernel keeps the rest."""
        self._early += data
        self._stream.pause_reading()

    def eof_received(self) -> None:
        """The client sends no more, but may want to hear what the server says."""
        self._has_ended = True

    def connection_lost(self, error: OSError | None) -> None:
        self._visitor.lost(error)
        self._over(RelayEnd.CLIENT_LOST, "before a server was reached" if error is None else str(error))

    # -- a server

    def _ask_next(self, upstream: Upstream) -> None:
        service = self._service
        facts = None
        if upstream.reads_requests:
            facts = RequestFacts(self._visitor.address.encode("ascii"), (), service.wall_clock())
        server = upstream.choose(facts, self._tried)
        if server is None:
            self._fail(str(UpstreamFailure(UpstreamFault.ALL_DOWN)))
            return
        self._server = server
        self._tried = (*self._tried, server)
        server.acquire(self)

    @property
    def is_waiting(self) -> bool:
        """Whether a connection to a server is still wanted."""
        return self._relay is None and not self._is_over

    def upstream_unavailable(self, failure: UpstreamFailure) -> None:
        """Try the next server, if there is one."""
        upstream = self._upstream
        assert upstream is not None  # it was asked
        final = upstream.last_word(failure, self._tried)
        if final is None:
            self._ask_next(upstream)
        else:
            self._fail(str(final))

    def upstream_acquired(self, connection: Carrier) -> None:
        assert isinstance(connection, TcpCarrier)  # the servers of its upstream speak TCP
        service = self._service
        visitor = self._visitor
        server = self._server
        rules = service.runtime.relays.get(visitor.listener)
        assert server is not None  # it was asked
        if rules is None:
            connection.stream.end()
            self._fail("a reload removed its listener")
            return
        place = service.tunnel_places.take(visitor.network, server)
        if not isinstance(place, TunnelPlace):
            connection.stream.hand_over(StreamOwner())
            connection.stream.abort()
            self._fail(place, RelayEnd.NO_ROOM)
            return
        self._place = place
        place.holder = self
        traffic = self._counters.from_client, self._counters.to_client
        self._relay = relay = Relay(service, rules, self._stream, connection.stream, traffic, self)
        server.tunnel_opened(self)
        early, self._early = self._early, b""
        relay.begin(early, has_ended=self._has_ended)

    # -- the end

    def _fail(self, detail: str, end: RelayEnd = RelayEnd.NO_SERVER) -> None:
        self._stream.cut()
        self._service.counters.failure(self._visitor.listener, end)
        self._over(end, detail)

    def client_lost(self, error: OSError | None) -> None:
        self._visitor.lost(error)

    def relay_ended(self, end: RelayEnd, detail: str | None) -> None:
        self._over(end, detail)

    def _over(self, end: RelayEnd, detail: str | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        service = self._service
        server = self._server
        relay = self._relay
        counters = self._counters
        counters.connections_open -= 1
        counters.ends[end] += 1
        seconds = service.stopwatch() - self._started
        upstream = None if self._upstream is None else self._upstream.name
        reached = None if server is None or relay is None else server.name
        figures = RelayFigures(end, detail, upstream, reached, seconds)
        if server is not None and relay is not None:
            server.tunnel_ended(self)
            figures.bytes_in = relay.client_bytes
            figures.bytes_out = relay.server_bytes
        if self._place is not None:
            self._place.release()
        self._visitor.left(figures)
        service.connections.closed(self)  # last: a drain must not find the process empty in between

    # -- what the service and the server ask

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        """End at some moment of a drain, see `Relay.close`."""
        del gently  # as gently as it can be
        if self._relay is None:
            self._leave(RelayEnd.DRAINED, None)
        else:
            self._relay.close_within(seconds, RelayEnd.DRAINED)

    def configuration_changed(self, seconds: float) -> None:
        """Go on under the new configuration, unless it forbids the connection."""
        service = self._service
        relay = self._relay
        try:
            self._visitor.stands()
        except NoLongerWelcome as error:
            if relay is None:
                self._leave(RelayEnd.RELOADED, error.reason)
            else:
                relay.close_within(seconds, RelayEnd.RELOADED, error.reason)
            return
        rules = service.runtime.relays.get(self._visitor.listener)
        if relay is not None and rules is not None:
            relay.follow(rules)

    def give_up(self, reason: str) -> None:
        """End at once; `reason` is for the log."""
        self._leave(RelayEnd.DRAINED, reason)

    def _leave(self, end: RelayEnd, detail: str | None) -> None:
        if self._relay is not None:
            self._relay.give_up(end, detail)
        elif not self._is_over:
            self._stream.cut()
            self._over(end, detail)

    @property
    def idle(self) -> Idle | None:
        """How idle it is: since it began while its client says nothing, then since the last byte.

        None while it waits for a server, and while it ends.
        """
        relay = self._relay
        if relay is None:
            return None
        if relay.client_bytes <= self._shown:
            return self._visitor.idle(self._since)
        since = relay.silent_since
        if since is None:
            return None
        is_silent = since < self._service.clock() - QUIET_SECONDS
        return self._visitor.idle(since)._replace(shown=Shown.SILENCE if is_silent else Shown.MESSAGES)

    def shed(self) -> None:
        """End at once, to make room for others."""
        if self._relay is not None:
            self._relay.shed()
