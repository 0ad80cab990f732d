"""The admin server: commands on a Unix socket, metrics on TCP.

A user who may open the socket may steer the proxy, so it has mode 0600 from the moment it exists.
TCP has no password. So TCP gets an application of its own, which can be read and has no commands.

The page has a Unix socket of its own. There the workers hand on the requests of clients that showed
a token or a certificate (`admin_page` of a route). The TLS and the HTTP of untrusted clients end in
a worker. So this process, which holds the keys, never reads an octet of theirs.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from proxy.admin.door import Door
from proxy.admin.door_places import LOCAL, OVER_TCP, PAGE, DoorPlaces
from proxy.admin.listening import admin_socket, metrics_socket, page_socket, remove_admin_socket
from proxy.admin.page.routes import Page
from proxy.admin.requests.commands import Commands, while_nothing_changes
from proxy.admin.requests.contracts import Control
from proxy.admin.requests.problems import CommandRefused, json_answer, problem
from proxy.admin.requests.wishes import PAGE_BYTES
from proxy.admin.settings import AdminSettings
from proxy.admin.shared_answer import SharedAnswer
from proxy.admin.visit import Report, Visit
from proxy.observe.events.event import Tell
from proxy.observe.metrics.exposition import CONTENT_TYPE, exposition

# No request over TCP has a body.
_BODY_BYTES: Final = 1_024
# A client that asks repeatedly keeps its connection. The end waits only for one answer.
_SHUTDOWN_SECONDS: Final = 1.0


Inherited = Callable[[str], socket.socket | None]
"""The listening socket of an older process at a place. None if it has none there."""


@dataclass(frozen=True, slots=True)
class AdminHost:
    """The process around the admin server. `report` logs internal errors, `tell` logs events."""

    report: Report
    tell: Tell
    is_short: Callable[[], bool]
    """Whether the process needs all descriptors that are left for itself."""
    worker_user: int | None = None
    """The user id of the workers; None if it is that of this process."""


class AdminServer:
    """Answers from `start` to `stop`."""

    def __init__(self, control: Control, settings: AdminSettings, host: AdminHost) -> None:
        self._control = control
        self._settings = settings
        self._host = host
        self._local = DoorPlaces("the admin socket", LOCAL, host.is_short, host.tell)
        self._over_tcp = DoorPlaces("admin.metrics_bind", OVER_TCP, host.is_short, host.tell)
        self._of_page = DoorPlaces("admin.page_socket", PAGE, host.is_short, host.tell)
        self._page = Page(control, host.report)
        self._listening: list[tuple[str, Door, web.AppRunner]] = []
        self._inodes: dict[Path, int] = {}
        self.metrics_addresses: tuple[str, ...] = ()
        """The TCP addresses for metrics. Port 0 is replaced by the port that the kernel chose."""

    async def start(self, inherited: Inherited = lambda _: None) -> None:
        """Listen. `inherited` gives the socket of an older process that has a name of `handed`.

        Raises `AdminSocketError` after it has closed all sockets.
        """
        try:
            path = self._settings.socket
            sock = self._in_file_system(path, admin_socket, inherited)
            await self._serve(sock, str(path), self._local, self._application(has_commands=True))
            for bind in self._settings.metrics_bind:
                sock = inherited(str(bind)) or metrics_socket(bind)
                self.metrics_addresses += (str(replace(bind, port=sock.getsockname()[1])),)
                await self._serve(sock, str(bind), self._over_tcp, self._application(has_commands=False))
            if (page := self._settings.page_socket) is not None:
                sock = self._in_file_system(page, page_socket, inherited)
                await self._serve(sock, str(page), self._of_page, self._page_application(), self._page_users())
        except BaseException:
            await self.stop()
            raise

    @property
    def places(self) -> list[str]:
        return [str(one) for one in (self._settings.socket, self._settings.page_socket) if one is not None]

    @property
    def handed(self) -> list[tuple[str, int]]:
        """The listening sockets by name, for the process that takes the place of this one."""
        return [(name, door.fileno()) for name, door, _ in self._listening]

    def rest(self) -> None:
        """Accept nothing: another process accepts on the same sockets."""
        for _, door, _ in self._listening:
            door.rest()

    def resume(self) -> None:
        """Accept again after `rest`."""
        for _, door, _ in self._listening:
            door.resume()

    def own(self) -> None:
        """Remove the Unix sockets from the file system at the end, also inherited ones."""
        for path in map(Path, self.places):
            with contextlib.suppress(OSError):  # it was removed by hand
                self._inodes[path] = path.stat().st_ino

    def leave(self, places: Collection[str]) -> None:
        """Another process has the Unix sockets at these paths: leave them there at the end."""
        self._inodes = {path: inode for path, inode in self._inodes.items() if str(path) not in places}

    async def stop(self) -> None:
        """Stop listening, and remove the socket from the file system."""
        listening, self._listening = self._listening, []
        for _, door, runner in listening:
            await door.close()
            await runner.cleanup()
        self.metrics_addresses = ()
        while self._inodes:
            remove_admin_socket(*self._inodes.popitem())

    def _in_file_system(
        self, path: Path, listening: Callable[[Path], socket.socket], inherited: Inherited
    ) -> socket.socket:
        sock = inherited(str(path))
        if sock is not None:
            return sock  # the path is of the older process until `own`
        sock = listening(path)
        self._inodes[path] = path.stat().st_ino
        return sock

    async def _serve(
        self,
        sock: socket.socket,
        name: str,
        room: DoorPlaces,
        application: web.Application,
        users: frozenset[int] | None = None,
    ) -> None:
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        assert runner.server is not None  # made by the setup
        self._listening.append((name, Door(sock, room, runner.server, self._host.report, users), runner))

    def _page_users(self) -> frozenset[int]:
        own = os.geteuid()
        return frozenset({0, own, own if self._host.worker_user is None else self._host.worker_user})

    def _page_application(self) -> web.Application:
        middlewares = [_staged, _problems(self._host.report)]
        application = web.Application(client_max_size=_BODY_BYTES, middlewares=middlewares)
        self._page.add_to(application)
        return application

    def _application(self, *, has_commands: bool) -> web.Application:
        application = web.Application(
            client_max_size=PAGE_BYTES if has_commands else _BODY_BYTES,
            middlewares=[_staged, _problems(self._host.report), while_nothing_changes(self._control)],
        )
        monitoring = _Monitoring(self._control)
        application.router.add_get("/metrics", monitoring.metrics)
        application.router.add_get("/healthz", monitoring.healthz)
        application.router.add_get("/readyz", monitoring.readyz)
        if has_commands:
            Commands(self._control, lambda: self.metrics_addresses).add_to(application.router)
            self._page.add_to(application)
        return application


class _Monitoring:
    """The requests that TCP and the Unix socket answer."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._metrics = SharedAnswer(self._exposed)
        self._readiness = SharedAnswer(control.ability.readiness)

    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=await self._metrics.get(), headers={"Content-Type": CONTENT_TYPE})

    async def _exposed(self) -> bytes:
        # for thousands of routes this takes a quarter of a second: the parent must not stop so long
        return await asyncio.to_thread(exposition, await self._control.figures.scrape())

    async def healthz(self, _request: web.Request) -> web.Response:
        """Answer 200: this process runs."""
        return json_answer({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """Answer 200 if the proxy is ready, else 503 with the reasons, see `observe.readiness`.

        Both name what is doubtful.
        """
        found = await self._readiness.get()
        told = found.as_json()
        if found.is_ready:
            # the urgency of a rotation is never a reason: the certificate in use continues to serve
            doubts = {"doubts": told["doubts"]} if found.doubts else {}
            return json_answer({"status": "ready", "certificates": self._control.rotation.urgency(), **doubts})
        return problem(503, str(found), extensions={"reasons": told["reasons"], "doubts": told["doubts"]})


@web.middleware
async def _staged(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the connection when its request is complete, and when the answer is made."""
    visit = request.protocol
    assert isinstance(visit, Visit)  # each request comes through a door
    visit.asked()
    try:
        return await handler(request)
    finally:
        visit.answered()


def _problems(report: Report) -> Middleware:
    """Make the middleware that turns each error into problem+json (RFC 9457)."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:  # aiohttp's own: no such path, another method, a body that is too large
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return problem(error.status, error.reason, allow)
        except CommandRefused as error:
            return problem(error.status, str(error))
        except Exception as error:  # noqa: BLE001 - it is reported, and the next request gets its answer
            report(error)
            return problem(500, "internal error, see the log")

    return answer
