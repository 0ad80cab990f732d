"""WebSockets through the proxy, between the programs that people use: websockets and aiohttp."""

import hashlib
import json
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
import websockets.asyncio.server
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.typing import Subprotocol

from tests.certificates import Authority, CertificateFiles
from tests.integration.stage import Site, Upstream, request, site
from tests.integration.upstreams import aiohttp_server, in_thread

LARGE = 10_000_000


async def serve(socket: websockets.asyncio.server.ServerConnection) -> None:
    """Echo, but for what begins like a command."""
    async for message in socket:
        if message == "headers":
            assert socket.request is not None
            await socket.send(json.dumps(dict(socket.request.headers.raw_items())))
        elif message == "close":
            await socket.close(4001, "as you wish")
            return
        elif message == "ping":
            await (await socket.ping(b"are you there"))
            await socket.send("pong came")
        elif message == "sum":
            data = await socket.recv()
            assert isinstance(data, bytes)
            await socket.send(hashlib.sha256(data).hexdigest())
        elif message == "fragments":
            await socket.send(part for part in ("a", "b", "", "c"))
        else:
            await socket.send(message)


@asynccontextmanager
async def websockets_server() -> AsyncIterator[int]:
    """A server of the library `websockets`, which compresses where the client can."""

    def select(connection: Any, offered: Any) -> Subprotocol | None:
        del connection
        return Subprotocol("chat.v2") if "chat.v2" in offered else None

    async with websockets.asyncio.server.serve(
        serve, "127.0.0.1", 0, max_size=2 * LARGE, select_subprotocol=select, ping_interval=None
    ) as server:
        yield server.sockets[0].getsockname()[1]


async def aiohttp_echo(request: web.Request) -> web.WebSocketResponse:
    """Echo by aiohttp."""
    socket = web.WebSocketResponse(protocols=("chat.v1",), max_msg_size=2 * LARGE)
    await socket.prepare(request)
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    return socket


async def refuse(request: web.Request) -> web.Response:
    """Refuse the handshake."""
    del request
    return web.Response(status=403, text="not you")


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, localhost: CertificateFiles
) -> Iterator[Site]:
    """A proxy in front of both kinds of server."""

    def application():  # type: ignore[no-untyped-def]
        return aiohttp_server(web.get("/aiohttp", aiohttp_echo), web.get("/aiohttp/refuse", refuse))

    with in_thread(websockets_server) as library, in_thread(application) as framework:
        upstreams = {
            "websockets": Upstream((f"http://127.0.0.1:{library}",)),
            "aiohttp": Upstream((f"http://127.0.0.1:{framework}",)),
        }
        with site(tmp_path_factory.mktemp("websockets"), authority, localhost, upstreams) as running:
            yield running


@pytest.fixture
def open_socket(proxy: Site) -> Callable[..., Any]:
    """Opens a WebSocket through the proxy.

    Not with the library's client for threads: it reads and writes one SSL object in two of them, and hangs where CPython has a
    lock on it (3.13) and a session ticket comes alone.
    """
    context = ssl.create_default_context(cafile=str(proxy.ca))

    def opened(path: str = "/websockets", **options: Any) -> Any:
        return connect(proxy.url(path, scheme="wss"), ssl=context, proxy=None, max_size=2 * LARGE, **options)

    return opened


Open = Callable[..., Any]


