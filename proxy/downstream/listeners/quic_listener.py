"""The UDP sockets of one listener: which connection a datagram is for, and which may begin one.

Theory of operation. A datagram names its connection by an ID that we have made, or, in the first
packets of a client, by one that the client has made up. What names an unknown one and begins a
connection passes the limits on connections as a connection of TCP does. While many handshakes are
in flight, a client has to show first that it is at its address: it gets a Retry, for which nothing
is kept here (RFC 9000 section 8.1.2). A client accepts one Retry, so one that comes back with a bad
token is told that at once (INVALID_TOKEN). What names an unknown one and begins none gets a
stateless reset, so that the client of a process that is gone does not wait (section 10.3).
"""

import secrets
import socket
from collections.abc import Collection
from functools import partial
from socket import SocketType
from typing import Final, Protocol

from proxy.downstream.listeners.arrival import ArrivalHost
from proxy.downstream.listeners.listening import ListenerRuntime, ListenerServices
from proxy.downstream.listeners.quic_arrival import QuicArrival
from proxy.limits.connections import ClientCounts
from proxy.limits.networks import is_in, network_of
from proxy.limits.reasons import ConnectionReason
from proxy.limits.request_rates import ClientRates
from proxy.net.readiness import EPOLLIN, Ready
from proxy.net.shared_io import SharedIo
from proxy.observe.counts.listener_counters import ListenerCounters
from proxy.observe.events.process import Http3HandOnFailed
from proxy.proxy_protocol.header import Endpoints
from proxy.quic.library import native
from proxy.quic.post import Post
from proxy.quic.tokens import (
    UNKNOWN_ADDRESS,
    KnownAddress,
    is_of_retry,
    known_address,
    new_token,
    reset_key,
    retry_token,
)
from proxy.quic.transport import ERR_RETRY, QuicTransport
from proxy.tls.handshake.handshake_policy import HandshakePolicy

_LONG_HEADER: Final = 0x80
_ID_BYTES: Final = 18
# Datagrams that are read at once (`_native.receive`), and how often before others have their turn.
_AT_ONCE: Final = 32
_MOST_READS: Final = 4
_NANOSECONDS: Final = 1_000_000_000
# Behind the last request and our GOAWAY, which come first.
_IDLE_MARGIN_SECONDS: Final = 10.0
# Of the handshakes in flight that a listener allows: with more, clients have to show their address.
_UNPROVEN_SHARE: Final = 4
# RFC 9000 section 20.1
_INVALID_TOKEN: Final = 0x0B
# In a second, of each kind of answer to datagrams that anyone can make up.
_MOST_ANSWERS: Final = 100


class QuicHost(ArrivalHost, Protocol):
    """The listener."""

    runtime: ListenerRuntime

    @property
    def tally(self) -> ListenerCounters: ...

    def closed(self, client: ClientCounts) -> None: ...


