"""The hour of `day`, replayed against servers that were just started: CPU, times and memory."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.bench import day, load, usage
from tests.bench.exchanges import Clients, Kind, Period, clients
from tests.bench.measuring import Scene
from tests.bench.report import OURS, Round, Row
from tests.bench.servers import Server

SECONDS: Final = 10.0
"""Of the hour, in rounds."""
_ROUNDS: Final = 5
_PLACES: Final = 2
# A client that comes back from sleep, one of three without a ticket.
_REQUESTS_FOR_A_VISIT: Final = 100


@dataclass(frozen=True, slots=True)
class _Users:
    """Of one server: their requests, their WebSockets, and those who come back."""

    server: Server
    requests: Clients
    sockets: Clients
    returning: load.Resumptions
    authority: Path

    def go_on(self, seconds: float) -> tuple[float, Period]:
        """Microseconds of CPU for each exchange in the next part of the hour, and the times of its requests."""
        before = usage.cpu_nanoseconds(self.server.pid)
        for one in (self.sockets, self.requests):
            one.begin(seconds, in_flight=1)
        period, messages = self.requests.end(), self.sockets.end()
        visits = period.exchanges // _REQUESTS_FOR_A_VISIT + 1
        load.handshakes(self.server, visits // 3 + 1, self.authority, request=load.VISIT)
        self.returning.visit(visits - visits // 3)
        spent = usage.cpu_nanoseconds(self.server.pid) - before
        return spent / (period.exchanges + messages.exchanges) / 1_000, period


def rows(scene: Scene, kind: Kind, seconds: float = SECONDS) -> list[Row]:
    """Four rows of a protocol; users of WebSockets have connections of HTTP/1.1 besides."""
    bench, backend = scene.bench, scene.backend
    streams = 1 if kind is Kind.HTTP else _PLACES
    connections = day.USERS * 3 * _PLACES // streams
    with ExitStack() as stack:
        starts = (bench.nginx(backend), bench.haproxy(backend), bench.plexigate(backend, "day"))
        servers = [stack.enter_context(one) for one in starts]
        servers[-1] = replace(servers[-1], name=OURS)
        users = [
            _Users(
                server,
                stack.enter_context(clients(server, bench.directory, day.requests(kind), connections, streams)),
                stack.enter_context(clients(server, bench.directory, day.sockets(), day.USERS * 2)),
                load.Resumptions.of(server, bench.authority, load.VISIT),
                bench.authority,
            )
            for server in servers
        ]
        parts = [{one.server.name: one.go_on(seconds / _ROUNDS) for one in users} for _ in range(_ROUNDS)]
        resident = {one.server.name: usage.resident_bytes(one.server.pid) / 1_000_000 for one in users}
    key, title = ("day", "day of chats") if kind is Kind.HTTP else ("h2-day", "h2: day of chats")
    spent: list[Round] = [{name: cpu for name, (cpu, _) in part.items()} for part in parts]
    middle: list[Round] = [{name: period.p50 for name, (_, period) in part.items()} for part in parts]
    late: list[Round] = [{name: period.p99 for name, (_, period) in part.items()} for part in parts]
    return [
        Row(key, f"{title}, each exchange", "µs CPU", spent, 1.5),
        Row(f"{key}-p50", f"{title}, p50 of a request", "µs", middle, None),
        Row(f"{key}-p99", f"{title}, p99 of a request", "µs", late, None),
        Row(f"{key}-rss", f"{title}, RSS of all processes", "MB", [resident], None),
    ]
