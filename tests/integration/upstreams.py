"""Servers behind the proxy: one that plays a script byte by byte, and aiohttp and websockets as people use them."""

import asyncio
import contextlib
import queue
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.hostile.strict import Message, RequestReader

WAIT_SECONDS = 10.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_READ_BYTES = 262_144


class Peer:
    """One connection from the proxy. Everything blocks, for `WAIT_SECONDS` at most."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(WAIT_SECONDS)
        self.sock = sock
        self._rest = b""

    def read_request(self, *, is_peer_trusted: bool = False) -> Message:
        """Read one request, which must be strictly well-formed. Raises EOFError between two requests."""
        reader = RequestReader(is_peer_trusted=is_peer_trusted)
        reader.feed(self._rest)
        while not reader.is_complete:
            data = self.sock.recv(_READ_BYTES)
            if not data:
                raise EOFError
            reader.feed(data)
        self._rest = reader.rest
        assert reader.message is not None  # complete
        return reader.message

    def requests(self, *, is_peer_trusted: bool = False) -> Iterator[Message]:
        """Each request of a kept connection: between two of them the proxy may have nothing to ask for a long time."""
        while True:
            self.sock.settimeout(None)
            message = self.read_request(is_peer_trusted=is_peer_trusted)
            self.sock.settimeout(WAIT_SECONDS)
            yield message

    def read_head(self) -> bytes:
        """Read up to the end of a head, as it came."""
        while b"\r\n\r\n" not in self._rest:
            data = self.sock.recv(_READ_BYTES)
            if not data:
                raise EOFError
            self._rest += data
        head, mark, self._rest = self._rest.partition(b"\r\n\r\n")
        return head + mark

    def read(self, count: int) -> bytes:
        """Read exactly that many bytes."""
        while len(self._rest) < count:
            data = self.sock.recv(_READ_BYTES)
            if not data:
                raise EOFError
            self._rest += data
        data, self._rest = self._rest[:count], self._rest[count:]
        return data

    def read_some(self) -> bytes:
        """Read what there is, nothing at the end."""
        data, self._rest = self._rest, b""
        return data or self.sock.recv(_READ_BYTES)

    def read_to_end(self) -> bytes:
        """Read until the proxy ends the connection, in whatever way."""
        data, self._rest = self._rest, b""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := self.sock.recv(_READ_BYTES):
                data += piece
        return data

    def send(self, data: bytes) -> None:
        """Send."""
        self.sock.sendall(data)

    def end(self) -> None:
        """End our direction; on TLS without close_notify."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close, after all that the proxy still sends: it has noticed then."""
        self.end()
        with contextlib.suppress(OSError):
            self.read_to_end()
        self.sock.close()

    def reset(self) -> None:
        """Close with a reset (TCP)."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Script = Callable[[Peer], None]


@dataclass
class Slow:
    """An upstream that keeps `/slow` waiting until it is told to answer."""

    is_peer_trusted: bool = False
    asked: threading.Event = field(default_factory=threading.Event)
    answer: threading.Event = field(default_factory=threading.Event)

    def script(self, peer: Peer) -> None:
        """Play it."""
        for message in peer.requests(is_peer_trusted=self.is_peer_trusted):
            if message.target == "/slow":
                self.asked.set()
                assert self.answer.wait(3 * WAIT_SECONDS)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")


class ScriptedServer:
    """Plays `script` on each connection, each in a thread of its own."""

    def __init__(self, listening: socket.socket, script: Script, tls: ssl.SSLContext | None) -> None:
        self.peers: list[Peer] = []
        self.faults: list[BaseException] = []
        self.handshakes_failed = 0
        self._listening = listening
        self._script = script
        self._tls = tls
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """Where it listens, as configuration has it."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._listening.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._play, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _play(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)
        except OSError:
            self.handshakes_failed += 1
            sock.close()
            return
        peer = Peer(sock)
        self.peers.append(peer)
        try:
            self._script(peer)
        except (EOFError, ConnectionError, ssl.SSLError):
            pass  # the proxy is done
        except BaseException as fault:  # noqa: BLE001 - told to the test that wrote the script
            self.faults.append(fault)
        finally:
            peer.close()

    def stop(self) -> None:
        """Close everything, and raise what went wrong in a script."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RD)  # wakes up who reads
            peer.end()
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
        if self.faults:
            raise self.faults[0]


@contextmanager
def scripted(script: Script, at: Path | int = 0, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """A scripted server at a Unix socket or a TCP port."""
    if isinstance(at, Path):
        at.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(at))
        listening.listen(100)
    else:
        listening = socket.create_server(("127.0.0.1", at), backlog=100)
    server = ScriptedServer(listening, script, tls)
    try:
        yield server
    finally:
        server.stop()


def answering(*answers: bytes) -> Script:
    """Answer the requests of each connection with these bytes, one after the other."""

    def script(peer: Peer) -> None:
        for answer in answers:
            peer.read_request()
            peer.send(answer)
        peer.read_to_end()

    return script


# -- servers of asyncio


@contextmanager
def in_thread(server: Callable[[], AbstractAsyncContextManager[int]]) -> Iterator[int]:
    """Run a server in a loop and a thread of its own; gives its port."""
    ready: queue.Queue[tuple[int, Callable[[], object]]] = queue.Queue()

    async def serve() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        async with server() as port:
            ready.put((port, lambda: loop.call_soon_threadsafe(stop.set)))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    port, stop = ready.get(timeout=WAIT_SECONDS)
    try:
        yield port
    finally:
        stop()
        thread.join(WAIT_SECONDS)


@asynccontextmanager
async def aiohttp_server(*routes: web.RouteDef, at: int = 0) -> AsyncIterator[int]:
    """An aiohttp application, at a port."""
    application = web.Application(client_max_size=1 << 30)
    application.add_routes(routes)
    runner = web.AppRunner(application, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", at).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def websocket_server() -> AsyncIterator[int]:
    """It answers a close frame with the same code and reason, and closes itself with the code that it is sent."""

    async def talk(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await connection.close(int(await connection.recv()), "as you said")

    async with serve(talk, "127.0.0.1", 0) as server:
        yield next(iter(server.sockets)).getsockname()[1]


class Backend:
    """A real server whose answers the test decides, and which counts requests, checks and WebSockets."""

    def __init__(self) -> None:
        self.status = 200
        self.health = 200
        self.health_answers: deque[int] = deque()
        """What checks are answered with first, one after the other."""
        self.requests = 0
        self.checks = 0
        self.sockets = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a health check, a request, or become an echoing WebSocket."""
        if request.path == "/healthz":
            self.checks += 1
            return web.Response(status=self.health_answers.popleft() if self.health_answers else self.health)
        if request.headers.get("Upgrade") == "websocket":
            return await self._echo(request)
        self.requests += 1
        return web.Response(status=self.status, text=self.url)

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        opened = web.WebSocketResponse()
        await opened.prepare(request)
        self.sockets += 1
        async for message in opened:
            await opened.send_str(message.data)
        self.sockets -= 1
        return opened


@contextmanager
def backends(count: int, at: int = 0) -> Iterator[list[Backend]]:
    """Run some; a single one may be `at` a port."""
    with ExitStack() as stack:
        made = [Backend() for _ in range(count)]
        for one in made:
            route = web.route("*", "/{path:.*}", one.answer)
            port = stack.enter_context(in_thread(partial(aiohttp_server, route, at=at)))
            one.url = f"http://127.0.0.1:{port}"
        yield made
