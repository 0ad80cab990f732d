"""A health check behind a PROXY header that says that it is one."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from config.schema import ServerAddress
from config.tables.upstream import ProxyHeaderVersion
from proxy.upstream.health.checks import ask
from proxy.upstream.health.connection import opened
from proxy.upstream.health.status import http1_status
from tests.certificates import Authority
from tests.proxy.proxy_protocol.headers import LOCAL, SIGNATURE, UNSPEC
from tests.proxy.upstream.health.test_checks import CHECK

TEXT, BINARY = ProxyHeaderVersion
GET = b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n"
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority of this module."""
    return Authority(tmp_path_factory.mktemp("authority"))


class HeadedServer:
    """It notes the header and the request of each connection, and says what it is told to."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.seen: list[tuple[bytes, bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request."""
        header = await reader.readexactly(6)
        if header == b"PROXY ":
            header += await reader.readuntil(b"\r\n")
        else:
            header += await reader.readexactly(10)
            header += await reader.readexactly(int.from_bytes(header[14:]))
        try:
            request = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            request = error.partial
        self.seen.append((header, request))
        writer.write(self.answer)
        writer.close()


@asynccontextmanager
async def headed(answer: bytes = OK, path: Path | None = None) -> AsyncIterator[tuple[HeadedServer, ServerAddress]]:
    """Serve at a free port, or at a Unix socket."""
    made = HeadedServer(answer)
    if path is not None:
        async with await asyncio.start_unix_server(made.serve, path):
            yield made, ServerAddress("unix", path=str(path))
        return
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with server:
        yield made, ServerAddress("http", "127.0.0.1", server.sockets[0].getsockname()[1])


async def status_of(
    address: ServerAddress, header: ProxyHeaderVersion, tls: ssl.SSLContext | None = None, server_name: str = ""
) -> int:
    """Ask once."""
    async with opened(address, header, tls, server_name) as streams:
        return await http1_status(*streams, GET)


async def test_version_2_says_local() -> None:
    async with headed() as (server, address):
        assert await status_of(address, BINARY) == 204
    ((header, request),) = server.seen
    assert header[:14] == SIGNATURE + bytes([LOCAL, UNSPEC])
    assert request == GET


async def test_version_1_names_both_ends() -> None:
    async with headed() as (server, address):
        assert await status_of(address, TEXT) == 204
    words = server.seen[0][0].split()
    assert words[:4] == [b"PROXY", b"TCP4", b"127.0.0.1", b"127.0.0.1"]
    assert words[5] == str(address.port).encode()


async def test_a_unix_socket_has_no_ends(tmp_path: Path) -> None:
    async with headed(path=tmp_path / "s") as (server, address):
        assert await status_of(address, TEXT) == 204
    assert server.seen[0][0] == b"PROXY UNKNOWN\r\n"


async def test_interim_responses_are_passed_over() -> None:
    async with headed(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 500\r\n\r\n") as (_, address):
        assert await status_of(address, BINARY) == 500


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n", b"SSH-2.0\r\n\r\n", b"HTTP/2 200 OK\r\n\r\n", b"x" * 70_000 + b"\r\n\r\n"]
)
async def test_what_is_no_answer_is_an_error(answer: bytes) -> None:
    async with headed(answer) as (_, address):
        with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
            await status_of(address, BINARY)


async def test_the_header_goes_before_tls(authority: Authority) -> None:
    context = authority.issue("headed", ("headed.test",)).server_context()
    seen = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readexactly(16 + 7))
        await writer.start_tls(context)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        address = ServerAddress("https", "127.0.0.1", server.sockets[0].getsockname()[1])
        status = await status_of(address, BINARY, authority.client_context(), "headed.test")
        with pytest.raises(OSError, match="certificate verify failed"):
            await status_of(address, BINARY, authority.client_context(), "other.test")
    assert status == 204
    assert seen[0].startswith(SIGNATURE)


async def test_a_header_that_cannot_be_sent_leaves_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise BrokenPipeError

    async with headed(path=tmp_path / "s") as (_, address):
        monkeypatch.setattr(type(asyncio.get_running_loop()), "sock_sendall", fail)
        with pytest.raises(BrokenPipeError):
            await status_of(address, BINARY)


@pytest.mark.parametrize(("answer", "is_good"), [(OK, True), (b"HTTP/1.1 503 Busy\r\n\r\n", False), (b"", False)])
async def test_a_check_asks_so(answer: bytes, *, is_good: bool) -> None:
    async with headed(answer) as (server, address):
        check = replace(CHECK, address=address, proxy_header=BINARY)
        assert await ask(check) is is_good
    request = server.seen[0][1].decode()
    assert request.startswith("GET /health?deep=1&x=%2F HTTP/1.1\r\nHost: chat.internal:8000\r\nUser-Agent: plexigate-")
    assert "\r\nConnection: close\r\n" in request
