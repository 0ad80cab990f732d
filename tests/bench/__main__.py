"""`./dev bench`: what Plexigate costs beside nginx and HAProxy, in one run of about eight minutes on two cores.

The three take turns on one core; their upstream and the load share the other. CPU is measured, not speed: the time of all
processes of a server, user and system, divided by the operations done. With a key in a slow token it is time: there the question is
who waits. With --instructions, instructions are counted instead, for rows of few operations. Exit code 1 when something costs more than is wanted, 2 when it cannot be measured.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

from tests.bench import day, differing, load, machine, report
from tests.bench.instructions import Instructions
from tests.bench.measuring import CpuTime, Meter, Scene
from tests.bench.report import Row
from tests.bench.rows import COUNTED, ROWS
from tests.bench.servers import Bench
from tests.programs import NotReadyError

GROUP = "X25519MLKEM768"


def main() -> int:
    """Measure, print, and answer the exit code."""
    parser = argparse.ArgumentParser(
        prog="./dev bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--markdown", action="store_true", help="print the tables of docs/performance.md")
    parser.add_argument("--list", action="store_true", help="print the names of the rows, and end")
    parser.add_argument(
        "--instructions", action="store_true", help="count instructions by callgrind, not time: in any company"
    )
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="where callgrind writes its files, to be kept")
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="ROW", help="measure these rows")
    arguments = parser.parse_args()
    if arguments.list:
        sys.stdout.write("".join(f"{name:16}{measure.__doc__}\n" for name, measure in ROWS.items()))
        return 0
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.stderr.write("bench: two cores are needed, one for the server and one for the load\n")
        return 2
    head = machine.described()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # not without ending the servers
    try:
        with tempfile.TemporaryDirectory(prefix="plexigate-bench-") as directory:
            meter = Instructions(arguments.keep or Path(directory)) if arguments.instructions else CpuTime()
            under = meter.command if isinstance(meter, Instructions) else ()
            names = arguments.only or (COUNTED if under else ROWS)
            rows = measured(Bench(Path(directory), cores[0], cores[1], under), meter, names)
    except (load.LoadError, NotReadyError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    written = report.as_json if arguments.json else report.markdown if arguments.markdown else report.table
    sys.stdout.write(written(head, rows) + "\n")
    return 0 if all(row.is_within_limit for row in rows) else 1


def measured(bench: Bench, meter: Meter, names: Collection[str]) -> list[Row]:
    """The rows of these names, in the order of the table."""
    os.sched_setaffinity(0, {bench.other_core})
    bench.lay_out()
    rows: list[Row] = []
    with bench.backend([*differing.ANSWERS, *day.ANSWERS]) as backend, bench.all_three(backend) as servers:
        for server in servers:
            group = load.negotiated_group(server, bench.authority)
            if group != GROUP:
                raise load.LoadError(server, f"negotiated {group}, not {GROUP}")
        began = time.monotonic()
        for name in ROWS:
            if name in names:
                sys.stderr.write(f"bench: {time.monotonic() - began:4.0f} s  {name}\n")
                rows += ROWS[name](Scene(bench, backend, servers, meter))
    return rows


if __name__ == "__main__":
    sys.exit(main())
