"""Build the limits for what a process may use of the machine."""

import os
from dataclasses import dataclass

from config.schema import MOST_WORKERS, Config
from proxy.building.foundation import Foundation
from proxy.limits.scarcity import LARGEST_RESERVE, ResourceLimits

# The other half is for the kernel's socket buffers, and for the other programs of the machine.
_OUR_PART = 2
# Of the reserve, for the log and what libraries open; and what is left for servers in any case.
_OF_THE_WORKER = 16
_LEAST = 8


def worker_count(config: Config) -> int:
    """How many workers serve: the configured number, or one for each usable core."""
    return config.workers or min(len(os.sched_getaffinity(0)), MOST_WORKERS)


@dataclass(frozen=True, slots=True)
class UpstreamBudget:
    """How many connections to servers a worker may have at a time, without those of WebSockets."""

    wanted: int
    """What the configuration allows to all servers together."""
    most: int
    """What the descriptors of the worker allow."""

    @classmethod
    def of(cls, config: Config, descriptors: int | None) -> "UpstreamBudget":
        """By the descriptors of a worker; None without a limit."""
        wanted = sum(one.connections * len(one.servers) for one in config.all_upstreams.values())
        most = wanted if descriptors is None else max(_LEAST, descriptors // LARGEST_RESERVE - _OF_THE_WORKER)
        return cls(wanted, min(wanted, most))

    def to_each(self, connections: int) -> int:
        """The connections to a server with these `connections` configured."""
        return max(1, connections * self.most // self.wanted)


def note_descriptor_shortage(foundation: Foundation, descriptors: int | None) -> None:
    """Warn if the workers have too few descriptors for the configured connections.

    `descriptors` is the limit of each worker, or None without a limit.
    """
    config = foundation.loaded.config
    _note_fewer_connections(foundation, UpstreamBudget.of(config, descriptors), descriptors)
    workers = worker_count(config)
    most = {name: config.limits.for_listener(one.limits).connections for name, one in config.listener.items()}
    if descriptors is None or descriptors * workers >= max(most.values(), default=0):
        return
    listener = max(most, key=lambda name: most[name])
    is_own = config.listener[listener].limits.connections is not None
    location = ("listener", listener, "limits", "connections") if is_own else ("limits", "connections")
    found = f"{most[listener]}, while each of {workers} workers may have {descriptors} file descriptors"
    better = (
        f"a higher hard limit (LimitNOFILE= of systemd, ulimit -n): {2 * most[listener]} and some for each worker, as a connection "
        "may need another one to its upstream; without them the listeners pause repeatedly"
    )
    foundation.problems.append(foundation.loaded.file.warning(location, found, better))


def _note_fewer_connections(foundation: Foundation, servers: UpstreamBudget, descriptors: int | None) -> None:
    """Warn if servers get fewer connections than they are configured to have."""
    for name, one in foundation.loaded.config.upstream.items():
        if servers.to_each(one.connections) < one.connections:
            found = f"{one.connections}, while each worker may have {descriptors} file descriptors"
            better = (
                f"a higher hard limit (LimitNOFILE= of systemd, ulimit -n), or lower numbers: a worker has at most "
                f"{servers.most} connections to all servers together, and {servers.to_each(one.connections)} to each "
                "of these, so that clients find descriptors too"
            )
            foundation.problems.append(foundation.loaded.file.warning(("upstream", name, "connections"), found, better))


def resource_limits(config: Config, machine_bytes: int, descriptors: int | None) -> ResourceLimits:
    """What each worker may use on a machine with this memory and these descriptors.

    The reserve is never less than the connections to servers: they are what it is for.
    """
    memory_bytes = config.limits.memory_bytes
    if memory_bytes is None:
        memory_bytes = machine_bytes // _OUR_PART // worker_count(config)
    servers = UpstreamBudget.of(config, descriptors)
    return ResourceLimits(max(config.limits.descriptor_reserve, servers.most + _OF_THE_WORKER), memory_bytes)
