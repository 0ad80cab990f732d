"""What a connection costs that does nothing: resident memory, of servers that were just started."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.bench import exchanges, http2, http3, load, usage
from tests.bench.report import OURS, Round
from tests.bench.servers import MESSAGE, Backend, Bench, Server

CONNECTIONS = 1_000
_HTTP3_CONNECTIONS = 300  # their client is slow
_WARM_UP_CONNECTIONS = 50

Open = Callable[[Server, int], AbstractContextManager[None]]


def connections(bench: Bench) -> Open:
    """Opens connections that have got one answer."""

    def opened(server: Server, count: int) -> AbstractContextManager[None]:
        return load.idle_connections(server, count, MESSAGE, bench.authority)

    return opened


def http2_connections(bench: Bench) -> Open:
    """Opens connections of HTTP/2 that have got one answer."""

    def opened(server: Server, count: int) -> AbstractContextManager[None]:
        return http2.idle_connections(server, count, MESSAGE, bench.authority)

    return opened


def websockets(bench: Bench) -> Open:
    """Opens WebSockets that have each carried one message both ways."""

    @contextmanager
    def opened(server: Server, count: int) -> Iterator[None]:
        with exchanges.clients(server, bench.directory, exchanges.ECHOED, count) as clients:
            done = 0
            while done < count:  # each message goes over the socket that has rested longest
                done += clients.run(0.05, in_flight=1).exchanges
            yield

    return opened


def kilobytes(bench: Bench, backend: Backend, opened: Open) -> Round:
    """What each connection adds to each of the servers; what they set up once is not counted."""
    starts = {
        "nginx": bench.nginx(backend),
        "haproxy": bench.haproxy(backend),
        OURS: bench.plexigate(backend, "idle"),
    }
    return {name: _added(start, opened) for name, start in starts.items()}


def http3_kilobytes(bench: Bench, backend: Backend) -> Round:
    """The same of HTTP/3, for those that have it."""

    def opened(server: Server, count: int) -> AbstractContextManager[None]:
        return http3.idle_connections(server, count, MESSAGE, bench.authority)

    with bench.http3(backend) as servers:
        return {server.name: _added_to(server, opened, _HTTP3_CONNECTIONS) for server in servers}


def _added(start: AbstractContextManager[Server], opened: Open) -> float:
    with start as server:
        return _added_to(server, opened, CONNECTIONS)


def _added_to(server: Server, opened: Open, count: int) -> float:
    with opened(server, _WARM_UP_CONNECTIONS):
        pass
    before = usage.resident_bytes(server.pid)
    with opened(server, count):
        return (usage.resident_bytes(server.pid) - before) / count / 1_024
