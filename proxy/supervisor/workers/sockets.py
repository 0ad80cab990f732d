"""The listening sockets, which survive every worker: one for each address and worker slot.

The kernel spreads new connections over the sockets of an address (SO_REUSEPORT), even if no worker
accepts on one of them. Closing a socket resets the connections in its queue. So the parent makes
the sockets and keeps them while their address is configured, and `assignment` says which worker
accepts on which. One user makes all of them: the kernel refuses a second socket of another user
(EADDRINUSE).
"""

import os
import socket
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from config.schema import Bind
from proxy.net.bound_socket import BACKLOG, bind_fault, bound_socket
from proxy.net.tcp_options import tune
from proxy.processes.systemd import KEPT, Notifier, SocketStore
from proxy.quic.datagrams import prepare_datagrams, steer_by_connection_id


class BindFailed(Exception):
    """An address could not be bound: `listener`, `bind` and the system's `error`."""

    def __init__(self, listener: str, bind: Bind, error: OSError) -> None:
        super().__init__(listener, bind, error)
        self.listener = listener
        self.bind = bind
        self.error = error
        self.found, self.allowed = bind_fault(bind, error)

    def __str__(self) -> str:
        return f"listener.{self.listener}.bind: {self.found}; allowed: {self.allowed}"


def listening_socket(listener: str, bind: Bind, *, is_first: bool = True) -> socket.socket:
    """Bind one address and listen. Raises `BindFailed`.

    The first socket must be the only one of its address. With SO_REUSEPORT, another Plexigate of
    the same user would get half of the connections, and no error would show it.
    """
    try:
        if is_first and bind.port:
            bound_socket(bind).close()
        sock = bound_socket(bind, reuse_port=True)
        tune(sock)
        sock.listen(BACKLOG)
    except OSError as error:
        raise BindFailed(listener, bind, error) from error
    return sock


def datagram_socket(listener: str, bind: Bind, *, is_first: bool = True) -> socket.socket:
    """Bind one address of UDP, as `listening_socket`. Raises `BindFailed`."""
    try:
        if is_first and bind.port:
            bound_socket(bind, kind=socket.SOCK_DGRAM).close()
        sock = bound_socket(bind, reuse_port=True, kind=socket.SOCK_DGRAM)
        prepare_datagrams(sock)
        steer_by_connection_id(sock)  # of all sockets of the address
    except OSError as error:
        raise BindFailed(listener, bind, error) from error
    return sock


def address_of(sock: socket.socket) -> str:
    """The bound address, with the port that the kernel chose for port 0."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Address:
    """One entry of a listener's `bind`. Each entry with port 0 gets a port of its own."""

    listener: str
    index: int
    bind: Bind
    is_datagram: bool = False
    """Whether it is one of UDP, for QUIC."""

    @property
    def kept_name(self) -> str:
        """Its sockets' name in the service manager, without the colon that ends names."""
        return KEPT + self.key.replace(":", "_")

    @property
    def key(self) -> str:
        """Identifies the address across reloads, even if it moves to another listener."""
        address = str(self.bind) if self.bind.port else f"{self.listener}[{self.index}] {self.bind}"
        return f"udp-{address}" if self.is_datagram else address


class SocketOrigin(Enum):
    """Who made the first socket of an address."""

    OURS = auto()
    KEPT = auto()
    """A previous process of this service. The service manager has kept it."""
    MANAGER = auto()
    """The service manager (a .socket unit). It has a copy while that unit is active."""


@dataclass(slots=True)
class BoundAddress:
    """The sockets of one address: one for each slot.

    If no second socket can be made, the slots have copies of the first.
    """

    listener: str
    kept_name: str
    origin: SocketOrigin = SocketOrigin.OURS
    by_slot: list[socket.socket] = field(default_factory=list)

    def of_slots(self, slots: Collection[int]) -> list[socket.socket]:
        """The sockets that the workers of these slots read.

        A copy has the same queue. Two workers that accept from it get whole connections. But with
        UDP, each would get some of the first packets of a client, whose ID leads to no worker yet.
        So copies of UDP sockets are left out, and the worker that reads the first hands on.
        """
        if self.by_slot[0].type is socket.SOCK_STREAM:
            return [sock for slot, sock in enumerate(self.by_slot) if slot in slots]
        queues: dict[int, int] = {}
        for slot, sock in enumerate(self.by_slot):
            queues.setdefault(os.fstat(sock.fileno()).st_ino, slot)
        return [self.by_slot[slot] for slot in queues.values() if slot in slots]

    def close(self) -> None:
        for sock in self.by_slot:
            sock.close()


