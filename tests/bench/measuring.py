"""How a figure is taken: the contenders in turn, round by round, so that what disturbs one disturbs the others."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tests.bench import exchanges, usage
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


def exchange_rounds(
    scene: Scene,
    exchange: exchanges.Exchange,
    *,
    connections: int = IN_FLIGHT,
    in_flight: int = IN_FLIGHT,
    seconds: float = 1.5,
) -> list[Round]:
    """CPU for each exchange, on connections that are open before."""
    with ExitStack() as stack:
        clients = {
            server.name: stack.enter_context(exchanges.clients(server, scene.bench.directory, exchange, connections))
            for server in scene.servers
        }
        for one in clients.values():
            one.run(0.3, in_flight=in_flight)
        return cpu_rounds(
            scene.servers, lambda server: clients[server.name].run(seconds, in_flight=in_flight).exchanges
        )
