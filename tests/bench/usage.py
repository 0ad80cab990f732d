"""What a running server has used so far: CPU time and memory of its process and all processes that it started."""

import time
from pathlib import Path

_SCHEDULER_CLOCK = 2  # CPUCLOCK_SCHED: user + system time of all threads, in nanoseconds (linux/posix-timers.h)


def processes(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we looked
        parent = int(text.rpartition(")")[2].split()[1])  # behind the name, which may hold anything: state, parent
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found.extend(children.get(each, []))
    return found


def cpu_nanoseconds(pid: int) -> int:
    """CPU time of a process and its descendants: utime + stime of /proc/PID/stat, without its rounding to 10 ms."""
    return sum(time.clock_gettime_ns(~each << 3 | _SCHEDULER_CLOCK) for each in processes(pid))


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants."""
    total = 0
    for each in processes(pid):
        status = Path(f"/proc/{each}/status").read_text().splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))
    return total
