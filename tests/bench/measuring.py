"""How a figure is taken: the contenders in turn, round by round, so that what disturbs one disturbs the others."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.bench import usage
from tests.bench.exchanges import Clients, Exchange, clients
from tests.bench.report import Round
from tests.bench.servers import Backend, Bench, Server

ROUNDS = 5
IN_FLIGHT = 64


@dataclass(frozen=True, slots=True)
class Scene:
    """The contenders, all running, and what they stand in front of."""

    bench: Bench
    backend: Backend
    servers: Sequence[Server]

    @property
    def ours(self) -> Server:
        """Plexigate."""
        return self.servers[-1]


def cpu_rounds(
    servers: Sequence[Server], operate: Callable[[Server], int], rounds: int = ROUNDS, divisor: float = 1_000
) -> list[Round]:
    """CPU for each operation, of which `operate` answers how many it did: in microseconds, unless `divisor` says otherwise."""
    return [
        {server.name: cpu_per_operation(server, operate) * 1_000 / divisor for server in servers} for _ in range(rounds)
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


def exchange_rounds(
    scene: Scene, exchange: Exchange, *, connections: int = IN_FLIGHT, rounds: int = ROUNDS, seconds: float = 1.5
) -> list[Round]:
    """CPU for each exchange, one at a time on each of the connections, which are open before."""
    with clients_of_all(scene, exchange, connections) as all_clients:
        for one in all_clients.values():
            one.run(seconds / 4, in_flight=connections)

        def operate(server: Server) -> int:
            return all_clients[server.name].run(seconds, in_flight=connections).exchanges

        return cpu_rounds(scene.servers, operate, rounds)


def late_rounds(
    scene: Scene, exchange: Exchange, *, rounds: int = ROUNDS, seconds: float = 2.0
) -> tuple[float, list[Round]]:
    """The 99th percentile of an exchange's time, in microseconds, when all get as many in a second as half of what the slowest can.

    Answers that rate, too.
    """
    with clients_of_all(scene, exchange, IN_FLIGHT) as all_clients:
        most = {name: one.run(1.0, in_flight=IN_FLIGHT).exchanges for name, one in all_clients.items()}
        rate = min(most.values()) / 2
        return rate, [
            {name: one.run(seconds, in_flight=IN_FLIGHT, rate=rate).p99 for name, one in all_clients.items()}
            for _ in range(rounds)
        ]
