"""The system calls of a process for its TCP connections, counted by strace."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.waiting import until_found

_CALL: Final = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
# The loop waits for its timers too, other threads are woken for the log, and an allocator may want
# memory at any time: how often is a matter of time, not of the number of connections.
_MATTERS_OF_TIME: Final = {"epoll_pwait", "futex", "restart_syscall", "brk", "mmap", "munmap", "madvise"}
# In calls without a descriptor of a connection, that is in none of these.
_WITHOUT_DESCRIPTOR: Final = {"getpid", "getrandom", "epoll_wait", "socket", "clock_gettime", "getrusage"}


@dataclass(slots=True)
class Trace:
    """What one thread of a process calls."""

    log: Path
    calls: Counter[str] = field(default_factory=Counter)
    """Filled when the trace has ended."""

    def closed(self) -> int:
        """How many accepted connections were closed so far."""
        found = list(_parsed(self.log.read_text().splitlines()))
        accepted = {call["result"] for call in found if call["name"].startswith("accept")}
        return sum(call["name"] == "close" and call["arguments"] in accepted for call in found)


def count(lines: Iterable[str]) -> Counter[str]:
    """Count the calls for TCP connections in a log of strace.

    These are the descriptors that `accept4` returned or was given, and those over which HTTP passes
    that can be read.
    """
    found = list(_parsed(lines))
    descriptors: set[str] = set()
    for call in found:
        if call["name"].startswith("accept"):
            descriptors |= {call["result"], _first(call)}
        elif "HTTP/1.1" in call["arguments"]:
            descriptors.add(_first(call))
    return Counter(call["name"] for call in found if _is_for(call, descriptors))


def _is_for(call: re.Match[str], descriptors: set[str]) -> bool:
    if call["name"] in _MATTERS_OF_TIME:
        return False
    if call["name"] == "epoll_ctl":
        return call["arguments"].split(", ")[2] in descriptors
    return call["name"] in _WITHOUT_DESCRIPTOR or _first(call) in descriptors


def _first(call: re.Match[str]) -> str:
    return call["arguments"].partition(",")[0]


def _parsed(lines: Iterable[str]) -> Iterator[re.Match[str]]:
    return (call for line in lines if (call := _CALL.match(line)) is not None)


@contextmanager
def traced(pid: int, log: Path) -> Iterator[Trace]:
    """Trace the main thread of a process during the block."""
    trace = Trace(log)
    # Strings are cut: the first bytes of a request line and of a status line are enough.
    command = ["strace", "-s", "64", "-o", str(log), "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        try:
            assert "attached" in (said := strace.stderr.readline()), said
            yield trace
        finally:
            strace.terminate()
    trace.calls = count(log.read_text().splitlines())


def each(calls: Counter[str], operations: int) -> dict[str, float]:
    """The calls for one operation."""
    return {name: number / operations for name, number in sorted(calls.items())}


def wait_for_closed(trace: Trace, connections: int) -> None:
    """Wait until so many accepted connections are closed."""
    until_found(lambda: trace.closed() >= connections)
