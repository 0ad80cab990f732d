"""A proxy that serves real clients, and what is read of it over the admin sockets while it does."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector, UnixConnector, web

from proxy.tls.openssl import libssl
from tests.configurations import Site, listener
from tests.integration.admin import Series, found, series
from tests.integration.stage import complaints
from tests.programs import PLEXIGATE, program

AGENT = "OldChat/1.0"


@dataclass
class Stage:
    """A proxy with two workers, and the ways of clients."""

    socket: Path
    metrics_address: str
    ca: Path
    ports: dict[str, int]

    def client(self, groups: str | None = None) -> ClientSession:
        """A client of chat.test that offers these groups and keeps its connection."""
        context = ssl.create_default_context(cafile=self.ca)
        if groups is not None:
            libssl.set_groups(context, groups)
        url, headers = f"https://127.0.0.1:{self.ports['public']}", {"Host": "chat.test", "User-Agent": AGENT}
        return ClientSession(url, connector=TCPConnector(ssl=context), headers=headers)

    async def get(self, session: ClientSession, path: str = "/", **headers: str) -> int:
        """The status of an answer that was read to its end."""
        async with session.get(path, server_hostname="chat.test", headers=headers) as got:
            await got.read()
            return got.status

    async def knock(self, name: str, on: str) -> None:
        """A handshake that is refused."""
        context = ssl.create_default_context(cafile=self.ca)
        libssl.set_groups(context, "X25519")
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("127.0.0.1", self.ports[on], ssl=context, server_hostname=name)

    async def metrics(self) -> Series:
        """What a monitoring system reads over TCP."""
        async with ClientSession() as session, session.get(f"http://{self.metrics_address}/metrics") as got:
            return series(await got.text())

    async def status(self) -> dict[str, Any]:
        """The document over the Unix socket."""
        async with (
            ClientSession(connector=UnixConnector(str(self.socket))) as session,
            session.get("http://plexigate/status") as got,
        ):
            document: dict[str, Any] = await got.json()
            return document


async def _answer(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def _echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
        await socket.send_str(message.data)
    return socket


@asynccontextmanager
async def upstream() -> AsyncIterator[int]:
    """A chat server that answers hello, and says everything twice over WebSocket."""
    application = web.Application()
    application.router.add_get("/gateway", _echo)
    application.router.add_get("/{rest:.*}", _answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield int(runner.addresses[0][1])
    await runner.cleanup()


def ready(line: str) -> dict[str, Any] | None:
    """The event that says that it serves."""
    entry: dict[str, Any] = json.loads(line)
    return entry if entry["event"] == "ready" else None


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    site = Site.make(tmp_path)
    async with upstream() as port:
        routes = "".join(f'[[route]]\nhost = "chat.test"\npath = "{path}"\nupstream = "chat"\n' for path in ROUTES)
        servers = f'[upstream.chat]\nservers = ["http://127.0.0.1:{port}"]\n'
        listeners = listener("public") + listener("strict", pq="require")
        socket = tmp_path / "admin.sock"
        admin = f'workers = 2\n[admin]\nsocket = "{socket}"\nmetrics_bind = "127.0.0.1:0"\n'
        path = tmp_path / "metrics.toml"
        path.write_text(admin + listeners + site.identity + servers + routes)
        with program([PLEXIGATE, "run", str(path)], ready) as running:
            (metrics,) = running.ready["metrics"]
            bound = running.ready["listeners"]
            ports = {name: int(addresses[0].rpartition(":")[2]) for name, addresses in bound.items()}
            yield Stage(socket, metrics, site.authority.path, ports)
        assert complaints(running.output) == []


ROUTES = ("/", "/api")
HANDSHAKES = "plexigate_handshakes_total"
COMMON = {"listener": "public", "identity": "chat", "version": "TLSv1.3"}


async def test_what_clients_did_is_read_while_they_do_it(stage: Stage) -> None:
    async with stage.client() as modern, stage.client("X25519") as old:
        assert [await stage.get(modern, path) for path in ("/", "/api/x", "/api")] == [200, 200, 200]
        assert await stage.get(modern, Host="nobody.test") == 421
        assert [await stage.get(old), await stage.get(old)] == [200, 200]
        await stage.knock("chat.test", "strict")
        await stage.knock("nobody.test", "public")
        async with modern.ws_connect("/gateway", server_hostname="chat.test") as socket:
            await socket.send_str("hello")
            assert [await socket.receive_str(), await socket.receive_str()] == ["hello", "hello"]
            read = await stage.metrics()
            document = await stage.status()
    assert found(read, HANDSHAKES, **COMMON, outcome="hybrid", group="X25519MLKEM768") == 1
    assert found(read, HANDSHAKES, **COMMON, outcome="client_cannot", group="X25519") == 1
    assert found(read, HANDSHAKES, listener="strict", identity="chat", outcome="refused") == 1
    assert found(read, "plexigate_failures_total", listener="strict", reason="pq_policy") == 1
    assert found(read, "plexigate_failures_total", listener="public", reason="unrecognized_name") == 1
    assert found(read, "plexigate_handshake_seconds_count", listener="public") == 2
    signed = found(read, "plexigate_signing_seconds_count") + found(read, HANDSHAKES, resumed="true")
    assert signed == 2
    assert found(read, "plexigate_connections_open", listener="public") == 2
    assert found(read, "plexigate_requests_total", route="chat.test/", status="2xx") == 3
    assert found(read, "plexigate_requests_total", route="chat.test/api", status="2xx") == 2
    assert found(read, "plexigate_requests_total", route="-", status="4xx") == 1
    assert found(read, "plexigate_request_seconds_count") == 6
    assert found(read, "plexigate_response_bytes_total", route="chat.test/api") == 10
    assert found(read, "plexigate_websockets_open", route="chat.test/") == 1
    assert found(read, "plexigate_websocket_messages_total", direction="from_client") == 1
    assert found(read, "plexigate_websocket_messages_total", direction="to_client") == 2
    assert found(read, "plexigate_connections_breaking_under_require_total") == 1
    assert found(read, "plexigate_log_lines_dropped_total") == 0
    assert document["breaking_under_require"]["user_agents"] == [{"user_agent": AGENT, "connections": 1, "error": 0}]
    assert document["breaking_under_require"]["networks"][0]["network"] == "127.0.0.0/24"
    assert document["handshakes"]["hybrid_share"] == 0.5
    assert [one["pq"] for one in document["listeners"]] == ["prefer", "require"]


async def test_what_clients_make_up_makes_no_series(stage: Stage) -> None:
    async with stage.client("X25519") as client:

        async def flood(number: int) -> None:
            await stage.knock(f"{number}.evil.test", "public")
            await stage.knock(f"{number}.evil.test", "strict")
            assert await stage.get(client, f"/evil/{number}?evil={number}") == 200
            assert await stage.get(client, f"/api/evil/{number}") == 200
            assert await stage.get(client, Host=f"{number}.evil.test") == 421
            await stage.get(client, **{"User-Agent": f"evil/{number}"})

        await flood(0)
        before = await stage.metrics()
        for number in range(1, 40):
            await flood(number)
        after = await stage.metrics()
    assert set(after) == set(before)
    assert "evil" not in str(after)
    assert found(after, "plexigate_failures_total", reason="unrecognized_name") == 80


async def test_the_lag_of_the_loop_is_measured(stage: Stage) -> None:
    while found(await stage.metrics(), "plexigate_loop_lag_seconds_count") < 2:  # noqa: ASYNC110 - it takes 0.2 s
        await asyncio.sleep(0.05)
