"""Each address of the configuration: bound by the running proxy, by another program, or free."""

import errno
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.values.addresses import Bind, Refused, parse_bind
from proxy.admin.held_addresses import addresses_of, listening
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge
from proxy.doctor.machine.processes import PROC
from proxy.net.bound_socket import bind_fault, bound_socket

_OUR_NAME: Final = "plexigate"
_PORTS: Final = Judge("ports")


@dataclass(frozen=True, slots=True)
class PortHolder:
    """A program that listens: its name and PID; None and 0 if this user may not see."""

    name: str | None
    pid: int = 0

    @property
    def is_hidden(self) -> bool:
        """Whether this user may not see it."""
        return self.name is None

    @property
    def is_plexigate(self) -> bool:
        return self.name == _OUR_NAME

    def __str__(self) -> str:
        return "a program that this user may not see" if self.name is None else f"{self.name} (process {self.pid})"


def holders(port: int, proc: Path = PROC) -> Sequence[PortHolder]:
    sockets = {f"socket:[{inode}]" for inode, _ in listening(port, proc)}
    found = [_holder(place) for place in sorted(proc.glob("[0-9]*")) if _has(place, sockets)]
    return found or ([PortHolder(None)] if sockets else [])


def _has(place: Path, sockets: set[str]) -> bool:
    try:
        return any(str(one.readlink()) in sockets for one in (place / "fd").iterdir())
    except OSError:
        return False


def _holder(place: Path) -> PortHolder:
    try:
        return PortHolder((place / "comm").read_text(encoding="utf-8", errors="replace").strip(), int(place.name))
    except OSError:
        return PortHolder(None)


def running_binds(status: Mapping[str, object]) -> frozenset[Bind]:
    """The addresses of a running proxy, by its `GET /status`."""
    listeners = status["listeners"]
    metrics = status.get("metrics", ())
    assert isinstance(listeners, list) and isinstance(metrics, Sequence)  # noqa: PT018 - of a status
    found = set()
    for address in [*(one for listener in listeners for one in listener["addresses"]), *metrics]:
        try:
            found.add(parse_bind(address))
        except Refused:
            continue
    return frozenset(found)


def port_finding(key: str, bind: Bind, running: frozenset[Bind] | None, proc: Path = PROC) -> Finding:
    """Judge one address. `running` is None when no proxy runs."""
    subject = f"{bind} ({key})"
    if running is not None and any(bind == one or bind.overlaps(one) for one in running):
        return _PORTS.ok(subject, "bound by the running proxy")
    try:
        bound_socket(bind).close()
    except PermissionError:
        remedy = "The unit of systemd gives CAP_NET_BIND_SERVICE; run the doctor with the rights of the service."
        return _PORTS.warning(subject, f"port {bind.port} is privileged, and this user may not bind it", remedy)
    except OSError as error:
        found, remedy = bind_fault(bind, error)
        if error.errno != errno.EADDRINUSE:
            return _PORTS.failure(subject, found, f"Use {remedy}.")
        there = holders(bind.port, proc)
        if running is None and any(one.is_hidden for one in there):
            found = "in use, perhaps by the proxy: this user may not see which program listens there"
            return _PORTS.unknown(subject, found, "Run the doctor as root, or as the user of the service.")
        if running is None and any(one.is_plexigate for one in there):
            found = f"{', '.join(map(str, there))} listens there, and no proxy answers on the admin socket of this file"
            remedy = (
                "If it serves by this file, look at its log, or name its socket: --socket PATH. Else stop it, or choose "
                "another port."
            )
            return _PORTS.warning(subject, found, remedy)
        names = ", ".join(map(str, there)) or "a program in another network namespace"
        kind = "another program has it" if running is None else "the running proxy does not have it"
        return _PORTS.failure(
            subject, f"{kind}: {names} listens there", "Stop it (ss -ltnp shows it to root), or choose another port."
        )
    if running is not None:
        found = "free: the running proxy does not listen there"
        return _PORTS.warning(subject, found, "Reload, or restart if the reload says so: plexigate reload.")
    return _PORTS.ok(subject, "free")


def _ports(examined: Examined) -> Iterator[Finding]:
    loaded = examined.loaded
    running = None if examined.status is None else running_binds(examined.status)
    file = loaded.file
    for location, bind in addresses_of(loaded.config):
        if bind.port == 0:
            yield _PORTS.skipped(f"{bind} ({file.key(*location)})", "the system chooses the port")
        else:
            yield port_finding(file.key(*location), bind, running)


PORTS: Final = (Checkup("ports", Area.NETWORK, _ports),)
