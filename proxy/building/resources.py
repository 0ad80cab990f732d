"""Build the limits for what a process may use of the machine."""

import os

from config.schema import MOST_WORKERS, Config, LimitsConfig
from proxy.building.foundation import Foundation
from proxy.limits.scarcity import ResourceLimits

# The other half is for the kernel's socket buffers, and for the other programs of the machine.
_OUR_PART = 2


def worker_count(config: Config) -> int:
    """How many workers serve: the configured number, or one for each usable core."""
    return config.workers or min(len(os.sched_getaffinity(0)), MOST_WORKERS)


def note_descriptor_shortage(foundation: Foundation, descriptors: int | None) -> None:
    """Warn if the workers have too few descriptors for the configured connections.

    `descriptors` is the limit of each worker, or None without a limit.
    """
    config = foundation.loaded.config
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
        "may need another one to its upstream; without them the listeners pause for a moment, again and again"
    )
    foundation.problems.append(foundation.loaded.file.warning(location, found, better))


def resource_limits(limits: LimitsConfig, machine_bytes: int, workers: int) -> ResourceLimits:
    """What each of `workers` processes may use on a machine with this memory."""
    memory_bytes = limits.memory_bytes
    if memory_bytes is None:
        memory_bytes = machine_bytes // _OUR_PART // workers
    return ResourceLimits(limits.descriptor_reserve, memory_bytes)
