"""The listening sockets, which outlive every worker: one for each address and worker slot.

The kernel spreads new connections over the sockets of an address (SO_REUSEPORT), whether or not somebody accepts on one of
them, and closing one resets what it has queued. So the parent makes them, keeps them for as long as their address is
configured, and says which worker accepts on which (`assignment`). All of them are made by the same user: the kernel refuses a
second one of another user (EADDRINUSE).
"""

import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from config.schema import Bind
from proxy.bound_socket import bound_socket
from proxy.tcp_options import tune

_BACKLOG: Final = 4_096


class BindFailed(Exception):
    """An address could not be bound: `listener`, `bind` and the system's `error`."""

    def __init__(self, listener: str, bind: Bind, error: OSError) -> None:
        """Remember the facts."""
        super().__init__(listener, bind, error)
        self.listener = listener
        self.bind = bind
        self.error = error

    @property
    def found(self) -> str:
        """What happened, in a clause."""
        return f"{self.bind}, which cannot be used: {self.error.strerror}"

    @property
    def allowed(self) -> str:
        """What can be done about it."""
        if isinstance(self.error, PermissionError):
            return "a port from 1024 on, or the right to bind lower ones (CAP_NET_BIND_SERVICE, or a restart as root)"
        return "stop what uses it (ss -ltnp shows it), choose another port, or start with the right to bind it"

    def __str__(self) -> str:
        """One sentence with the remedy."""
        return f"listener.{self.listener}.bind: {self.found}; allowed: {self.allowed}"


def listening_socket(listener: str, bind: Bind, *, is_first: bool = True) -> socket.socket:
    """Bind one address and listen. Raises `BindFailed`.

    The first of an address must have it alone: with SO_REUSEPORT, another Plexigate of the same user would silently get half
    of the connections.
    """
    try:
        if is_first and bind.port:
            bound_socket(bind).close()
        sock = bound_socket(bind, reuse_port=True)
        tune(sock)
        sock.listen(_BACKLOG)
    except OSError as error:
        raise BindFailed(listener, bind, error) from error
    return sock


def address_of(sock: socket.socket) -> str:
    """The bound address, with the port that the kernel chose for port 0."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Address:
    """One entry of a listener's `bind`; port 0 is another port for each entry."""

    listener: str
    index: int
    bind: Bind

    @property
    def key(self) -> str:
        """What makes it the same address after a reload, whatever its listener is called."""
        return str(self.bind) if self.bind.port else f"{self.listener}[{self.index}] {self.bind}"


@dataclass(slots=True)
class BoundAddress:
    """The sockets of one address: one for each slot, or one that is shared by all because somebody else made it."""

    listener: str
    by_slot: list[socket.socket] = field(default_factory=list)
    inherited: socket.socket | None = None

    @property
    def sockets(self) -> list[socket.socket]:
        """All of them."""
        return self.by_slot if self.inherited is None else [self.inherited]

    def close(self) -> None:
        """Give the address back."""
        for sock in self.sockets:
            sock.close()