class QuicListener:
    """A `transport.Router` for the connections of one listener."""

    def __init__(self, host: QuicHost, services: ListenerServices) -> None:
        self._host: Final = host
        self._services: Final = services
        self._sockets: Final[dict[int, _QuicSocket]] = {}
        """By descriptor: those that are read, and those by which old connections send."""
        self._posts: Final[dict[bytes, _PostBox]] = {}
        """By the secret that their name is made of."""
        self._is_ending = False
        self._transports: Final[dict[bytes, QuicTransport]] = {}
        self._takes_new = False
        self._half_open = 0
        self._resets: Final = _Answers()
        self._token_refusals: Final = _Answers()
        self._versions: Final = _Answers()
        self.deadline = 0.0
        """Always over, so that each sweep calls `deadline_passed` (`deadlines.Watched`)."""

    def receive_on(self, sockets: Collection[socket.socket]) -> None:
        """Read exactly these sockets from now on, and take new connections.

        Another process reads the others, and hands on what is for connections of this one.
        """
        if self._is_ending:
            return
        wanted = {sock.fileno(): sock for sock in sockets}
        self._takes_new = bool(wanted)
        if wanted:
            self.follow_keys()
        for number, sock in wanted.items():
            if number not in self._sockets:
                self._sockets[number] = _QuicSocket(self, self._services.io, sock)
        for number, one in self._sockets.items():
            one.read(is_wanted=number in wanted)
        self._close_if_empty()

    def end(self) -> None:
        """Take no new connections, and read for those that there are: no other process does."""
        self._is_ending = True
        self._takes_new = False
        self._close_if_empty()

    def follow_keys(self) -> None:
        """Be found by other processes, by each of the present secrets."""
        runtime = self._host.runtime
        for key in [one for one in self._posts if one not in runtime.quic_keys]:
            self._posts.pop(key).close()
        if not self._sockets and not self._takes_new:
            return
        for key in runtime.quic_keys:
            if key not in self._posts:
                try:
                    post = Post(runtime.name, self._services.worker_prefix, key)
                except OSError as error:
                    self._services.tell(Http3HandOnFailed(runtime.name, error.strerror or str(error)))
                    return
                self._posts[key] = _PostBox(self, self._services.io, post)

    def _close_if_empty(self) -> None:
        if self._takes_new or self._transports:
            return
        for one in self._sockets.values():
            one.close()
        self._sockets.clear()
        for box in self._posts.values():
            box.close()
        self._posts.clear()

    # -- which connection

    def route(self, connection_id: bytes, transport: QuicTransport) -> None:
        self._transports[connection_id] = transport

    def forget(self, connection_id: bytes) -> None:
        self._transports.pop(connection_id, None)
        self._close_if_empty()

    def received(self, sock: SocketType, data: bytes, local: bytes, remote: bytes, ecn: int) -> QuicTransport | None:
        """Give a datagram to its connection, which is returned if it has a turn now."""
        if len(data) > _ID_BYTES and not data[0] & _LONG_HEADER:  # RFC 9000 section 17.3
            known = self._transports.get(data[1 : 1 + _ID_BYTES])
            if known is not None:
                known.received(data, local, remote, ecn)
                return known
        found = native().identifiers(data)
        if found is None:
            return None
        version, to_id, from_id, is_unknown_version = found
        transport = self._transports.get(to_id)
        if transport is None and self._is_of_another(to_id, data, local, remote, ecn):
            return None
        if transport is None and is_unknown_version:
            if self._versions.are_left(self._services.io.loop.time()):
                native().send(sock, native().version_negotiation(from_id, to_id), local, remote)
        elif transport is None:
            return self._began(_FirstPacket(sock, version, to_id, from_id, local, remote), data, ecn)
        else:
            transport.received(data, local, remote, ecn)
        return transport

    def _began(self, first: "_FirstPacket", data: bytes, ecn: int) -> QuicTransport | None:
        if not data[0] & _LONG_HEADER:
            self._reset(first, len(data))
            return None
        token = native().token_of_initial(data) if self._takes_new else None
        transport = None if token is None else self._arrived(first, token)
        if transport is not None and transport.received(data, first.local, first.remote, ecn) == ERR_RETRY:
            self._ask_for_token(first, self._host.runtime)
        return transport

    def handed_on(self, data: bytes, local: bytes, remote: bytes, ecn: int) -> None:
        found = native().identifiers(data)
        transport = None if found is None else self._transports.get(found[1])
        if transport is not None:
            transport.received(data, local, remote, ecn)
            transport.turn()

    def _is_of_another(self, to_id: bytes, data: bytes, local: bytes, remote: bytes, ecn: int) -> bool:
        prefix = to_id[: len(self._services.worker_prefix)]
        if len(to_id) != _ID_BYTES or prefix == self._services.worker_prefix:
            return False
        return any(one.post.hand_on(prefix, data, local, remote, ecn) for one in self._posts.values())

    def _reset(self, first: "_FirstPacket", length: int) -> None:
        keys = self._host.runtime.quic_keys
        is_complete = len(self._posts) == len(keys)
        if not is_complete and not first.to_id.startswith(self._services.worker_prefix):
            return  # it may be for a connection that lives in a process which cannot be reached
        if not self._resets.are_left(self._services.io.loop.time()):
            network = network_of(first.ends.source)
            reason = ConnectionReason.HTTP3_UNKNOWN_CONNECTIONS
            self._services.turned_away.add(self._host.runtime.name, reason, network)
        elif keys:
            key = reset_key(keys[0], first.local_end)
            packet = native().stateless_reset(key, first.to_id, length)
            if packet:
                native().send(first.sock, packet, first.local, first.remote)

    # -- a new connection

    def _arrived(self, first: "_FirstPacket", token: bytes) -> QuicTransport | None:
        runtime = self._host.runtime
        policy = runtime.quic
        if policy is None or not runtime.quic_keys or runtime.header_senders:
            return None
        ends = first.ends
        network = network_of(ends.source)
        proven = None
        if token:
            now = self._services.http.wall_clock()
            proven = known_address(runtime.quic_keys, token, first.address, first.to_id, now)
        if proven is None and is_of_retry(token):
            if self._token_refusals.are_left(self._services.io.loop.time()):
                packet = native().closing_packet(first.version, first.from_id, first.to_id, _INVALID_TOKEN)
                native().send(first.sock, packet, first.local, first.remote)
            self._services.turned_away.add(runtime.name, ConnectionReason.HTTP3_INVALID_TOKEN, network)
            return None
        if proven is None and self._half_open * _UNPROVEN_SHARE >= runtime.limits.handshakes_in_flight:
            self._ask_for_token(first, runtime)
            return None
        is_exempt = bool(runtime.exempt) and is_in(ends.source, runtime.exempt)
        client = self._host.room.admit(network, runtime.limits, is_exempt=is_exempt)
        if isinstance(client, ConnectionReason):
            self._services.turned_away.add(runtime.name, client, network)
            return None
        return self._begin(
            first, proven or UNKNOWN_ADDRESS, policy, client, None if is_exempt else ClientRates(client.network)
        )

    def _ask_for_token(self, first: "_FirstPacket", runtime: ListenerRuntime) -> None:
        own_id = self._services.worker_prefix + secrets.token_bytes(_ID_BYTES - 2)
        now = self._services.http.wall_clock()
        token = retry_token(runtime.quic_keys[0], first.address, first.to_id, own_id, now)
        packet = native().retry_packet(first.version, first.from_id, own_id, first.to_id, token)
        native().send(first.sock, packet, first.local, first.remote)

    def _begin(
        self,
        first: "_FirstPacket",
        known: KnownAddress,
        policy: HandshakePolicy,
        client: ClientCounts,
        rates: ClientRates | None,
    ) -> QuicTransport:
        services = self._services
        runtime = self._host.runtime
        transport = QuicTransport(services.io.loop, first.sock, self)
        limits = services.http.runtime.limits
        http2 = limits.http2
        connection = native().Connection(
            transport,
            first.version,
            first.from_id,
            first.to_id if known.original_id is None else known.original_id,
            None if known.original_id is None else first.to_id,
            services.worker_prefix,
            first.local,
            first.remote,
            known.token,
            reset_key(runtime.quic_keys[0], first.local_end),
            (
                int((limits.keep_alive_seconds + _IDLE_MARGIN_SECONDS) * _NANOSECONDS),
                int((runtime.limits.handshake_seconds + 1.0) * _NANOSECONDS),
                http2.connection_window_bytes,
                http2.stream_window_bytes,
                http2.connection_window_bytes,
                http2.stream_window_most_bytes,
                http2.streams,
                http2.header_list_bytes,
                http2.header_count,
                http2.header_bytes,
                limits.http3_unacked_bytes,
                float(http2.control_frames),
                http2.control_frames_per_second,
            ),
        )
        transport.use(connection, first.to_id)
        tally = self._host.tally
        tally.accepted += 1
        tally.open += 1
        transport.closed = partial(self._host.closed, client)
        self._half_open += 1
        arrival = QuicArrival(self._host, runtime, services, first.ends, client, rates)
        token = new_token(runtime.quic_keys[0], first.address, services.http.wall_clock())
        arrival.begin(transport, policy, partial(self._answered, transport, token))
        return transport

    def _answered(self, transport: QuicTransport, token: bytes) -> None:
        self._half_open -= 1
        if not transport.is_over:
            transport.native.new_token(token)


