"""How a figure is taken: the contenders in turn, round by round, so that what disturbs one disturbs the others."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Protocol

from tests.bench import usage
from tests.bench.exchanges import Clients, Exchange, clients
from tests.bench.report import Round, Row
from tests.bench.servers import Backend, Bench, Server

CONNECTIONS = 64
WAYS = (2, 8)
"""How many exchanges are in flight. A server that has more to do at a time pays less for each turn of its loop, but while it rests its
caches fill with other things: which way is worse for whom depends on the exchange."""
_ROUNDS = 7
_SECONDS = 0.3
_COUNTED_SECONDS = 60.0
"""At most, for so many exchanges as are counted."""


class Meter(Protocol):
    """What is measured."""

    @property
    def unit(self) -> str:
        """As the table names it."""

    @property
    def rounds(self) -> int:
        """How often each contender is measured."""

    @property
    def most(self) -> int:
        """How many operations at a time; 0: as many as the time allows."""

    def per_operation(self, server: Server, operate: Callable[[Server], int]) -> float:
        """What the processes of a server spend on an operation, of which `operate` answers how many it did."""


class CpuTime:
    """Microseconds of CPU, user and system."""

    unit: ClassVar[str] = "µs CPU"
    rounds: ClassVar[int] = _ROUNDS
    most: ClassVar[int] = 0

    def per_operation(self, server: Server, operate: Callable[[Server], int]) -> float:
        """See `Meter`."""
        return cpu_per_operation(server, operate)


_CPU_TIME: Final = CpuTime()


@dataclass(frozen=True, slots=True)
class Scene:
    """The contenders, all running, what they stand in front of, and what is measured."""

    bench: Bench
    backend: Backend
    servers: Sequence[Server]
    meter: Meter = _CPU_TIME

    @property
    def ours(self) -> Server:
        """Plexigate."""
        return self.servers[-1]

    def rounds(self, operate: Callable[[Server], int]) -> list[Round]:
        """What an operation costs, of which `operate` answers how many it did."""
        return [
            {server.name: self.meter.per_operation(server, operate) for server in self.servers}
            for _ in range(self.meter.rounds)
        ]


def cpu_per_operation(server: Server, operate: Callable[[Server], int]) -> float:
    """Microseconds of CPU of all its processes, user and system."""
    before = usage.cpu_nanoseconds(server.pid)
    operations = operate(server)
    return (usage.cpu_nanoseconds(server.pid) - before) / operations / 1_000


@contextmanager
def clients_of_all(scene: Scene, exchange: Exchange, connections: int) -> Iterator[dict[str, Clients]]:
    """As many open connections to each of the servers."""
    with ExitStack() as stack:
        yield {
            server.name: stack.enter_context(clients(server, scene.bench.directory, exchange, connections))
            for server in scene.servers
        }


def exchange_row(scene: Scene, exchange: Exchange, title: str, wanted: float, *, connections: int = CONNECTIONS) -> Row:
    """What each exchange costs, on connections in turn, which are open before: in the way that is worse for Plexigate."""
    most = scene.meter.most
    seconds = _COUNTED_SECONDS if most else _SECONDS
    with clients_of_all(scene, exchange, connections) as all_clients:
        for one in all_clients.values():
            one.run(seconds, in_flight=WAYS[-1], count=most)

        def measured(in_flight: int) -> Row:
            def operate(server: Server) -> int:
                return all_clients[server.name].run(seconds, in_flight=in_flight, count=most).exchanges

            return Row(
                exchange.name, title, scene.meter.unit, scene.rounds(operate), wanted, note=f"{in_flight} in flight"
            )

        rows = sorted(map(measured, WAYS[-1:] if most else WAYS), key=lambda row: row.ratio)
    others = "".join(f"; {row.note}: {row.ratio:.2f}x" for row in rows[:-1])
    return replace(rows[-1], note=f"{rows[-1].note}{others}")


def late_rounds(
    scene: Scene, exchange: Exchange, *, rounds: int = 5, seconds: float = 2.0
) -> tuple[float, list[Round]]:
    """The 99th percentile of an exchange's time, in microseconds, when all get as many in a second as half of what the slowest can.

    Answers that rate, too.
    """
    with clients_of_all(scene, exchange, CONNECTIONS) as all_clients:
        most = {name: one.run(1.0, in_flight=CONNECTIONS).exchanges for name, one in all_clients.items()}
        rate = min(most.values()) / 2
        return rate, [
            {name: one.run(seconds, in_flight=CONNECTIONS, rate=rate).p99 for name, one in all_clients.items()}
            for _ in range(rounds)
        ]
