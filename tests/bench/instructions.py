"""The instructions that a server executes for an operation, end to end: TLS, HTTP, its log, what it does around system calls.

Callgrind counts them (of valgrind), as virtual machines often have no counters of their own. It runs a program fifty times slower, so
operations are few. Other work on the machine does not change the figures; what the kernel does is not in them.
"""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.bench import usage
from tests.bench.load import LoadError
from tests.bench.servers import Server

_COMMAND_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Instructions:
    """Counts thousands of them, in servers that run under `command`."""

    directory: Path
    """Where callgrind writes its files; those of the last operations, and of idleness after them, for callgrind_annotate."""
    idle_seconds: float = 10.0
    """How long what they do by the clock is counted alone."""
    unit: ClassVar[str] = "k ins"
    rounds: ClassVar[int] = 1
    most: ClassVar[int] = 1_024

    @property
    def command(self) -> Sequence[str]:
        """What the servers run under: it counts nothing until it is told to."""
        written = f"--callgrind-out-file={self.directory}/callgrind.%p"
        return "valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", "--trace-children=yes", written

    def per_operation(self, server: Server, operate: Callable[[Server], int]) -> float:
        """Of all processes of the server. Raises LoadError where callgrind does not answer.

        What they do by the clock, request or not, is subtracted: at a fiftieth of the speed it would count for fifty times as much.
        """
        processes = usage.processes(server.pid)
        for one in processes:
            self._tell(server, one, "instrumentation on")
        began = self._zeroed(server, processes)
        operations = operate(server)
        seconds = time.monotonic() - began
        counted = self._dumped(server, processes)
        began = self._zeroed(server, processes)
        time.sleep(self.idle_seconds)
        idle_seconds = time.monotonic() - began
        idle = self._dumped(server, processes)
        for one in processes:
            self._tell(server, one, "instrumentation off")
        return (counted - idle * seconds / idle_seconds) / operations / 1_000

    def _zeroed(self, server: Server, processes: Sequence[int]) -> float:
        """Begin to count; answers when that was."""
        for one in processes:
            self._tell(server, one, "zero")
        return time.monotonic()

    def _dumped(self, server: Server, processes: Sequence[int]) -> int:
        for one in processes:
            self._tell(server, one, "dump")
        return sum(map(self._total, processes))

    def _tell(self, server: Server, process: int, words: str) -> None:
        command = ["vgdb", f"--pid={process}", *words.split()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False)
        if done.returncode:
            raise LoadError(server, f"callgrind says {done.stderr}")

    def _total(self, process: int) -> int:
        dumps = self.directory.glob(f"callgrind.{process}.*")
        last = max(dumps, key=lambda path: int(path.suffix[1:]))
        (line,) = [line for line in last.read_text().splitlines() if line.startswith("totals: ")]
        return int(line.split()[1])