class TestMessages:
    """What one side sends is what the other gets."""

    @pytest.mark.parametrize("path", ["/websockets", "/aiohttp"])
    @pytest.mark.parametrize("compression", [None, "deflate"])
    async def test_messages_of_all_sizes(self, open_socket: Open, path: str, compression: str | None) -> None:
        async with open_socket(path, compression=compression) as socket:
            assert bool(socket.protocol.extensions) is (compression is not None)
            for size in (0, 1, 125, 126, 65_535, 65_536, LARGE):
                for message in (os.urandom(size), "ü" * (size // 2)):
                    await socket.send(message)
                    assert await socket.recv() == message

    @pytest.mark.parametrize("path", ["/websockets", "/aiohttp"])
    async def test_fragments(self, open_socket: Open, path: str) -> None:
        async with open_socket(path, compression=None) as socket:
            await socket.send(iter(["frag", "", "men", "ted"]))
            assert await socket.recv() == "fragmented"

    async def test_fragments_of_the_server_stay_fragments(self, open_socket: Open) -> None:
        async with open_socket(compression=None) as socket:
            await socket.send("fragments")
            assert [part async for part in socket.recv_streaming()] == ["a", "b", "", "c", ""]

    async def test_large_message_arrives_unharmed(self, open_socket: Open) -> None:
        data = os.urandom(LARGE)
        async with open_socket() as socket:
            await socket.send("sum")
            await socket.send(data)
            assert await socket.recv() == hashlib.sha256(data).hexdigest()

    async def test_pings_of_both_sides_are_answered(self, open_socket: Open) -> None:
        async with open_socket() as socket:
            await (await socket.ping(b"anybody there"))
            await socket.send("ping")
            assert await socket.recv() == "pong came"

    async def test_many_at_once(self, open_socket: Open) -> None:
        async with AsyncExitStack() as opened:
            sockets = [await opened.enter_async_context(open_socket()) for _ in range(50)]
            for number, socket in enumerate(sockets):
                await socket.send(str(number))
            assert [await socket.recv() for socket in sockets] == [str(number) for number in range(50)]


class TestHandshake:
    """RFC 6455 section 4."""

    async def test_subprotocol_is_settled_by_the_server(self, open_socket: Open) -> None:
        for offered, settled in ((["chat.v1", "chat.v2"], "chat.v2"), (["other"], None), (None, None)):
            async with open_socket(subprotocols=offered) as socket:
                assert socket.subprotocol == settled

    async def test_server_sees_the_client(self, open_socket: Open) -> None:
        async with open_socket(origin="https://localhost", additional_headers={"Cookie": "a=b"}) as socket:
            await socket.send("headers")
            headers = json.loads(await socket.recv())
        assert headers["Origin"] == "https://localhost"
        assert headers["Cookie"] == "a=b"
        assert headers["X-Forwarded-For"] == "127.0.0.1"
        assert headers["X-TLS-Group"] == "X25519MLKEM768"

    async def test_refusal_reaches_the_client(self, open_socket: Open) -> None:
        with pytest.raises(InvalidStatus) as caught:
            await open_socket("/aiohttp/refuse")
        assert caught.value.response.status_code == 403
        assert caught.value.response.body == b"not you"

    def test_wrong_version_is_told_the_right_one(self, proxy: Site) -> None:
        with proxy.connect() as client:
            client.send(
                request(
                    "Connection: Upgrade",
                    "Upgrade: websocket",
                    "Sec-WebSocket-Version: 8",
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                    start="GET /websockets HTTP/1.1",
                )
            )
            answer = client.read_response()
        assert (answer.status, answer.values("Sec-WebSocket-Version")) == (426, ["13"])

    def test_other_upgrades_are_not_offered_to_the_server(self, proxy: Site) -> None:
        with proxy.connect() as client:
            client.send(
                request(
                    "Connection: Upgrade, HTTP2-Settings",
                    "Upgrade: h2c",
                    "HTTP2-Settings: AA",
                    start="GET /aiohttp/refuse HTTP/1.1",
                )
            )
            assert client.read_response().status == 403, "an ordinary answer to an ordinary request"


class TestClose:
    """Codes and reasons pass in both directions."""

    async def test_close_of_the_server(self, open_socket: Open) -> None:
        async with open_socket() as socket:
            await socket.send("close")
            with pytest.raises(ConnectionClosedError) as caught:
                await socket.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "as you wish")

    async def test_close_of_the_client(self, open_socket: Open) -> None:
        async with open_socket() as socket:
            await socket.send("one")
            await socket.recv()
            await socket.close(4002, "enough")
            with pytest.raises((ConnectionClosedOK, ConnectionClosedError)) as caught:
                await socket.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 4002

    async def test_aiohttp_as_client(self, proxy: Site) -> None:
        context = ssl.create_default_context(cafile=str(proxy.ca))
        connector = aiohttp.TCPConnector(ssl=context)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect(proxy.url("/aiohttp"), protocols=("chat.v1",), compress=15) as socket,
        ):
            assert socket.protocol == "chat.v1"
            assert socket.compress
            await socket.send_str("hello" * 1_000)
            assert await socket.receive_str(timeout=10) == "hello" * 1_000
            assert socket._conn is not None
            protocol = socket._conn.protocol
            assert protocol is not None
            lost = protocol.closed
            await socket.close()
            assert socket.close_code == 1000
        assert lost is not None
        await lost  # uvloop cannot be closed while a TLS connection still says goodbye


async def test_log_tells_messages_and_bytes(open_socket: Open, proxy: Site) -> None:
    async with open_socket("/websockets/logged", compression=None) as socket:
        for _ in range(3):
            await socket.send("12345")
            await socket.recv()
        await socket.send("fragments")
        await socket.recv()
    record = proxy.record("/websockets/logged")
    assert record["status"] == 101
    assert (record["messages_in"], record["messages_out"]) == (4, 4)
    # frames: header, mask, payload; and the close frames with a code of two octets
    assert record["request_bytes"] == 3 * (2 + 4 + 5) + (2 + 4 + 9) + (2 + 4 + 2)
    assert record["response_bytes"] >= 3 * (2 + 5) + (2 + 2)
    assert "error" not in record
