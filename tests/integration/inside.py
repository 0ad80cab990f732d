"""A proxy in a thread of the test's process: on real sockets, and the test reaches what a command or another process would."""

import asyncio
import gc
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import requests
import uvloop

from config.loading.loader import load
from config.schema import Bind
from proxy.downstream.listeners.listener import Listener
from proxy.downstream.listeners.listening import ListenerServices
from proxy.downstream.service.ledger import RequestLedger
from proxy.downstream.service.service import HttpService
from proxy.limits.machine import ProcessFigures
from proxy.limits.scarcity import ResourceLimits, Scarcity
from proxy.limits.shared import SharedTable
from proxy.net.deadlines import Deadlines
from proxy.net.shared_io import SharedIo
from proxy.net.sockets import SocketStream
from proxy.net.tasks import Tasks
from proxy.observe.counts.counters import Counters
from proxy.observe.turned_away import TurnedAway
from proxy.signing.race import SigningServices
from proxy.supervisor.workers.sockets import listening_socket
from proxy.tls.handshake.flight_makers import FlightServices
from proxy.tls.openssl.capabilities import survey
from proxy.tls.openssl.driver import new_driver
from proxy.tls.openssl.step_queue import StepQueue
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.upstream.pooling.pools import PoolResources
from proxy.upstream.servers.upstream import Upstream
from proxy.worker.generation import Generation, build
from tests.hostile.client import Address, Client
from tests.integration.upstreams import WAIT_SECONDS

if TYPE_CHECKING:
    from proxy.observe.logs.access_log import RequestRecord

Answer = TypeVar("Answer")


class Inside:
    """A running proxy that answers for localhost."""

    def __init__(self, loop: asyncio.AbstractEventLoop, generation: Generation, sock: socket.socket, ca: Path) -> None:
        self.loop = loop
        self.ca = ca
        self.port: int = sock.getsockname()[1]
        self.records: list[RequestRecord] = []
        self.errors: list[BaseException] = []
        self._deadlines = Deadlines(loop)
        self._tasks = Tasks(loop, self.errors.append)
        io = SharedIo(loop)
        self._resources = PoolResources(io, self._tasks, self._deadlines)
        runtime = generation.http(self._resources)
        counters = Counters()
        ledger = RequestLedger(self.records.append, counters, SharedTable.private())
        self._http = HttpService(loop, self._deadlines, runtime, ledger, time.time, io.after_reports)  # noqa: TID251 - as a process
        turned_away = TurnedAway(loop, counters.failure, lambda *_: None)
        scarcity = Scarcity(loop, ProcessFigures(), self._http, turned_away.add)
        scarcity.start(ResourceLimits(descriptor_reserve=16, memory_bytes=1 << 40))
        services = ListenerServices(
            io,
            self._deadlines,
            self._http,
            counters,
            FlightServices.of(new_driver(), StepQueue(io.after_reports), SigningServices(loop, loop.time, {})),
            lambda _: None,
            scarcity,
            turned_away,
        )
        self._scarcity = scarcity
        self._turned_away = turned_away
        self._sock = sock
        self._listener = Listener(generation.listeners["public"], services)

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until the test is over."""
        self.loop.set_exception_handler(
            lambda _, context: self.errors.append(context.get("exception", RuntimeError(context)))
        )
        self._deadlines.start()
        self._listener.accept_on([self._sock])
        await stop.wait()
        self._listener.accept_on(())
        self._scarcity.stop()
        self._turned_away.stop()
        quiet = self._http.connections.drain(0.0)
        self._http.connections.give_up("the test is over")
        async with asyncio.timeout(WAIT_SECONDS):
            await quiet.wait()
        for upstream in self._http.runtime.upstreams.values():
            for server in upstream.servers:
                server.retire()
        await self._tasks.cancel_all()
        async with asyncio.timeout(WAIT_SECONDS):
            while self._open_streams():  # noqa: ASYNC110 - the last words of those that were closed
                await asyncio.sleep(0.01)
        self._deadlines.stop()

    def _open_streams(self) -> list[SocketStream]:
        return [
            one
            for one in gc.get_objects()
            if type(one) is SocketStream and one._io is self._resources.io and one.is_open
        ]

    # -- what a command or another process would do

    def call(self, function: Callable[[], Answer]) -> Answer:
        """Run something in the proxy's loop."""
        answer: Future[Answer] = Future()

        def run() -> None:
            try:
                answer.set_result(function())
            except BaseException as error:  # noqa: BLE001 - the test's
                answer.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return answer.result(WAIT_SECONDS)

    def upstream(self, name: str) -> Upstream:
        """An upstream of the current configuration; use it by `call`."""
        return self._http.runtime.upstreams[name]

    def states(self, name: str) -> list[str]:
        """The states of its servers."""
        return [one["state"] for one in self.call(lambda: self.upstream(name).statistics())]

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so, which must come about by itself."""
        ends, never = time.monotonic() + WAIT_SECONDS, threading.Event()
        while not is_so():
            assert time.monotonic() < ends, "it never came about"
            never.wait(0.01)

    def reload(self, configuration: Path) -> None:
        """Serve by another configuration from the next request on."""
        generation = generation_of(configuration)

        def swap() -> None:
            self._http.runtime = generation.http(self._resources, self._http.runtime)

        self.call(swap)

    # -- clients

    def url(self, path: str) -> str:
        """Where it serves."""
        return f"https://localhost:{self.port}{path}"

    def session(self) -> requests.Session:
        """A client as people write them in Python."""
        session = requests.Session()
        session.verify = str(self.ca)
        session.trust_env = False
        return session

    def connect(self) -> Client:
        """A connection on which the test chooses every byte."""
        return Client(Address(self.port, self.ca), "localhost")


def generation_of(configuration: Path) -> Generation:
    """Build what a configuration says."""
    return build(load(configuration), survey(()), TicketSecrets(bytes(32)), datetime.now(UTC))  # noqa: TID251 - as a process


@contextmanager
def inside(configuration: Path, ca: Path) -> Iterator[Inside]:
    """Run one. Nothing may have happened that nobody expected."""
    generation = generation_of(configuration)
    made: queue.Queue[tuple[Inside, Callable[[], object]]] = queue.Queue()
    (bind,) = generation.loaded.config.listener["public"].bind
    sock = listening_socket("public", Bind(bind.host, 0))

    async def serve() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        proxy = Inside(loop, generation, sock, ca)
        made.put((proxy, lambda: loop.call_soon_threadsafe(stop.set)))
        await proxy.serve(stop)

    thread = threading.Thread(target=uvloop.run, args=(serve(),))
    thread.start()
    proxy, stop = made.get(timeout=WAIT_SECONDS)
    try:
        yield proxy
    finally:
        stop()
        thread.join(WAIT_SECONDS)
    assert proxy.errors == []
