"""Accept connections, count them against the limits, and hand each to its handshake, then to HTTP."""

import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from proxy.deadlines import Deadlines
from proxy.downstream.client import ClientFacts
from proxy.downstream.connection import Downstream
from proxy.downstream.service import HttpService
from proxy.observe.access_log import HandshakeRecord
from proxy.observe.counters import Counters
from proxy.shared_io import SharedIo
from proxy.sockets import Linger, SocketStream
from proxy.tls.handshake import Established, Failed, Handshake, HandshakePolicy
from proxy.tls.stream import BioPair, TlsStream

# Connections taken per turn of the loop: enough to empty a queue quickly, few enough that established ones are served in between.
_ACCEPTS_PER_TURN: Final = 16
# Out of descriptors or memory: try again when some may have come back, instead of spinning on a readable socket.
_PAUSE_SECONDS: Final = 0.1
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# A TLS record at a time: more would let one connection hold the loop for longer (KeyUpdate floods).
_READ_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Limits on connections before and while they are served."""

    connections: int
    connections_per_address: int
    handshakes_in_flight: int
    handshakes_per_address: int
    handshake_seconds: float


@dataclass(frozen=True, slots=True)
class ListenerRuntime:
    """Everything that one configuration says about a listener. A connection keeps what it started with."""

    name: str
    policy: HandshakePolicy
    cipher_suites: str
    limits: ListenerLimits
    trusted_peers: tuple[IPv4Network | IPv6Network, ...]
    linger: Linger


@dataclass(frozen=True, slots=True)
class ListenerServices:
    """What all listeners of a loop share."""

    io: SharedIo
    deadlines: Deadlines
    http: HttpService
    counters: Counters
    bios: BioPair
    log: Callable[[HandshakeRecord], None]


class Listener:
    """The sockets of one `[listener.NAME]`."""

    def __init__(self, sockets: list[socket.socket], runtime: ListenerRuntime, services: ListenerServices) -> None:
        """Sockets are bound and listening; `start` begins to accept."""
        self.runtime = runtime
        self._sockets = sockets
        self._services = services
        self._open = 0
        self._in_flight = 0
        self._per_address: dict[str, int] = {}
        self._handshakes_per_address: dict[str, int] = {}

    @property
    def addresses(self) -> list[str]:
        """The bound addresses, with the port that the kernel chose for port 0."""
        return [_shown(sock) for sock in self._sockets]

    def start(self) -> None:
        """Accept from now on."""
        for sock in self._sockets:
            self._services.io.loop.add_reader(sock, self._acceptable, sock)

    def stop(self) -> None:
        """Accept no more and close the sockets."""
        for sock in self._sockets:
            self._services.io.loop.remove_reader(sock)
            sock.close()
        self._sockets = []

    def _acceptable(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                # what `accept` is made of, without its look-ups in enums, which take longer than the system call
                descriptor, address = listening._accept()  # type: ignore[attr-defined]  # noqa: SLF001
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(listening)
                return
            family = socket.AF_INET6 if len(address) == 4 else socket.AF_INET  # the first has a flow and a scope too
            sock = socket.socket(family, socket.SOCK_STREAM, 0, descriptor)
            self._accepted(sock, address[0].partition("%")[0])  # a link-local address comes with its zone

    def _pause(self, listening: socket.socket) -> None:
        loop = self._services.io.loop
        self._services.counters.failure(self.runtime.name, "out_of_resources")
        loop.remove_reader(listening)
        loop.call_later(_PAUSE_SECONDS, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self._services.io.loop.add_reader(listening, self._acceptable, listening)

    def _accepted(self, sock: socket.socket, address: str) -> None:
        network = _network(address)
        reason = self._over_limit(network)
        if reason is not None:
            # the cheapest refusal there is: no handshake was begun, so there is nobody to send an alert to
            self._services.counters.failure(self.runtime.name, reason)
            sock.close()
            return
        sock.settimeout(0)
        self._open += 1
        self._in_flight += 1
        self._per_address[network] = self._per_address.get(network, 0) + 1
        self._handshakes_per_address[network] = self._handshakes_per_address.get(network, 0) + 1
        _Arrival(self, self._services, address, network).begin(sock)

    def _over_limit(self, network: str) -> str | None:
        limits = self.runtime.limits
        if self._open >= limits.connections:
            return "connections"
        if self._in_flight >= limits.handshakes_in_flight:
            return "handshakes_in_flight"
        if self._per_address.get(network, 0) >= limits.connections_per_address:
            return "connections_per_address"
        if self._handshakes_per_address.get(network, 0) >= limits.handshakes_per_address:
            return "handshakes_per_address"
        return None

    def handshake_over(self, network: str) -> None:
        """One handshake less is under way."""
        self._in_flight -= 1
        _count_down(self._handshakes_per_address, network)

    def closed(self, network: str) -> None:
        """One connection less is open."""
        self._open -= 1
        _count_down(self._per_address, network)


class _Arrival:
    """One accepted connection until its handshake is over."""

    __slots__ = ("_address", "_handshake", "_listener", "_network", "_runtime", "_services", "_started")

    def __init__(self, listener: Listener, services: ListenerServices, address: str, network: str) -> None:
        self._listener = listener
        self._runtime = listener.runtime
        self._services = services
        self._address = address
        self._network = network
        self._started = services.io.loop.time()
        policy, deadline = self._runtime.policy, self._started + self._runtime.limits.handshake_seconds
        self._handshake = Handshake(policy, services.bios, self, services.io.loop.time, deadline)

    def begin(self, sock: socket.socket) -> None:
        services = self._services
        services.deadlines.watch(self._handshake)
        closed = partial(self._listener.closed, self._network)
        linger = self._runtime.linger
        self._handshake.begin(
            SocketStream(services.io, sock, self._handshake, linger, read_bytes=_READ_BYTES, closed=closed)
        )

    def handshake_established(self, result: Established, stream: TlsStream) -> None:
        self._over()
        services, runtime = self._services, self._runtime
        services.counters.handshake(runtime.name, result.identity.name, result.outcome)
        is_trusted = bool(runtime.trusted_peers) and _is_in(self._address, runtime.trusted_peers)
        facts = ClientFacts(self._address, runtime.name, result, is_trusted)
        stream.owner = Downstream(services.http, stream, facts)

    def handshake_failed(self, failure: Failed) -> None:
        self._over()
        services, name = self._services, self._runtime.name
        services.counters.failure(name, failure.reason)
        if failure.is_refusal_by_policy:
            services.counters.handshake(name, failure.identity or "-", "refused")
        services.log(
            HandshakeRecord(
                time=services.http.wall_clock(),
                client=self._address,
                listener=name,
                name=failure.server_name,
                reason=failure.reason,
                detail=failure.detail,
                alert=None if failure.alert is None else failure.alert.name.lower(),
                groups=failure.offered_groups,
                duration=services.io.loop.time() - self._started,
            )
        )

    def _over(self) -> None:
        self._services.deadlines.forget(self._handshake)
        self._listener.handshake_over(self._network)


def _network(address: str) -> str:
    """What counts as one address: an IPv6 host has a /64 to choose from."""
    return str(IPv6Network((address, 64), strict=False)) if ":" in address else address


def _count_down(counts: dict[str, int], key: str) -> None:
    """Keep no entry for what is not there any more."""
    if counts[key] == 1:
        del counts[key]
    else:
        counts[key] -= 1


def _is_in(peer: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    address = ip_address(peer)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any((mapped or address) in network for network in networks)


def _shown(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"
