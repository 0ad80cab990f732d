"""`./dev bench`: what Plexigate costs beside nginx, in one run of about a minute on two cores.

Proxy and nginx take turns on one core; the backend and the load share the other. CPU is measured, not speed: the time of all
processes of a server, user and system, divided by the operations done. With a key in a slow token it is time: there the question is
who waits. Exit code 1 when a limit is exceeded, 2 when it cannot measure.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.bench import load, payload, report, signing, usage
from tests.bench.servers import LARGE, SMALL, Bench, Server
from tests.programs import NotReadyError

GROUP = "X25519MLKEM768"
ROUNDS = 5
REQUEST_SECONDS = 2
HANDSHAKES = 800
VISIT = f"GET {SMALL} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
IDLE_CONNECTIONS = 500
WARM_UP_CONNECTIONS = 50

Start = Callable[[Server], AbstractContextManager[Server]]


def main() -> int:
    """Measure, print, and answer the exit code."""
    parser = argparse.ArgumentParser(
        prog="./dev bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.stderr.write("bench: two cores are needed, one for the server and one for the load\n")
        return 2
    os.sched_setaffinity(0, {cores[1]})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # not without ending the servers
    try:
        with tempfile.TemporaryDirectory(prefix="plexigate-bench-") as directory:
            rows = measure(Bench(Path(directory), proxy_core=cores[0], other_core=cores[1]))
            os.sched_setaffinity(0, cores)
            rows += signing.measure()
    except (load.LoadError, NotReadyError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    sys.stdout.write((report.as_json(rows) if arguments.json else report.table(rows)) + "\n")
    return 0 if all(row.is_within_limit for row in rows) else 1


def measure(bench: Bench) -> list[report.Row]:
    """All rows, in the order of the table."""
    bench.lay_out()
    authority = bench.directory / "ca.pem"
    with bench.backend() as backend:
        with bench.nginx(backend) as nginx, bench.plexigate(backend) as plexigate:
            for server in (nginx, plexigate):
                group = load.negotiated_group(server, authority)
                if group != GROUP:
                    raise load.LoadError(server, f"negotiated {group}, not {GROUP}")
                load.requests(server, seconds=1)

            def cpu(operate: Callable[[Server], int]) -> list[report.Round]:
                return [
                    report.Round(*(_cpu_per_operation(each, operate) for each in (nginx, plexigate)))
                    for _ in range(ROUNDS)
                ]

            requests = cpu(lambda server: load.requests(server, seconds=REQUEST_SECONDS))
            handshakes = cpu(lambda server: load.handshakes(server, HANDSHAKES, authority))
            visits = cpu(lambda server: load.handshakes(server, HANDSHAKES, authority, request=VISIT))

        def memory(path: str) -> list[report.Round]:
            starts: tuple[Start, Start] = (bench.nginx, bench.plexigate)
            return [report.Round(*(_memory_per_connection(start, backend, path, authority) for start in starts))]

        return [
            report.Row.of("request, 13 headers, kept alive", "µs CPU", 2.0, requests),
            report.Row.of(f"full handshake, {GROUP}, ECDSA P-256", "µs CPU", 1.15, handshakes),
            # with the session tickets, which nginx sends in the row above and we with the first answer
            report.Row.of("connection with one request, its handshake full", "µs CPU", None, visits),
            report.Row.of("idle connection after 1 KB", "KB RSS", 1.5, memory(SMALL)),
            report.Row.of("idle connection after 1 MB", "KB RSS", 1.5, memory(LARGE)),
            *payload_rows(),
        ]


def payload_rows() -> list[report.Row]:
    """Payload encryption, beside MultiFernet in the place of nginx."""
    both = payload.rings()
    messages = [report.Round(*payload.message_microseconds(*both)) for _ in range(ROUNDS)]
    streams = [report.Round(*payload.stream_milliseconds(*both)) for _ in range(ROUNDS)]
    return [
        report.Row.of("payload: 1 KiB opened, sealed (MultiFernet)", "µs CPU", 1.3, messages),
        report.Row.of("payload: 1 MiB of a stream (MultiFernet)", "ms CPU", 1.3, streams),
    ]


def _cpu_per_operation(server: Server, operate: Callable[[Server], int]) -> float:
    """Microseconds of CPU."""
    before = usage.cpu_nanoseconds(server.pid)
    operations = operate(server)
    return (usage.cpu_nanoseconds(server.pid) - before) / operations / 1_000


def _memory_per_connection(start: Start, backend: Server, path: str, authority: Path) -> float:
    """Kilobytes that each idle connection adds to a server just started, what it sets up once not counted."""
    with start(backend) as server:
        with load.idle_connections(server, WARM_UP_CONNECTIONS, path, authority):
            pass
        before = usage.resident_bytes(server.pid)
        with load.idle_connections(server, IDLE_CONNECTIONS, path, authority):
            return (usage.resident_bytes(server.pid) - before) / IDLE_CONNECTIONS / 1_024


if __name__ == "__main__":
    sys.exit(main())
