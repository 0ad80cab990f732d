"""Connections over TCP: one for each client, never kept."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import uvloop

from config.schema import ServerAddress
from config.tables.upstream import ProxyHeaderVersion
from proxy.net.deadlines import Deadlines
from proxy.net.shared_io import SharedIo
from proxy.net.sockets import SocketStream
from proxy.net.tasks import Tasks
from proxy.upstream.pooling.carrier import Carrier
from proxy.upstream.pooling.client_link import NO_LINK
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.pooling.pools import PoolResources, PoolSettings, ServerLimits
from proxy.upstream.pooling.statistics import ServerState
from proxy.upstream.servers.server import Server
from proxy.upstream.tcp_dials import TcpCarrier, TcpDials, _TcpDial
from tests.fakes_http import DIALLING, RESPONSES, RULES, FakeTunnel


class Asking:
    """A client that wants a connection."""

    def __init__(self, holder: bytes = b"a") -> None:
        self.holder = holder
        self.link = NO_LINK
        self.is_waiting = True
        self.streams: list[SocketStream] = []
        self.failures: list[UpstreamFailure] = []

    def upstream_acquired(self, connection: Carrier) -> None:
        """Note it."""
        assert isinstance(connection, TcpCarrier)
        assert isinstance(connection.stream, SocketStream)
        self.streams.append(connection.stream)

    def upstream_unavailable(self, failure: UpstreamFailure) -> None:
        """Note it."""
        self.failures.append(failure)


class Scene:
    """A server at a Unix socket, which takes every connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: Path, connections: int, waiting: int) -> None:
        self.loop = loop
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen(100)
        self.asked: list[Asking] = []
        self.errors: list[BaseException] = []
        self.tasks = Tasks(loop, self.errors.append)
        self.resources = resources = PoolResources(SharedIo(loop), self.tasks, Deadlines(loop))
        dialling = replace(DIALLING, address=ServerAddress("unix", path=str(path)), http=None)
        limits = ServerLimits(connections, waiting, 1.0)
        self.dials = TcpDials(PoolSettings(dialling, RESPONSES, limits), resources)
        self.server = Server(self.dials, RULES, loop)

    def ask(self, holder: bytes = b"a") -> Asking:
        """One more client."""
        asking = Asking(holder)
        self.asked.append(asking)
        self.server.acquire(asking)
        return asking

    def settle(self) -> None:
        """Let the loop turn until dials are through."""

        async def turns() -> None:
            for _ in range(8):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())


@contextmanager
def scene(directory: Path, connections: int = 2, waiting: int = 2) -> Iterator[Scene]:
    with closing(uvloop.new_event_loop()) as loop:
        made = Scene(loop, directory / "server.sock", connections, waiting)
        yield made
        made.settle()
        for stream in (stream for asking in made.asked for stream in asking.streams):
            stream.drop()
        made.listening.close()
        loop.run_until_complete(made.tasks.cancel_all())


def test_each_client_gets_a_connection_and_established_ones_take_no_place(tmp_path: Path) -> None:
    with scene(tmp_path, connections=1) as made:
        for number in range(5):
            asking = made.ask()
            assert made.dials.exchanges == 1
            made.settle()
            (stream,) = asking.streams
            assert made.dials.exchanges == 0
            stream.drop()
            assert made.dials.requests == number + 1
        made.dials.close_idle()


def test_dials_are_bounded_and_the_others_wait(tmp_path: Path) -> None:
    with scene(tmp_path, connections=1, waiting=1) as made:
        first, second, third = made.ask(), made.ask(), made.ask(b"b")
        assert made.dials.exchanges == 2
        assert (made.dials.figures().dialling, made.dials.figures().waiting) == (1, 1)
        refused = [one for one in (second, third) if one.failures]
        assert [one.failures[0].fault for one in refused] == [UpstreamFault.BUSY]
        made.settle()
        made.settle()
        assert [len(one.streams) for one in (first, second, third)].count(1) == 2


def test_connection_of_a_client_that_left_is_closed(tmp_path: Path) -> None:
    with scene(tmp_path) as made:
        asking = made.ask()
        asking.is_waiting = False
        made.settle()
        assert asking.streams == []
        peer, _ = made.listening.accept()
        with peer:
            assert peer.recv(1) == b""


def test_server_that_wants_a_proxy_header_gets_it_first(tmp_path: Path) -> None:
    with scene(tmp_path) as made:
        dialling = replace(made.dials.settings.dialling, proxy_header=ProxyHeaderVersion.TEXT)
        dials = TcpDials(replace(made.dials.settings, dialling=dialling), made.resources)
        Server(dials, RULES, made.loop)
        asking = Asking()
        made.asked.append(asking)
        dials.acquire(asking)
        made.settle()
        peer, _ = made.listening.accept()
        with peer:
            assert peer.recv(100) == b"PROXY UNKNOWN\r\n"
        assert len(asking.streams) == 1


def test_failure_is_told_and_ejects_the_server(tmp_path: Path) -> None:
    with scene(tmp_path) as made:
        made.listening.close()
        for _ in range(RULES.ejection.connect_failures):
            asking, gone = made.ask(), made.ask(b"b")
            gone.is_waiting = False
            made.settle()
            assert [one.fault for one in asking.failures] == [UpstreamFault.UNREACHABLE]
            assert gone.failures == []
        assert made.server.state is ServerState.EJECTED


def test_end_of_the_process_begins_no_dial(tmp_path: Path) -> None:
    with scene(tmp_path, connections=1) as made:
        first = Asking()
        assert made.dials._shares.take(first.holder)  # for a dial in progress
        second = made.ask()
        cancelled = _TcpDial(made.dials, first, first.holder)
        made.dials.not_dialled(cancelled, asyncio.CancelledError())
        assert [one.fault for one in first.failures] == [UpstreamFault.UNREACHABLE]
        assert second.failures == []
        assert made.dials.line.waiting == 1


def test_statistics_tell_connections_and_no_websockets(tmp_path: Path) -> None:
    with scene(tmp_path) as made:
        tunnel = FakeTunnel()
        made.server.tunnel_opened(tunnel)
        statistics = made.server.statistics("irc")
        assert (statistics["open"], statistics["websockets"], made.server.load) == (1, 0, 1)