class ListeningSockets:
    def __init__(self, inherited: Sequence[tuple[str, socket.socket]] = (), store: SocketStore | None = None) -> None:
        """`inherited`: named sockets of the service manager; `store`: where it keeps copies."""
        self._inherited = list(inherited)
        for _, sock in inherited:
            if sock.type is socket.SOCK_DGRAM:
                prepare_datagrams(sock)  # the service manager has bound it, and no more
        self._store = store or SocketStore(Notifier(None), 0)
        self._store.begins_with([name for name, _ in inherited])
        self._bound: dict[str, BoundAddress] = {}
        self.is_shared = False
        """Whether another process accepts on the inherited sockets too, as in an upgrade.

        Then no socket is added to their addresses: if this process failed, the connections in the
        queue of such a socket would be lost.
        """

    @property
    def are_kept(self) -> bool:
        """Whether the service manager has a copy of each socket.

        Then the connections in their queues survive this process.
        """
        return self._store.holds_all

    @property
    def slots(self) -> int:
        """How many slots have sockets. A previous process may have had more workers."""
        kept = Counter(name for name, _ in self._inherited if name.startswith(KEPT))
        return max([*(len(one.by_slot) for one in self._bound.values()), *kept.values()], default=0)

    @property
    def bound(self) -> Iterable[BoundAddress]:
        return self._bound.values()

    @property
    def by_listener(self) -> dict[str, list[str]]:
        """The addresses in use of each listener, as text."""
        found: dict[str, list[str]] = {}
        for address in self.bound:
            if address.by_slot[0].type is socket.SOCK_STREAM:
                found.setdefault(address.listener, []).append(address_of(address.by_slot[0]))
        return found

    @property
    def unused(self) -> list[tuple[str, str]]:
        """Name and address of each socket of the service manager that no listener uses.

        A client that connects there waits in vain.
        """
        return [(name, address_of(sock)) for name, sock in self._inherited]

    @property
    def handed(self) -> list[tuple[str, socket.socket]]:
        """All sockets with the names by which the next process finds them (`inherited`)."""
        found = []
        for one in self._bound.values():
            is_unit = one.origin is SocketOrigin.MANAGER  # the others are copies of the first
            name = one.listener if is_unit else one.kept_name
            found += [(name, sock) for sock in (one.by_slot[:1] if is_unit else one.by_slot)]
        return [*found, *self._inherited]

    def prepare(self, addresses: Sequence[Address], slots: int) -> "PreparedSockets":
        """Make the missing sockets of these addresses for `slots` workers.

        Raises `BindFailed` after it has closed the new ones.
        """
        prepared = PreparedSockets(self, {address.key: address for address in addresses})
        try:
            given = self._inherited_by_key([one for one in addresses if one.key not in self._bound])
            for address in addresses:
                if address.key in given:
                    prepared.inherited[address.key] = given[address.key]
                self._fill(prepared, address, slots)
        except BindFailed:
            prepared.abandon()
            raise
        return prepared

    def _fill(self, prepared: "PreparedSockets", address: Address, slots: int) -> None:
        existing = self._bound.get(address.key)
        origin = existing.origin if existing else prepared.origin_of(address.key)
        have = list(existing.by_slot) if existing else [sock for _, sock in prepared.inherited.get(address.key, ())]
        made = prepared.made[address.key] = []
        if have and self.is_shared:
            return
        for _ in range(len(have), slots):
            first = (have + made)[0] if have or made else None
            made.append(self._another(prepared, address, origin, first))

    def _another(
        self, prepared: "PreparedSockets", address: Address, origin: SocketOrigin, first: socket.socket | None
    ) -> socket.socket:
        """Make one more socket of an address. Raises `BindFailed`."""
        if first is not None and origin is SocketOrigin.MANAGER:
            return _copy(first)
        if first is None and address.is_datagram:
            first_of_tcp = self._first(replace(address, is_datagram=False), prepared)
            port = address.bind.port if first_of_tcp is None else first_of_tcp.getsockname()[1]
            bind = Bind(address.bind.host, port)
        else:
            bind = address.bind if first is None else Bind(address.bind.host, first.getsockname()[1])
        is_first = first is None and not self._has_port(bind, prepared, is_datagram=address.is_datagram)
        try:
            made = datagram_socket if address.is_datagram else listening_socket
            return made(address.listener, bind, is_first=is_first)
        except BindFailed as failure:
            if first is not None and origin is SocketOrigin.KEPT:
                return _copy(first)  # another user made it, or one with a right to bind that we lack
            raise BindFailed(address.listener, address.bind, failure.error) from None

    def _first(self, address: Address, prepared: "PreparedSockets") -> socket.socket | None:
        """The first socket of an address, if there is one already: UDP gets the port of TCP."""
        bound = self._bound.get(address.key)
        inherited = [sock for _, sock in prepared.inherited.get(address.key, ())]
        return next(iter([*(bound.by_slot if bound else ()), *inherited, *prepared.made.get(address.key, ())]), None)

    def _has_port(self, bind: Bind, prepared: "PreparedSockets", *, is_datagram: bool) -> bool:
        """Whether we already have the port on another address.

        Either 0.0.0.0 is replaced by a single address, or the reverse.
        """
        bound = [sock for address in self._bound.values() for sock in address.by_slot]
        kept = [sock for name, sock in self._inherited if name.startswith(KEPT)]
        made = [sock for several in prepared.made.values() for sock in several]
        kind = _kind(is_datagram=is_datagram)
        return bind.port in {sock.getsockname()[1] for sock in [*bound, *kept, *made] if sock.type is kind}

    def _inherited_by_key(self, addresses: Sequence[Address]) -> dict[str, list[tuple[str, socket.socket]]]:
        """The sockets that the service manager passed, with their names.

        A socket of a .socket unit goes to its address, else to the first address of the listener
        with its name. Kept sockets come after these.
        """
        by_key: dict[str, list[tuple[str, socket.socket]]] = {}
        nameable = []
        for name, sock in self._inherited:
            host, port = sock.getsockname()[:2]
            alike = [one for one in addresses if sock.type is _kind(is_datagram=one.is_datagram)]
            exact = [one for one in alike if (host, port) == (str(one.bind.host), one.bind.port)]
            if name.startswith(KEPT):
                continue
            if exact:
                by_key[exact[0].key] = [(name, sock)]
            else:
                nameable.append((name, sock))
        for name, sock in nameable:
            alike = [one for one in addresses if sock.type is _kind(is_datagram=one.is_datagram)]
            of_name = [one for one in alike if one.listener == name and one.key not in by_key]
            if of_name:
                by_key[of_name[0].key] = [(name, sock)]
        for address in addresses:
            kept = [(name, sock) for name, sock in self._inherited if name == address.kept_name]
            if kept:
                by_key.setdefault(address.key, kept)
        return by_key

    def use(self, addresses: Mapping[str, Address], prepared: "PreparedSockets") -> list[BoundAddress]:
        """Take prepared sockets into use.

        Returns the addresses that are not configured any more. The caller closes them.
        """
        for key, address in addresses.items():
            one = self._bound.setdefault(
                key, BoundAddress(address.listener, address.kept_name, prepared.origin_of(key))
            )
            one.listener = address.listener
            one.by_slot += [*(sock for _, sock in prepared.inherited.get(key, ())), *prepared.made.get(key, [])]
        used = {sock for one in self._bound.values() for sock in one.by_slot}
        self._inherited = [(name, sock) for name, sock in self._inherited if sock not in used]
        gone = [self._bound.pop(key) for key in list(self._bound) if key not in addresses]
        self.keep_all()
        return gone

    def keep_all(self) -> None:
        """Let the service manager keep new sockets, and drop those of addresses that are gone."""
        for name, sock in self._inherited:
            if name.startswith(KEPT):
                sock.close()
        self._inherited = [(name, sock) for name, sock in self._inherited if not name.startswith(KEPT)]
        ours = [one for one in self._bound.values() if one.origin is not SocketOrigin.MANAGER]
        self._store.follow({one.kept_name: one.by_slot for one in ours})

    def close(self) -> None:
        for one in self._bound.values():
            one.close()
        self._bound.clear()