class _Answers:
    """Counts answers of one kind in this second. A flood of one kind takes none of another."""

    def __init__(self) -> None:
        self._began = 0.0
        self._asked = 0

    def are_left(self, now: float) -> bool:
        """Whether one more may go, which is counted."""
        if now - self._began >= 1.0:
            self._began = now
            self._asked = 0
        self._asked += 1
        return self._asked <= _MOST_ANSWERS


class _FirstPacket:
    """A datagram that may begin a connection."""

    def __init__(
        self, sock: SocketType, version: int, to_id: bytes, from_id: bytes, local: bytes, remote: bytes
    ) -> None:
        self.sock: Final = sock
        self.version: Final = version
        self.to_id: Final = to_id
        self.from_id: Final = from_id
        self.local: Final = local
        self.remote: Final = remote

    @property
    def address(self) -> bytes:
        return _address(self.remote)

    @property
    def local_end(self) -> bytes:
        return _address(self.local) + self.local[2:4]

    @property
    def ends(self) -> Endpoints:
        return Endpoints(_text(self.remote), _port(self.remote), _text(self.local), _port(self.local))


class _QuicSocket(Ready):
    """One socket."""

    def __init__(self, listener: QuicListener, io: SharedIo, sock: SocketType) -> None:
        self._listener: Final = listener
        self._io: Final = io
        self._sock: Final = sock
        self._bound: Final = native().bound(sock)
        self._is_read = False

    def read(self, *, is_wanted: bool) -> None:
        """Read what comes from now on, or leave it to another process."""
        if is_wanted is not self._is_read:
            self._is_read = is_wanted
            events = EPOLLIN if is_wanted else 0
            self._io.readiness.change(self._sock.fileno(), EPOLLIN - events, events, self)

    def ready(self, events: int) -> None:
        """Read what came, and give each connection its turn."""
        del events
        receive = native().receive
        touched: dict[QuicTransport, None] = {}
        for _ in range(_MOST_READS):
            datagrams = receive(self._sock, self._bound)
            for data, local, remote, ecn in datagrams:
                transport = self._listener.received(self._sock, data, local, remote, ecn)
                if transport is not None:
                    touched[transport] = None
            if len(datagrams) < _AT_ONCE:
                break
        for one in touched:
            one.turn()

    def close(self) -> None:
        self.read(is_wanted=False)
        self._sock.close()


class _PostBox(Ready):
    """What other processes hand on."""

    def __init__(self, listener: QuicListener, io: SharedIo, post: Post) -> None:
        self._listener: Final = listener
        self._io: Final = io
        self.post: Final = post
        io.readiness.change(post.sock.fileno(), 0, EPOLLIN, self)

    def ready(self, events: int) -> None:
        del events
        self.post.deliver(self._listener.handed_on, _AT_ONCE)

    def close(self) -> None:
        self._io.readiness.change(self.post.sock.fileno(), EPOLLIN, 0, self)
        self.post.close()


# A socket address is that of the kernel (linux/in.h, in6.h).
_IPV4_BYTES: Final = 16


def _address(of: bytes) -> bytes:
    return of[4:8] if len(of) == _IPV4_BYTES else of[8:24]


def _text(of: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(of) == _IPV4_BYTES else socket.AF_INET6, _address(of))


def _port(of: bytes) -> int:
    return int.from_bytes(of[2:4])
