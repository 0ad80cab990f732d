"""One process that serves: its loop, its listeners, the signals that end it."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from config.problems import ConfigError
from config.schema import Bind
from proxy.deadlines import Deadlines
from proxy.downstream.service import HttpService
from proxy.generation import Generation
from proxy.listener import Listener, ListenerServices
from proxy.observe.access_log import RequestRecord
from proxy.observe.counters import Counters
from proxy.observe.log import Log
from proxy.observe.startup import ListenerReport
from proxy.shared_io import SharedIo
from proxy.tasks import Tasks
from proxy.tls.stream import BioPair
from proxy.tls.tickets import TicketSecrets
from proxy.upstream.dial import tune
from proxy.upstream.pool import PoolResources

_BACKLOG: Final = 4_096
_HOUR: Final = 3_600.0
# After a rotation that failed: soon enough that tickets do not outlive their secret by much.
_ROTATION_RETRY_SECONDS: Final = 300.0
# For what was cut at the end of a drain to leave the process.
_LAST_WORDS_SECONDS: Final = 1.0


class BindFailed(Exception):
    """An address could not be bound: `listener`, `bind` and the system's `error`."""

    def __init__(self, listener: str, bind: Bind, error: OSError) -> None:
        """Remember the facts."""
        super().__init__(listener, bind, error)
        self.listener = listener
        self.bind = bind
        self.error = error

    def __str__(self) -> str:
        """One sentence with the remedy."""
        return (
            f"listener.{self.listener}.bind: {self.bind} cannot be used: {self.error.strerror}; "
            "stop what uses it (ss -ltnp shows it), choose another port, or start with the right to bind it"
        )


def listening_socket(listener: str, bind: Bind) -> socket.socket:
    """Bind one address and listen. Raises `BindFailed`."""
    family = socket.AF_INET if bind.host.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tune(sock)
        if family == socket.AF_INET6:
            # each family has its own entry in `bind`, so that what is reachable stands in the configuration
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((str(bind.host), bind.port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise BindFailed(listener, bind, error) from error
    return sock


class Worker:
    """Serves by one generation until it is told to end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        generation: Generation,
        build: Callable[[TicketSecrets], Generation],
        log: Log,
    ) -> None:
        """Nothing is accepted before `start`. `build` makes the generation anew, with other ticket secrets."""
        self._loop = loop
        self._build = build
        self._tickets = generation.tickets
        self._generation = generation
        self._log = log
        self.counters = Counters()
        self._deadlines = Deadlines(loop)
        self._tasks = Tasks(loop, self._unexpected)
        io = SharedIo(loop)
        self._http = HttpService(
            loop,
            self._deadlines,
            generation.http(PoolResources(io, self._tasks, self._deadlines)),
            self._request_over,
            time.time,  # noqa: TID251 - a driver
        )
        self._services = ListenerServices(io, self._deadlines, self._http, self.counters, BioPair(), log.handshake)
        self._listeners: list[Listener] = []
        self._stop = asyncio.Event()

    def start(self, sockets: Mapping[str, list[socket.socket]]) -> None:
        """Accept on the given listening sockets, by the name of their listener."""
        self._deadlines.start()
        for name, runtime in self._generation.listeners.items():
            listener = Listener(sockets[name], runtime, self._services)
            listener.start()
            self._listeners.append(listener)

    def report(self) -> list[ListenerReport]:
        """What is offered where."""
        return [
            ListenerReport(
                name=listener.runtime.name,
                addresses=listener.addresses,
                pq=listener.runtime.policy.pq,
                groups=listener.runtime.policy.preference.openssl_list(),
                cipher_suites=listener.runtime.cipher_suites,
                identities=self._generation.identity_algorithms,
            )
            for listener in self._listeners
        ]

    async def serve(self) -> None:
        """Run until SIGTERM, SIGINT or SIGHUP, then drain; a second signal ends at once."""
        # a closed terminal (SIGHUP) ends it as well, in the same orderly way
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._stop.set)
        self._loop.set_exception_handler(self._callback_failed)
        self._tasks.start(self._rotate_regularly())
        await self._stop.wait()
        self._stop.clear()
        await self._drain()
        self._event({"event": "stopped", **self.counters.snapshot()}, f"stopped: {self.counters.summary()}")

    async def _rotate_regularly(self) -> None:
        regular = seconds = self._generation.loaded.config.limits.tls_ticket_rotation_hours * _HOUR
        while True:
            await asyncio.sleep(seconds)
            seconds = regular if await self.rotate_tickets() else min(regular, _ROTATION_RETRY_SECONDS)

    async def rotate_tickets(self) -> bool:
        """Seal session tickets by a new secret from now on, and accept those of the one before it.

        Contexts never change, so the listeners get new ones. Where they cannot be built (a key file that has gone since the
        start) the old ones go on, and False is answered.
        """
        tickets = self._tickets.rotated(TicketSecrets.fresh().current)
        try:
            generation = await asyncio.to_thread(self._build, tickets)
        except ConfigError as error:
            self._event({"event": "ticket_rotation_failed", "detail": str(error)}, f"ticket rotation failed: {error}")
            return False
        self._tickets = tickets
        for listener in self._listeners:
            listener.runtime = generation.listeners[listener.runtime.name]
        self._event({"event": "tickets_rotated"}, "session ticket keys rotated")
        return True

    async def _drain(self) -> None:
        """Stop accepting, let what is under way finish, then close what is left."""
        for listener in self._listeners:
            listener.stop()
        seconds = self._generation.loaded.config.limits.drain_seconds
        quiet = self._http.drain(seconds)
        waiting = {self._loop.create_task(quiet.wait()), self._loop.create_task(self._stop.wait())}
        _, unfinished = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in unfinished:
            task.cancel()
        self._http.give_up("the time to drain is over")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await quiet.wait()
        await self._tasks.cancel_all()
        self._deadlines.stop()

    def _request_over(self, record: RequestRecord) -> None:
        self.counters.request(record.connection.listener, record.status)
        self._log.request(record)

    def _unexpected(self, error: BaseException) -> None:
        name = type(error).__name__
        self._event({"event": "error", "error": name, "detail": str(error)}, f"unexpected {name}: {error}")

    def _callback_failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback of one connection failed in a way nobody expected: say so, and serve the others."""
        self._unexpected(context.get("exception") or RuntimeError(context.get("message", "")))

    def _event(self, event: dict[str, Any], line: str) -> None:
        self._log.event(self._http.wall_clock(), event, [line])
