"""Serves the page of an admin socket on a loopback port, for the browser of one operator.

Each user of the machine can connect to a loopback port, and each page that a browser has open can
ask it. So the paths begin with a secret of this run, and the name in `Host` has to be one of this
machine: a foreign name that leads here is a trick (DNS rebinding). Only the page passes, and only
GET: who knows the secret can look, and can change nothing.
"""

import asyncio
import hmac
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, web

_LOOPBACK: Final = "127.0.0.1"
_SHOWN: Final = frozenset({"", "events", "page/history"})
_LOCAL_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_SECRET_BYTES: Final = 24
_ASKED: Final = ("Accept", "Accept-Encoding", "Last-Event-ID")
# RFC 9110, section 7.6.1: they are about one connection; aiohttp makes its own.
_OF_ONE_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}
)
_CONNECT_SECONDS: Final = 5.0
_BODY_BYTES: Final = 1
_SHUTDOWN_SECONDS: Final = 0.5


class PageForwarder:
    """Answers GET for the paths of the page, below the secret."""

    def __init__(self, socket: Path) -> None:
        """`socket` is the path of the admin socket."""
        self._socket = socket
        self._secret = secrets.token_urlsafe(_SECRET_BYTES)
        self._session: ClientSession | None = None

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[str]:
        """Serve on a loopback port (0: any), for the time of the block. Gives the URL of the page.

        Raises `OSError` if the port cannot be had.
        """
        application = web.Application(client_max_size=_BODY_BYTES)
        application.router.add_get("/{secret}/{path:.*}", self._forward, allow_head=False)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        timeout = ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        connector = UnixConnector(str(self._socket), limit=0)
        try:
            async with ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as self._session:
                await web.TCPSite(runner, _LOOPBACK, port).start()
                yield f"http://{_LOOPBACK}:{runner.addresses[0][1]}/{self._secret}/"
                await runner.cleanup()
        finally:
            await runner.cleanup()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        is_meant = hmac.compare_digest(request.match_info["secret"].encode(), self._secret.encode())
        if not is_meant or path not in _SHOWN or not _is_local(request.host):
            raise web.HTTPNotFound
        assert self._session is not None  # it serves
        headers = {name: request.headers[name] for name in _ASKED if name in request.headers}
        target = f"http://plexigate/{path}"
        try:
            async with self._session.get(target, params=request.query, headers=headers) as found:
                answer = web.StreamResponse(status=found.status, headers=_passed(found.headers))
                await answer.prepare(request)
                async for part in found.content.iter_any():
                    await answer.write(part)
                await answer.write_eof()
                return answer
        except (ClientError, OSError) as error:
            return web.Response(status=502, text=f"{self._socket}: the proxy does not answer: {error}\n")


def _is_local(host: str) -> bool:
    """Whether a `Host` names this machine, with any port: `ssh -L` has its own."""
    name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    return name.lower() in _LOCAL_NAMES


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_CONNECTION}


async def forward_until_cancelled(socket: Path, port: int, tell: Callable[[str], None]) -> None:
    """Serve the page until cancelled. `tell` gets its URL. Raises `OSError`."""
    async with PageForwarder(socket).serving(port) as url:
        tell(url)
        await asyncio.Event().wait()
