"""What a server has used, read from real processes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.bench import usage
from tests.programs import Program, program

# A parent that prints its child's number. Both then wait for the end of their input, which never comes.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
import signal
signal.signal(signal.SIGTERM, lambda *_: (child.kill(), sys.exit()))
print(child.pid, flush=True)
signal.pause()
"""


@contextmanager
def parent_of(child: str) -> Iterator[Program[int]]:
    """A process with one child, which has run `child` before it waits."""
    script = PARENT.format(child=f"{child}\nprint(flush=True)\nimport signal\nsignal.pause()")
    with program([sys.executable, "-c", script], lambda line: int(line) if line.isdigit() else None) as running:
        yield running


def test_children_belong_to_the_processes_of_a_server() -> None:
    with parent_of("") as running:
        assert usage.processes(running.pid) == [running.pid, running.ready]


def test_cpu_time_of_children_counts_and_is_finer_than_a_clock_tick() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    with parent_of(burn) as running:
        own = usage.cpu_nanoseconds(running.ready)
        assert 300_000_000 <= own < usage.cpu_nanoseconds(running.pid)
        assert own % 10_000_000 != 0


def test_memory_of_children_counts() -> None:
    with parent_of("block = b'x' * 50_000_000") as running:
        assert usage.resident_bytes(running.ready) > 50_000_000
        assert usage.resident_bytes(running.pid) > usage.resident_bytes(running.ready) + 5_000_000


def test_process_that_is_gone_is_an_error_and_not_zero() -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    with pytest.raises(OSError, match="Invalid argument"):
        usage.cpu_nanoseconds(gone.pid)
