"""File descriptors of the running processes, and the settings of the kernel that limit a proxy."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.schema import Config
from proxy.building.resources import worker_count
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge
from proxy.doctor.machine.processes import PROC, RunningProcess, running_processes
from proxy.limits.machine import most_descriptors
from proxy.net.bound_socket import BACKLOG

_FILES: Final = Judge("file descriptors")
_KERNEL: Final = Judge("kernel settings")
_FEW_PORTS: Final = 10_000
_NEARLY: Final = 0.8
_RAISE: Final = "Set LimitNOFILE=262144 in the unit (systemctl edit plexigate), or ulimit -n before the start; restart."


@dataclass(frozen=True, slots=True)
class Descriptors:
    """How many descriptors each worker needs for the limits of a configuration."""

    connections: int
    upstream: int
    reserve: int
    workers: int

    @property
    def each(self) -> int:
        """For one worker, if the kernel shares the connections out evenly."""
        return (self.connections + self.upstream) // self.workers + self.reserve


def needed_descriptors(config: Config) -> Descriptors:
    """What the limits of connections allow together."""
    clients = sum(config.limits.for_listener(one.limits).connections for one in config.listener.values())
    upstream = sum(one.connections * len(one.servers) for one in config.all_upstreams.values())
    # connections to servers count for each worker
    workers = worker_count(config)
    return Descriptors(clients, upstream * workers, config.limits.descriptor_reserve, workers)


def file_findings(
    processes: list[RunningProcess], needed: Descriptors | None, own_limit: int | None
) -> Iterator[Finding]:
    """Judge the limits of the running processes; without any, the limit of this shell."""
    for one in processes:
        most = one.most_files
        is_worker = one.name.startswith("worker")
        used = "" if one.open_files is None else f", {one.open_files} in use"
        found = f"{'no limit' if most is None else f'at most {most}'}{used} (process {one.pid})"
        if most is not None and one.open_files is not None and one.open_files > most * _NEARLY:
            yield _FILES.failure(one.name, f"{found}: nearly all", _RAISE)
        elif most is not None and is_worker and needed is not None and most < needed.each:
            yield _FILES.warning(one.name, f"{found}; {_demand(needed)}", _RAISE)
        else:
            yield _FILES.ok(one.name, found)
    if not processes and needed is not None and own_limit is not None and own_limit < needed.each:
        found = f"a process that starts from here may have {own_limit}; {_demand(needed)}"
        yield _FILES.warning("this shell", found, _RAISE)
    elif not processes:
        found = "no limit" if own_limit is None else f"a process that starts from here may have {own_limit}"
        yield _FILES.ok("this shell", found)


def _demand(needed: Descriptors) -> str:
    return (
        f"the limits of the configuration allow {needed.connections} connections of clients and {needed.upstream} to "
        f"servers, which is {needed.each} descriptors for each of {needed.workers} workers"
    )


def kernel_findings(sysctl: Path) -> Iterator[Finding]:
    """Judge the settings below a directory such as /proc/sys."""
    most = _number(sysctl / "net/core/somaxconn")
    if most is None:
        yield _KERNEL.unknown("net.core.somaxconn", "cannot be read here")
    elif most < BACKLOG:
        found = f"{most}: a burst of connections beyond it is lost, and clients wait a second to try again"
        yield _KERNEL.warning("net.core.somaxconn", found, f"sysctl -w net.core.somaxconn={BACKLOG}; restart.")
    else:
        yield _KERNEL.ok("net.core.somaxconn", f"{most}")
    try:
        first, last = map(int, (sysctl / "net/ipv4/ip_local_port_range").read_text().split())
    except (OSError, ValueError):
        yield _KERNEL.unknown("net.ipv4.ip_local_port_range", "cannot be read here")
        return
    found = f"{first} to {last}: {last - first + 1} connections to one server at a time"
    if last - first + 1 < _FEW_PORTS:
        remedy = 'sysctl -w net.ipv4.ip_local_port_range="15000 60999", or give the upstream more servers.'
        yield _KERNEL.warning("net.ipv4.ip_local_port_range", found, remedy)
    else:
        yield _KERNEL.ok("net.ipv4.ip_local_port_range", found)


def port_findings(config: Config, sysctl: Path) -> Iterator[Finding]:
    """Judge whether the kernel may give a port of a listener to a connection of another program."""
    try:
        first, last = map(int, (sysctl / "net/ipv4/ip_local_port_range").read_text().split())
        reserved = (sysctl / "net/ipv4/ip_local_reserved_ports").read_text().strip()
    except (OSError, ValueError):
        return
    ports = sorted({bind.port for one in config.listener.values() for bind in one.bind})
    for port in [one for one in ports if first <= one <= last and not _is_in(one, reserved)]:
        found = f"it lies among the ports of outgoing connections ({first} to {last}): a restart may find it in use"
        remedy = f"sysctl -w net.ipv4.ip_local_reserved_ports={port}, or listen on a port below {first}."
        yield _KERNEL.warning(f"port {port}", found, remedy)


def _is_in(port: int, ranges: str) -> bool:
    parts = [part.partition("-") for part in ranges.split(",") if part]
    return any(int(first) <= port <= int(last or first) for first, _, last in parts)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _files(examined: Examined) -> Iterator[Finding]:
    needed = None if examined.configured is None else needed_descriptors(examined.configured.config)
    processes = [] if examined.status is None else list(running_processes(examined.status))
    if examined.status is not None and not processes:
        yield _FILES.unknown("the running proxy", "its processes are not visible here (another PID namespace?)")
        return
    yield from file_findings(processes, needed, most_descriptors())


def _settings(examined: Examined) -> Iterator[Finding]:
    yield from kernel_findings(PROC / "sys")
    if examined.configured is not None:
        yield from port_findings(examined.configured.config, PROC / "sys")


KERNEL: Final = (
    Checkup("file descriptors", Area.MACHINE, _files),
    Checkup("kernel settings", Area.MACHINE, _settings),
)