class ListeningSockets:
    """All sockets by address."""

    def __init__(self, inherited: Sequence[tuple[str, socket.socket]] = ()) -> None:
        """`inherited`: sockets that the service manager made, with their names."""
        self._inherited = list(inherited)
        self._bound: dict[str, BoundAddress] = {}

    @property
    def bound(self) -> Iterable[BoundAddress]:
        """Every address that is in use."""
        return self._bound.values()

    @property
    def by_listener(self) -> dict[str, list[str]]:
        """The addresses in use of each listener, as text."""
        found: dict[str, list[str]] = {}
        for address in self.bound:
            found.setdefault(address.listener, []).append(address_of(address.sockets[0]))
        return found

    @property
    def unused(self) -> list[tuple[str, str]]:
        """Name and address of each socket of the service manager that no listener has: whoever connects there waits for nothing."""
        return [(name, address_of(sock)) for name, sock in self._inherited]

    def prepare(self, addresses: Sequence[Address], slots: int) -> "PreparedSockets":
        """Make what these addresses lack for `slots` workers. Raises `BindFailed`, and then nothing has changed."""
        prepared = PreparedSockets(self, {address.key: address for address in addresses})
        try:
            given = self._inherited_by_key(addresses)
            for address in addresses:
                existing = self._bound.get(address.key)
                inherited = given.get(address.key) if existing is None else existing.inherited
                if inherited is None:
                    self._fill(prepared, address, existing, slots)
                else:
                    prepared.inherited[address.key] = inherited
        except BindFailed:
            prepared.abandon()
            raise
        return prepared

    def _fill(self, prepared: "PreparedSockets", address: Address, existing: BoundAddress | None, slots: int) -> None:
        have = list(existing.by_slot) if existing else []
        made = prepared.made[address.key] = []
        for _ in range(len(have), slots):
            first = (have + made)[0] if have or made else None
            bind = address.bind if first is None else Bind(address.bind.host, first.getsockname()[1])
            is_first = first is None and not self._has_port(bind)
            try:
                made.append(listening_socket(address.listener, bind, is_first=is_first))
            except BindFailed as failure:
                raise BindFailed(address.listener, address.bind, failure.error) from None

    def _has_port(self, bind: Bind) -> bool:
        """Whether the port is ours already, on another address: 0.0.0.0 has to make way for one of its own, or the reverse."""
        held = (sock.getsockname()[1] for address in self._bound.values() for sock in address.sockets)
        return bind.port in held

    def _inherited_by_key(self, addresses: Sequence[Address]) -> dict[str, socket.socket]:
        """The sockets that the service manager made: each for its address, else for the first one of a listener of its name."""
        by_key: dict[str, socket.socket] = {}
        nameable = []
        for name, sock in self._inherited:
            host, port = sock.getsockname()[:2]
            exact = [one for one in addresses if (host, port) == (str(one.bind.host), one.bind.port)]
            if exact:
                by_key[exact[0].key] = sock
            else:
                nameable.append((name, sock))
        for name, sock in nameable:
            of_name = [one for one in addresses if one.listener == name and one.key not in by_key]
            if of_name:
                by_key[of_name[0].key] = sock
        return by_key

    def use(self, addresses: Mapping[str, Address], prepared: "PreparedSockets") -> list[BoundAddress]:
        """Take prepared sockets into use; answers the addresses that are not configured any more, for the caller to close."""
        for key, address in addresses.items():
            one = self._bound.setdefault(key, BoundAddress(address.listener, inherited=prepared.inherited.get(key)))
            one.listener = address.listener
            one.by_slot += prepared.made.get(key, [])
        self._inherited = [(name, sock) for name, sock in self._inherited if sock not in prepared.inherited.values()]
        return [self._bound.pop(key) for key in list(self._bound) if key not in addresses]

    def close(self) -> None:
        """Give all addresses back."""
        for one in self._bound.values():
            one.close()
        self._bound.clear()


class PreparedSockets:
    """Sockets for a configuration that is not in use yet."""

    def __init__(self, owner: ListeningSockets, addresses: Mapping[str, Address]) -> None:
        """Nothing is made yet."""
        self._owner = owner
        self._addresses = addresses
        self.made: dict[str, list[socket.socket]] = {}
        self.inherited: dict[str, socket.socket] = {}

    def abandon(self) -> None:
        """Close what was made: nobody has accepted on it."""
        for several in self.made.values():
            for sock in several:
                sock.close()

    def commit(self) -> list[BoundAddress]:
        """Take them into use; answers the addresses that are not configured any more, for the caller to close."""
        return self._owner.use(self._addresses, self)


def addresses_of(binds: Mapping[str, Sequence[Bind]]) -> list[Address]:
    """The addresses of all listeners, in the order of the configuration."""
    return [Address(name, index, bind) for name, several in binds.items() for index, bind in enumerate(several)]
