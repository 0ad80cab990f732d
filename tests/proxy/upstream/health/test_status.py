"""A question of a health check over HTTP/2, to python-hyper and to servers that do it wrong."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from config.schema import ServerAddress
from proxy.upstream.health.connection import opened
from proxy.upstream.health.status import http2_status
from tests.certificates import Authority
from tests.http2_frames import GET, OK, SETTINGS, block, body, headers, rst

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority of this module."""
    return Authority(tmp_path_factory.mktemp("authority"))


async def hyper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with 204."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    while True:
        writer.write(server.data_to_send())
        data = await reader.read(65_536)
        if not data:
            break
        for event in server.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                server.send_headers(event.stream_id, [(":status", "103")])
                server.send_headers(event.stream_id, [(":status", "204")], end_stream=True)
    writer.close()


def saying(data: bytes) -> Serve:
    """A server that says this, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(data)
        await writer.drain()
        writer.close()

    return serve


@asynccontextmanager
async def serving(serve: Serve, path: Path) -> AsyncIterator[ServerAddress]:
    """Serve at a Unix socket."""
    server = await asyncio.start_unix_server(serve, path)
    async with server:
        yield ServerAddress("unix", path=str(path))


async def status_of(address: ServerAddress, tls: ssl.SSLContext | None = None) -> int:
    """Ask once."""
    async with opened(address, None, tls, "127.0.0.1") as streams:
        return await http2_status(*streams, GET)


async def test_the_status_is_that_of_the_final_response(tmp_path: Path) -> None:
    async with serving(hyper, tmp_path / "s") as address:
        assert await status_of(address) == 204


@pytest.mark.parametrize(("protocols", "is_good"), [(["h2"], True), (["http/1.1"], False), ([], False)])
async def test_h2_has_to_be_chosen_by_alpn(authority: Authority, protocols: list[str], *, is_good: bool) -> None:
    context = authority.issue(f"health-{len(protocols)}-{is_good}").server_context()
    context.set_alpn_protocols(protocols)
    client = authority.client_context()
    client.set_alpn_protocols(["h2", "http/1.1"])
    server = await asyncio.start_server(hyper, "127.0.0.1", 0, ssl=context)
    async with server:
        address = ServerAddress("https", "127.0.0.1", server.sockets[0].getsockname()[1])
        if is_good:
            assert await status_of(address, client) == 204
        else:
            with pytest.raises(ConnectionError, match="did not choose h2"):
                await status_of(address, client)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        SETTINGS,
        SETTINGS + rst(1),
        SETTINGS + body(1, b"x"),
        SETTINGS + headers(1, payload=block([(b"x", b"1")])),
        SETTINGS + headers(1, payload=block([(b":status", b"2000")])),
        SETTINGS + headers(1, payload=block([*OK, *[(b"x", b"y" * 120)] * 400])[:16_000]),
    ],
)
async def test_everything_else_is_an_error(tmp_path: Path, data: bytes) -> None:
    async with serving(saying(data), tmp_path / "s") as address:
        with pytest.raises(ConnectionError):
            await status_of(address)
