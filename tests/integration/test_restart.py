"""A restart under a service manager that keeps the sockets: nobody is refused, nobody is reset, and nobody waits for WebSockets."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.hostile.client import Address, Client
from tests.integration.stage import workers_of
from tests.ports import lasting_port
from tests.programs import PLEXIGATE, Program, plexigate_listeners, program
from tests.service_manager import STORE, Manager
from tests.soak.load import Crowd, Tally, under_load
from tests.soak.scenes import Scene, backend_port
from tests.waiting import is_alive, until_found

SECONDS = 30.0
DRAIN_SECONDS = 60
"""Longer than any start, so that what is served before its end is served beside it."""
CROWD = Crowd(keeping=3, connecting=3, sockets=8, message_seconds=0.1, think_seconds=0.03)
REQUEST = b"GET /queued HTTP/1.1\r\nHost: localhost\r\n\r\n"
Proxy = Program[dict[str, list[str]]]


@dataclass
class Fixed(Scene):
    """A scene with a port that stays the same."""

    bound_port: int = 0


@dataclass
class Service:
    """What the manager runs repeatedly, by the same configuration."""

    manager: Manager
    scene: Fixed
    unit: socket.socket | None
    """That of a .socket unit."""

    @contextlib.contextmanager
    def process(self) -> Iterator[Proxy]:
        """The next process of the service."""
        units = [] if self.unit is None else [("public", self.unit.fileno())]
        sockets = [*units, *self.manager.kept]
        environment = dict(one.split("=", 1) for one in self.manager.environment)
        environment |= {"LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": ":".join(name for name, _ in sockets)}
        command, descriptors = [PLEXIGATE, "run", str(self.scene.path)], [number for _, number in sockets]
        with program(command, plexigate_listeners, environment, descriptors) as running:
            workers = workers_of(running.pid)
            try:
                yield running
            finally:
                for pid in filter(is_alive, workers):  # those that were let go would drain for as long as they may
                    os.kill(pid, signal.SIGTERM)

    @property
    def address(self) -> Address:
        """Where it is asked."""
        return Address(self.scene.bound_port, self.scene.authority.path)

    def half(self) -> "Half":
        """A client in the middle of its handshake."""
        return Half(self.scene.bound_port, self.scene.client)

    def asked(self) -> int:
        """The status of one request on a connection of its own."""
        with Client(self.address, "localhost") as client:
            client.send(REQUEST)
            return client.read_response().status


@pytest.fixture(params=["store", "unit"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    manager = Manager(tmp_path / "notify", STORE)
    with contextlib.ExitStack() as stack:
        stack.callback(manager.close)
        backend = stack.enter_context(program([sys.executable, "-m", "tests.soak.backend"], backend_port))
        port, unit = lasting_port(), None
        if request.param == "unit":
            unit = stack.enter_context(socket.create_server(("127.0.0.1", port), backlog=4_096))
        scene = Fixed(tmp_path, Authority(tmp_path), backend.ready, bound_port=port)
        scene.listener = f'bind = "127.0.0.1:{port}"\nexempt = ["127.0.0.1"]'
        scene.extra = f'[limits]\ndrain_timeout = "{DRAIN_SECONDS}s"\n'
        scene.write()
        yield Service(manager, scene, unit)


ONE = pytest.mark.parametrize("service", ["store"], indirect=True)
"""For what has nothing to do with where the sockets come from."""


def ended(pid: int) -> None:
    """Wait until a process is gone."""
    until_found(lambda: not is_alive(pid))


class Half:
    """A client in the middle of its handshake."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        hello = self._outgoing.read()
        self._sock = socket.create_connection(("127.0.0.1", port), SECONDS)
        self._sock.sendall(hello[:100])
        self._rest = hello[100:]

    def __enter__(self) -> "Half":
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def finish(self) -> bytes:
        """Ask on it, leave, and answer the status line.

        A client that stays would have the worker wait `linger_timeout` for it at the end of the test.
        """
        with self._sock:
            return self._asked()

    def _asked(self) -> bytes:
        self._sock.sendall(self._rest)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._incoming.write(self._received())
        self._tls.write(REQUEST)
        self._sock.sendall(self._outgoing.read())
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                return self._tls.read(65_536).partition(b"\r\n")[0]
            self._incoming.write(self._received())

    def _received(self) -> bytes:
        data = self._sock.recv(65_536)
        assert data, "it was cut"
        return data


