"""Whether a start could have the addresses of a configuration, found out beside a proxy that may
have them already.

Each is bound for a moment, alone and without listening, which is refused where a program listens,
and takes no connection from it. Which program that is tells the admin socket of the configuration,
or those where commands look: a proxy that runs by it may have its own addresses. A socket that the
service manager holds is for the service, too.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final

from config.addresses import Bind, Refused, parse_bind
from config.loaded import LoadedConfig
from config.problems import Location, Problem
from config.schema import Config
from proxy.admin.client import AdminAbsent, AdminUnreachable, UnixAdminClient
from proxy.admin.settings import AdminSettings
from proxy.net.bound_socket import bind_fault, bound_socket

_ANSWER_SECONDS: Final = 5.0
_LISTENS: Final = "0A"  # TCP_LISTEN, as /proc/net/tcp writes it


class Holder(Enum):
    """Who listens on an address that is in use."""

    OURS = auto()
    """The proxy that runs by this configuration, or the service manager for it."""
    UNKNOWN = auto()
    """Perhaps one of these: this user may not ask."""
    ANOTHER = auto()


@dataclass(frozen=True, slots=True)
class RunningAddresses:
    """What is known of a proxy that runs: its addresses; None where there is one that does not say
    them.
    """

    binds: Set[Bind] | None


def address_problems(loaded: LoadedConfig, proc: Path = Path("/proc")) -> Iterator[Problem]:
    """Addresses that are not of this machine or in use by another program, and warnings of those
    that this user may not have.
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
            if isinstance(error, PermissionError):  # of this user, who need not be the one that starts the proxy
                found, better = bind_fault(bind, error)
                yield loaded.file.warning(place, found, f"{better}; docker/plexigate.service gives it")
            elif holder is Holder.ANOTHER:
                yield loaded.file.error(place, *bind_fault(bind, error))
            elif holder is Holder.UNKNOWN:
                better = "to ask as root or as the user of the proxy, whether it is the proxy that has it"
                yield loaded.file.warning(place, f"{bind}, which is in use, perhaps by this proxy", better)


def addresses_of(config: Config) -> Iterator[tuple[Location, Bind]]:
    """Every address that a start binds, and where it stands."""
    for name, listener in config.listener.items():
        yield from (((("listener", name, "bind", index)), bind) for index, bind in enumerate(listener.bind))
    yield from ((("acme", "http_bind", index), bind) for index, bind in enumerate(config.acme.http_bind))
    yield from ((("admin", "metrics_bind", index), bind) for index, bind in enumerate(config.admin.metrics_bind))


def running_among(sockets: Iterable[Path]) -> RunningAddresses:
    """Ask each proxy there may be."""
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
    except OSError:  # no path that a socket could be at
        return RunningAddresses(frozenset())
    try:
        status, answer = UnixAdminClient(socket).get("/status", _ANSWER_SECONDS)
        listed = [*(one for listener in answer["listeners"] for one in listener["addresses"]), *answer["metrics"]]
        return RunningAddresses({parse_bind(one) for one in listed}) if status == 200 else RunningAddresses(None)
    except AdminAbsent:
        return RunningAddresses(frozenset())
    except (AdminUnreachable, KeyError, TypeError, Refused):  # it may not be asked, or is of another version
        return RunningAddresses(None)


def holder_of(bind: Bind, running: RunningAddresses, proc: Path) -> Holder:
    """Who listens on an address."""
    if running.binds is None:
        return Holder.UNKNOWN
    if any(bind.overlaps(one) for one in running.binds):
        return Holder.OURS
    return _service_manager(bind, proc)


def _service_manager(bind: Bind, proc: Path) -> Holder:
    """Whether it is the first process of the machine, as far as this user can see."""
    sockets = list(_listening(bind.port, proc))
    try:
        held = {str(one.readlink()) for one in (proc / "1/fd").iterdir()}
    except OSError:
        is_of_root = bool(sockets) and all(user == 0 for _, user in sockets)
        return Holder.UNKNOWN if is_of_root and os.geteuid() != 0 else Holder.ANOTHER
    is_held = bool(sockets) and all(f"socket:[{inode}]" in held for inode, _ in sockets)
    return Holder.OURS if is_held else Holder.ANOTHER


def _listening(port: int, proc: Path) -> Iterator[tuple[str, int]]:
    """Inode and user of each socket that listens on a port (proc_net_tcp(5))."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9], int(fields[7])
