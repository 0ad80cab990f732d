"""What this process may use of the machine, and what it uses."""

import contextlib
import ctypes
import os
import re
import resource
from pathlib import Path
from time import thread_time
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_KIB: Final = 1_024
# Each control group may have a limit: that of the process and its parents (cgroups, version 2).
_CGROUPS: Final = Path("/sys/fs/cgroup")


class ProcessFigures:
    """The figures of this process; each costs a few microseconds."""

    def __init__(self) -> None:
        """Open the file for all later reads: when descriptors have run out, it cannot be opened."""
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc only

    def close(self) -> None:
        """Close the descriptor; no figure may be read afterwards."""
        descriptor, self._statm = self._statm, -1
        if descriptor >= 0:
            os.close(descriptor)

    @property
    def descriptor_limit(self) -> int:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return soft

    @property
    def lowest_free_descriptor(self) -> int:
        """The next descriptor's number, a lower bound of those in use; without one, the limit."""
        try:
            descriptor = os.dup(self._statm)
        except OSError:
            return self.descriptor_limit
        os.close(descriptor)
        return descriptor

    @property
    def resident_bytes(self) -> int:
        return int(os.pread(self._statm, 128, 0).split()[1]) * _PAGE_BYTES

    def give_memory_back(self) -> float:
        """Return freed memory to the system, as far as it is whole pages. Takes milliseconds.

        Returns how many seconds of a processor it took. Without this call glibc keeps the memory.
        """
        begun = thread_time()
        if self._trim is not None:
            self._trim(0)
        return thread_time() - begun


def most_descriptors() -> int | None:
    """How many descriptors a process of ours may have; None: any number.

    Each process raises its soft limit to the hard one.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if most == resource.RLIM_INFINITY else most


def memory_bytes(proc: Path = Path("/proc"), cgroups: Path = _CGROUPS) -> int:
    """The memory of the machine, or of the smallest control group that this process is in."""
    found = re.search(r"^MemTotal:\s+(\d+) kB$", (proc / "meminfo").read_text(), re.MULTILINE)
    assert found is not None  # each Linux has it
    sizes = [int(found[1]) * _KIB]
    own = re.search(r"^0::/(.*)$", (proc / "self/cgroup").read_text(), re.MULTILINE)
    group = cgroups / (own[1] if own else "")
    for place in (group, *group.parents):
        if place.is_relative_to(cgroups):
            with contextlib.suppress(OSError, ValueError):  # the root has none, and "max" is none
                sizes.append(int((place / "memory.max").read_text()))
    return min(sizes)