async def test_a_restart_refuses_and_resets_nobody_and_new_clients_do_not_wait_for_the_drain(service: Service) -> None:
    def restart(tally: Tally) -> None:
        half = stack.enter_context(service.half())
        service.asked()  # by then the other connection was accepted
        os.kill(first.pid, signal.SIGTERM)
        assert half.finish() == b"HTTP/1.1 200 OK"
        ended(first.pid)
        gap.append(time.monotonic())
        with contextlib.ExitStack() as queued:
            waiting = [
                queued.enter_context(socket.create_connection(("127.0.0.1", service.scene.bound_port), SECONDS))
                for _ in range(20)
            ]
            second = stack.enter_context(service.process())
            gap.append(time.monotonic())
            assert tally.closes.total() < CROWD.sockets, "WebSockets drain on"
            assert any(map(is_alive, old)), first.output
            assert service.asked() == 200
            for sock in waiting:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert sock.recv(7)[0] == 21, "an alert: it speaks TLS"
        for pid in filter(is_alive, old):
            os.kill(pid, signal.SIGTERM)  # as a machine does that goes down
        until_found(lambda: tally.closes.total() == CROWD.sockets)
        for pid in old:
            ended(pid)
        assert len(workers_of(second.pid)) == 2

    gap: list[float] = []
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(service.process())
        old = workers_of(first.pid)
        tally = await under_load(
            service.scene.bound_port, service.scene.client, CROWD, lambda tally: asyncio.to_thread(restart, tally)
        )
    assert [failure for failure in tally.failures if not failure.startswith("a stall of ")] == []
    assert {close.partition(" ")[0] for close in tally.closes} == {"1012"}
    assert tally.slowest < DRAIN_SECONDS / 2, f"{gap[1] - gap[0]:.2f} s between the end of the one and the other"


def test_what_waits_in_the_queue_at_the_signal_is_served(service: Service) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(service.process())
        pool = stack.enter_context(ThreadPoolExecutor(30))
        workers = workers_of(first.pid)
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        halves = [stack.enter_context(service.half()) for _ in range(30)]
        os.kill(first.pid, signal.SIGTERM)
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        # at once: who is in the middle of a handshake with an old worker has two seconds to come to its end
        finishing = [pool.submit(half.finish) for half in halves]
        ended(first.pid)
        stack.enter_context(service.process())
        assert {one.result() for one in finishing} == {b"HTTP/1.1 200 OK"}


@ONE
def test_a_crash_refuses_nobody(service: Service) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(service.process())
        workers = workers_of(first.pid)  # a parent that is dead has none
        os.kill(first.pid, signal.SIGKILL)
        for pid in workers:
            ended(pid)
        half = stack.enter_context(service.half())
        stack.enter_context(service.process())
        assert half.finish() == b"HTTP/1.1 200 OK"


@ONE
def test_process_that_is_left_behind_ends_at_once_when_it_is_asked(service: Service) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(service.process())
        workers = workers_of(first.pid)
        client = stack.enter_context(Client(service.address, "localhost"))
        client.send(REQUEST)
        assert client.read_response().status == 200
        os.kill(first.pid, signal.SIGTERM)
        ended(first.pid)
        assert any(map(is_alive, workers)), "the client is one of theirs"
        began = time.monotonic()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        for pid in workers:
            ended(pid)
        assert time.monotonic() - began < DRAIN_SECONDS / 3
