"""Checks the addresses of a configuration against this machine, while a proxy may run.

A start must be able to bind them, and no server of an upstream should be one of them.

Each address is bound for a moment, without listening. The kernel refuses this if a program listens
there, and the program loses no connection by it. If that program is a proxy with this
configuration, the address is its own and there is no fault. The admin socket of the configuration
tells this, or the sockets that commands try. A socket that the service manager holds is for the
service, too.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from config.loading.loaded import LoadedConfig
from config.schema import Config
from config.values.addresses import Bind, IPAddress, Refused, ServerAddress, parse_bind, parse_ip
from config.values.problems import Location, Problem
from proxy.admin.client import AdminAbsent, AdminUnreachable, UnixAdminClient
from proxy.admin.settings import AdminSettings
from proxy.net.bound_socket import bind_fault, bound_socket

_ANSWER_SECONDS: Final = 5.0
_LOOPBACK: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_LISTENS: Final = "0A"  # TCP_LISTEN, as /proc/net/tcp writes it


class Holder(Enum):
    """The program that listens on an address."""

    OURS = auto()
    """The proxy that runs by this configuration, or the service manager for it."""
    UNKNOWN = auto()
    """Perhaps one of `OURS`: this user may not ask."""
    ANOTHER = auto()


@dataclass(frozen=True, slots=True)
class RunningAddresses:
    """The addresses of a running proxy. None if a proxy runs and does not tell them."""

    binds: Set[Bind] | None


def address_problems(loaded: LoadedConfig, proc: Path = Path("/proc")) -> Iterator[Problem]:
    """Errors for addresses that this machine does not have or that another program uses.

    Addresses that this user may not bind are warnings.
    """
    running: RunningAddresses | None = None
    for place, bind in addresses_of(loaded.config):
        try:
            bound_socket(bind).close()
        except OSError as error:
            holder = Holder.ANOTHER
            if error.errno == errno.EADDRINUSE:
                running = running or running_among(AdminSettings.places(loaded.file, loaded.config.admin))
                holder = holder_of(bind, running, proc)
            if isinstance(error, PermissionError):  # another user may start the proxy
                found, better = bind_fault(bind, error)
                yield loaded.file.warning(place, found, f"{better}; docker/plexigate.service gives it")
            elif holder is Holder.ANOTHER:
                yield loaded.file.error(place, *bind_fault(bind, error))
            elif holder is Holder.UNKNOWN:
                better = "to ask as root or as the user of the proxy, whether it is the proxy that has it"
                yield loaded.file.warning(place, f"{bind}, which is in use, perhaps by this proxy", better)


def own_server_problems(loaded: LoadedConfig) -> Iterator[Problem]:
    """Warnings for servers that are this proxy: each request would come back to it.

    Names other than localhost are not looked up: a check waits for no name server.
    """
    binds = [bind for place, bind in addresses_of(loaded.config) if place[0] != "admin"]
    for place, server in _servers(loaded.config):
        own = next((one for one in binds for host in _hosts(server.host) if _leads_to(one, host, server.port)), None)
        if own is not None:
            better = "the address of the server itself: a request that comes back to the proxy gets 508"
            yield loaded.file.warning(place, f"{server}, where this proxy itself listens ({own})", better)


def _servers(config: Config) -> Iterator[tuple[Location, ServerAddress]]:
    for name, upstream in config.upstream.items():
        yield from ((("upstream", name, "servers", index), one.address) for index, one in enumerate(upstream.servers))
    for name, listener in config.listener.items():
        yield from ((("listener", name, "passthrough", of), server) for of, server in listener.passthrough.items())


def _hosts(name: str) -> tuple[IPAddress, ...]:
    """The addresses of a server, as far as its name tells them; the unspecified one leads here."""
    address = parse_ip(name)
    if name == "localhost":
        return _LOOPBACK
    if address is None:
        return ()
    return tuple(one for one in _LOOPBACK if one.version == address.version) if address.is_unspecified else (address,)


def _leads_to(bind: Bind, host: IPAddress, port: int) -> bool:
    """Whether a connection to that host and port comes to the address."""
    if not bind.overlaps(Bind(host, port)):
        return False
    if bind.host == host or host.is_loopback:
        return True
    try:
        bound_socket(Bind(host, 0)).close()
    except OSError:
        return False  # of another machine
    return True


def addresses_of(config: Config) -> Iterator[tuple[Location, Bind]]:
    """Every address that a start binds, and its location in the configuration."""
    for name, listener in config.listener.items():
        yield from (((("listener", name, "bind", index)), bind) for index, bind in enumerate(listener.bind))
    yield from ((("plain", "bind", index), bind) for index, bind in enumerate(config.plain.bind))
    yield from ((("admin", "metrics_bind", index), bind) for index, bind in enumerate(config.admin.metrics_bind))


def running_among(sockets: Iterable[Path]) -> RunningAddresses:
    """Ask the proxies behind these sockets."""
    binds: set[Bind] = set()
    for one in map(running_proxy, sockets):
        if one.binds is None:
            return one
        binds |= one.binds
    return RunningAddresses(binds)


def running_proxy(socket: Path) -> RunningAddresses:
    """Ask the proxy behind an admin socket which addresses it has."""
    try:
        if not stat.S_ISSOCK(socket.stat().st_mode):
            return RunningAddresses(frozenset())
    except PermissionError:
        return RunningAddresses(None)
    except OSError:  # no socket exists there
        return RunningAddresses(frozenset())
    try:
        status, answer = UnixAdminClient(socket).get("/status", _ANSWER_SECONDS)
        listed = [*(one for listener in answer["listeners"] for one in listener["addresses"]), *answer["metrics"]]
        return RunningAddresses({parse_bind(one) for one in listed}) if status == 200 else RunningAddresses(None)
    except AdminAbsent:
        return RunningAddresses(frozenset())
    except (AdminUnreachable, KeyError, TypeError, Refused):  # this user may not ask it, or it has another version
        return RunningAddresses(None)


def holder_of(bind: Bind, running: RunningAddresses, proc: Path) -> Holder:
    if running.binds is None:
        return Holder.UNKNOWN
    if any(bind.overlaps(one) for one in running.binds):
        return Holder.OURS
    return _service_manager(bind, proc)


def _service_manager(bind: Bind, proc: Path) -> Holder:
    """Whether the first process of the machine listens there, as far as this user can see."""
    sockets = list(listening(bind.port, proc))
    try:
        held = {str(one.readlink()) for one in (proc / "1/fd").iterdir()}
    except OSError:
        is_of_root = bool(sockets) and all(user == 0 for _, user in sockets)
        return Holder.UNKNOWN if is_of_root and os.geteuid() != 0 else Holder.ANOTHER
    is_held = bool(sockets) and all(f"socket:[{inode}]" in held for inode, _ in sockets)
    return Holder.OURS if is_held else Holder.ANOTHER


def listening(port: int, proc: Path) -> Iterator[tuple[str, int]]:
    """Inode and user of each socket that listens on a port (proc_net_tcp(5))."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9], int(fields[7])
