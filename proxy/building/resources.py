"""Build what a process may use of the machine."""

import os

from config.schema import MOST_WORKERS, Config, LimitsConfig
from proxy.limits.scarcity import ResourceLimits

# The other half is for the kernel's socket buffers, and for whatever else runs on the machine.
_OUR_PART = 2


def worker_count(config: Config) -> int:
    """How many workers serve: the configured number, or one for each core that this process may use."""
    return config.workers or min(len(os.sched_getaffinity(0)), MOST_WORKERS)


def resource_limits(limits: LimitsConfig, machine_bytes: int, workers: int) -> ResourceLimits:
    """What each of so many workers may use on a machine with this memory."""
    memory_bytes = limits.memory_bytes
    if memory_bytes is None:
        memory_bytes = machine_bytes // _OUR_PART // workers
    return ResourceLimits(limits.descriptor_reserve, memory_bytes)
