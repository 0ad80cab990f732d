"""`python -m tests.bench.budget`: where the CPU time of a request and of a handshake goes.

One table: microseconds of CPU per operation in each stage, for nginx and for Plexigate. The total is
measured without a profiler, its shares with `perf record -e cpu-clock`, which slows the programs down.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from hatch_build import compiled_modules
from tests.bench import exchanges, load, usage
from tests.bench.servers import Bench, Server
from tests.bench.stages import Frame, Stages, function_shares, samples

_ROUNDS: Final = 3
_CONNECTIONS: Final = 64
_REQUEST_SECONDS: Final = 2.0
_HANDSHAKES: Final = 640
_SAMPLES_PER_SECOND: Final = 3_000
_FUNCTIONS: Final = 40
# Stages below this are one row, in microseconds.
_LEAST: Final = 0.1


@dataclass(frozen=True, slots=True)
class Cost:
    """One server, one operation: the microseconds of each stage, and of each function."""

    stages: dict[str, float]
    functions: dict[str, float]

    @property
    def total(self) -> float:
        """Microseconds of CPU per operation."""
        return sum(self.stages.values())


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.budget", description=__doc__)
    parser.add_argument("--functions", action="store_true", help=f"print the {_FUNCTIONS} largest functions too")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # not without ending the servers
    with tempfile.TemporaryDirectory(prefix="plexigate-budget-") as directory:
        costs = measure(Bench(Path(directory), proxy_core=cores[0], other_core=cores[-1]))
    sys.stdout.write(table(costs) + "\n")
    if arguments.functions:
        sys.stdout.writelines(f"\n{_function_table(title, pair[1])}\n" for title, pair in costs.items())
    return 0


def measure(bench: Bench) -> dict[str, tuple[Cost, Cost]]:
    """The cost of each operation for nginx and for Plexigate."""
    bench.lay_out()
    stages = Stages(compiled_modules())
    with ExitStack() as stack:
        backend = stack.enter_context(bench.backend())
        nginx = stack.enter_context(bench.nginx(backend))
        plexigate = stack.enter_context(bench.plexigate(backend))
        clients = {
            server.name: stack.enter_context(exchanges.clients(server, bench.directory, exchanges.GET, _CONNECTIONS))
            for server in (nginx, plexigate)
        }
        returning = {
            server.name: load.Resumptions.of(server, bench.authority, load.VISIT) for server in (nginx, plexigate)
        }

        def request(server: Server, seconds: float = _REQUEST_SECONDS) -> int:
            return clients[server.name].run(seconds, in_flight=_CONNECTIONS).exchanges

        operations: dict[str, Callable[[Server], int]] = {
            "request": request,
            "full handshake": lambda server: load.handshakes(server, _HANDSHAKES, bench.authority, request=load.VISIT),
            "resumed": lambda server: returning[server.name].visit(_HANDSHAKES),
        }
        for server in (nginx, plexigate):
            request(server, 1.0)
        return {
            title: (_cost(stages, nginx, operate), _cost(stages, plexigate, operate))
            for title, operate in operations.items()
        }


def _cost(stages: Stages, server: Server, operate: Callable[[Server], int]) -> Cost:
    totals: list[float] = []
    chains: list[list[Frame]] = []
    for _ in range(_ROUNDS):
        before = usage.cpu_nanoseconds(server.pid)
        done = operate(server)
        totals.append((usage.cpu_nanoseconds(server.pid) - before) / done / 1_000)
        with _profiled(server, chains):
            operate(server)
    total = median(totals)

    def microseconds(shares: dict[str, float]) -> dict[str, float]:
        return {name: share * total for name, share in shares.items()}

    return Cost(microseconds(stages.shares(chains)), microseconds(function_shares(chains)))


@contextmanager
def _profiled(server: Server, chains: list[list[Frame]]) -> Iterator[None]:
    """Adds the samples of a server's processes during the block."""
    with tempfile.TemporaryDirectory(prefix="plexigate-perf-") as directory:
        data = f"{directory}/data"
        orders, answers = os.pipe(), os.pipe()
        record = ["perf", "record", "--quiet", "-e", "cpu-clock", "-F", str(_SAMPLES_PER_SECOND), "-o", data]
        record += ["-g", "--delay=-1", f"--control=fd:{orders[0]},{answers[1]}"]
        record += ["-p", ",".join(map(str, usage.processes(server.pid)))]
        with subprocess.Popen(record, pass_fds=(orders[0], answers[1])):
            os.close(orders[0])
            os.close(answers[1])
            os.write(orders[1], b"enable\n")
            os.read(answers[0], 16)  # it says when it has begun
            yield
            os.write(orders[1], b"stop\n")
        os.close(orders[1])
        os.close(answers[0])
        script = ["perf", "script", "-i", data, "-F", "ip,sym,dso"]
        told = subprocess.run(script, capture_output=True, text=True, check=True)
        chains.extend(samples(told.stdout.splitlines()))


def table(costs: dict[str, tuple[Cost, Cost]]) -> str:
    """The stages as a table in Markdown: those of the most expensive programs' parts first."""
    most: dict[str, float] = defaultdict(float)
    for pair in costs.values():
        for cost in pair:
            for stage, microseconds in cost.stages.items():
                most[stage] = max(most[stage], microseconds)
    lines = [
        f"| µs of CPU | {' | '.join(f'{title}: nginx | Plexigate' for title in costs)} |",
        f"| --- |{' ---: |' * 2 * len(costs)}",
    ]
    for stage in sorted(most):
        if most[stage] >= _LEAST:
            cells = [cost.stages.get(stage, 0.0) for pair in costs.values() for cost in pair]
            lines.append(f"| {stage} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    totals = " | ".join(f"{cost.total:.1f}" for pair in costs.values() for cost in pair)
    return "\n".join([*lines, f"| total | {totals} |"])


def _function_table(title: str, cost: Cost) -> str:
    largest = sorted(cost.functions.items(), key=lambda item: -item[1])[:_FUNCTIONS]
    return "\n".join([f"{title}, by function:", *(f"{microseconds:8.2f} µs  {name}" for name, microseconds in largest)])


if __name__ == "__main__":
    sys.exit(main())
