"""The admin server: commands on a Unix socket, metrics on TCP.

Whoever may open the socket may steer the proxy, so it has mode 0600 from the moment it exists. TCP has no password, so what
listens there can be read and changes nothing: it is an application of its own, in which the commands do not exist.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from config.pkcs11_uri import Pkcs11Uri
from proxy.admin.certificates import CertificateCommands, RotationUnderWay, UnknownCertificate
from proxy.admin.contracts import Control, UnknownServer
from proxy.admin.listening import BACKLOG, admin_socket, metrics_socket, remove_admin_socket
from proxy.admin.payload import PayloadRefused, add_payload_routes
from proxy.admin.settings import AdminSettings
from proxy.observe.exposition import CONTENT_TYPE, exposition

# No request of ours has a body.
_BODY_BYTES: Final = 1_024
# Who asks over and over keeps a connection; at the end nobody is waited for but an answer under way.
_SHUTDOWN_SECONDS: Final = 1.0
_LONGEST_DRAIN_SECONDS: Final = 30 * 86_400.0

Report = Callable[[BaseException], None]


class AdminServer:
    """Answers from `start` to `stop`."""

    def __init__(self, control: Control, settings: AdminSettings, report: Report) -> None:
        """`report` gets errors of ours, for the log."""
        self._control = control
        self._settings = settings
        self._report = report
        self._listening: list[tuple[asyncio.Server, web.AppRunner]] = []
        self._inode: int | None = None
        self.metrics_addresses: tuple[str, ...] = ()
        """Where metrics are read over TCP, with the ports that the kernel chose for port 0."""

    async def start(self) -> None:
        """Listen. Raises `AdminSocketError`; nothing listens then."""
        try:
            sock = admin_socket(self._settings.socket)
            self._inode = self._settings.socket.stat().st_ino
            await self._serve(sock, _Commands(self._control, self))
            for bind in self._settings.metrics_bind:
                sock = metrics_socket(bind)
                self.metrics_addresses += (str(replace(bind, port=sock.getsockname()[1])),)
                await self._serve(sock, None)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Listen no more, and leave no socket behind in the file system."""
        listening, self._listening = self._listening, []
        for server, runner in listening:
            server.close()
            await runner.cleanup()
        self.metrics_addresses = ()
        if self._inode is not None:
            remove_admin_socket(self._settings.socket, self._inode)
            self._inode = None

    async def _serve(self, sock: socket.socket, commands: "_Commands | None") -> None:
        runner = web.AppRunner(self._application(commands), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        loop = asyncio.get_running_loop()
        # not by aiohttp's SockSite: uvloop takes a Unix socket for TCP there
        serve = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
        assert runner.server is not None  # made by the setup
        self._listening.append((await serve(runner.server, sock=sock, backlog=BACKLOG), runner))

    def _application(self, commands: "_Commands | None") -> web.Application:
        application = web.Application(client_max_size=_BODY_BYTES, middlewares=[_problems(self._report)])
        monitoring = _Monitoring(self._control)
        application.router.add_get("/metrics", monitoring.metrics)
        application.router.add_get("/healthz", monitoring.healthz)
        application.router.add_get("/readyz", monitoring.readyz)
        if commands is not None:
            application.router.add_get("/status", commands.status)
            application.router.add_post("/reload", commands.reload)
            application.router.add_post("/keys/try", commands.try_key)
            # the name of a server is percent-encoded: it has slashes
            application.router.add_post("/upstreams/{upstream}/{server}/drain", commands.drain)
            application.router.add_post("/upstreams/{upstream}/{server}/undrain", commands.undrain)
            CertificateCommands(self._control.rotation).add_to(application.router)
            add_payload_routes(application.router, self._control.payload)
        return application


class _Monitoring:
    """What may be read over TCP."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def metrics(self, _request: web.Request) -> web.Response:
        # thousands of routes take a quarter of a second, in which the parent has other things to do
        body = await asyncio.to_thread(exposition, await self._control.scrape())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def healthz(self, _request: web.Request) -> web.Response:
        """This process answers, that is all."""
        return _json({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        reason = self._control.why_not_ready()
        if reason is None:
            # a rotation is never a reason not to be ready: what there is goes on to serve, and other names are none the worse
            return _json({"status": "ready", "certificates": self._control.urgency()})
        return _problem(503, reason)


class _Commands:
    """What the Unix socket has besides."""

    def __init__(self, control: Control, server: AdminServer) -> None:
        self._control = control
        self._server = server

    async def status(self, _request: web.Request) -> web.Response:
        return _json({**await self._control.status(), "metrics": self._server.metrics_addresses})

    async def reload(self, request: web.Request) -> web.Response:
        """200 when it is done, or could be; 409 when something stands against it."""
        dry_run = _flag(request, "dry_run")
        report = await self._control.reload(dry_run=dry_run)
        return _json({**asdict(report), "dry_run": dry_run}, 200 if report.ok else 409)

    async def drain(self, request: web.Request) -> web.Response:
        upstream, server = request.match_info["upstream"], request.match_info["server"]
        seconds = _seconds(request, "seconds")
        await self._control.drain_server(upstream, server, seconds)
        return _json({"upstream": upstream, "server": server, "draining": True})

    async def undrain(self, request: web.Request) -> web.Response:
        upstream, server = request.match_info["upstream"], request.match_info["server"]
        await self._control.undrain_server(upstream, server)
        return _json({"upstream": upstream, "server": server, "draining": False})

    async def try_key(self, request: web.Request) -> web.Response:
        """Say what uses a key of a token (`token`, `serial`, `object`, `id` in hexadecimal), and whether each worker could sign with it."""
        query = request.query
        try:
            key_id = bytes.fromhex(query.get("id", ""))
        except ValueError:
            raise _Unusable(f"id is {query['id'][:20]!a}: write hexadecimal digits") from None
        if not query.get("token") or not query.get("object"):
            raise _Unusable("token and object say which key: write both")
        key = Pkcs11Uri(query["token"], query.get("serial"), object=query["object"], id=key_id or None)
        return _json(await self._control.try_key(key))


class _Unusable(Exception):
    """A request that cannot be meant so; the text is its problem's detail."""


def _flag(request: web.Request, name: str) -> bool:
    value = request.query.get(name, "0")
    if value not in {"0", "1"}:
        raise _Unusable(f"{name} is {value[:20]!a}: write {name}=1, or leave it out")
    return value == "1"


def _seconds(request: web.Request, name: str) -> float | None:
    value = request.query.get(name)
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_DRAIN_SECONDS:
        raise _Unusable(f"{name} is {value[:20]!a}: write a number of seconds from 0 to {_LONGEST_DRAIN_SECONDS:.0f}")
    return seconds


def _problems(report: Report) -> Middleware:
    """What turns whatever goes wrong into problem+json (RFC 9457)."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:  # aiohttp's own: no such path, another method, a body that is too large
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return _problem(error.status, error.reason, allow)
        except _Unusable as error:
            return _problem(400, str(error))
        except (UnknownServer, UnknownCertificate) as error:
            return _problem(404, str(error))
        except RotationUnderWay as error:
            return _problem(409, str(error))
        except PayloadRefused as error:
            return _problem(error.status, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported, and the next request gets its answer
            report(error)
            return _problem(500, "an error of ours, see the log")

    return answer


def _problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return _json(
        {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail},
        status,
        content_type="application/problem+json",
        headers=headers,
    )


def _json(
    document: Mapping[str, Any],
    status: int = 200,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    body = json.dumps(document).encode() + b"\n"
    return web.Response(body=body, status=status, content_type=content_type, headers=headers)