class PreparedSockets:
    """Sockets for a configuration that is not in use yet."""

    def __init__(self, owner: ListeningSockets, addresses: Mapping[str, Address]) -> None:
        self._owner = owner
        self._addresses = addresses
        self.made: dict[str, list[socket.socket]] = {}
        self.inherited: dict[str, list[tuple[str, socket.socket]]] = {}

    def origin_of(self, key: str) -> SocketOrigin:
        """Who made the first socket of an address that is not in use yet."""
        if key not in self.inherited:
            return SocketOrigin.OURS
        return SocketOrigin.KEPT if self.inherited[key][0][0].startswith(KEPT) else SocketOrigin.MANAGER

    def abandon(self) -> None:
        """Close the new sockets. No worker accepts on them yet."""
        for several in self.made.values():
            for sock in several:
                sock.close()

    def commit(self) -> list[BoundAddress]:
        """Take the sockets into use, see `ListeningSockets.use`."""
        return self._owner.use(self._addresses, self)


def _kind(*, is_datagram: bool) -> socket.SocketKind:
    return socket.SOCK_DGRAM if is_datagram else socket.SOCK_STREAM


def _copy(sock: socket.socket) -> socket.socket:
    """A copy of a listening socket, with the same queue."""
    copy = sock.dup()
    copy.settimeout(0)
    return copy


def addresses_of(binds: Mapping[str, Sequence[Bind]], with_udp: Collection[str] = ()) -> list[Address]:
    """The addresses of all listeners, in the order of the configuration.

    Those of the listeners `with_udp` are of TCP and of UDP.
    """
    return [
        Address(name, index, bind, is_datagram)
        for name, several in binds.items()
        for index, bind in enumerate(several)
        for is_datagram in ((False, True) if name in with_udp else (False,))
    ]
