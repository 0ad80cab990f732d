"""The page of an admin socket on a loopback port: for who knows the secret, and only the page."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientResponse, ClientSession
from yarl import URL

from proxy.commands.page.forwarder import PageForwarder, forward_until_cancelled
from tests.proxy.admin.test_server import Admin, listening


class Visit:
    """A browser at the port."""

    def __init__(self, url: str, session: ClientSession, admin: Admin) -> None:
        self.url = url
        self.session = session
        self.admin = admin

    async def ask(self, path: str = "", method: str = "GET", **headers: str) -> ClientResponse:
        """Ask for something below the URL of the page."""
        answer = await self.session.request(method, URL(self.url + path, encoded=True), headers=headers)
        await answer.read()
        return answer


@asynccontextmanager
async def visiting(directory: Path) -> AsyncIterator[Visit]:
    async with (
        listening(directory) as admin,
        PageForwarder(admin.path).serving(0) as url,
        ClientSession() as session,
    ):
        yield Visit(url, session, admin)


async def test_page_comes_as_the_proxy_sends_it(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        page = await visit.ask()
        assert page.status == 200
        own = await visit.admin.ask("/")
        assert await page.text() == own.text
        for name in ("Content-Security-Policy", "Cache-Control", "Referrer-Policy", "X-Content-Type-Options"):
            assert page.headers[name] == own.headers[name]
        assert (await visit.ask("page/history?span=day")).content_type == "application/json"


async def test_events_come_while_the_proxy_sends_them(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit, visit.session.get(f"{visit.url}events") as answer:
        async with asyncio.timeout(10):
            assert b"event: now" in await answer.content.readuntil(b"event: now")


@pytest.mark.parametrize("path", ["status", "metrics", "alerts", "certificates", "upstreams/chat/x/drain", "../status"])
async def test_nothing_but_the_page_passes(tmp_path: Path, path: str) -> None:
    async with visiting(tmp_path) as visit:
        assert (await visit.ask(path)).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
async def test_nothing_but_get_passes(tmp_path: Path, method: str) -> None:
    async with visiting(tmp_path) as visit:
        assert (await visit.ask(method=method)).status == 405


async def test_without_the_secret_there_is_nothing(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        origin = visit.url.rsplit("/", 2)[0]
        for guess in ("/", "/events", "/x/", "/%C3%A4/", f"/{visit.url.split('/')[3][:-1]}/"):
            assert (await visit.session.get(URL(origin + guess, encoded=True))).status == 404
        assert visit.admin.control.told == []


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9000", 200),
        ("LOCALHOST", 200),
        ("[::1]:9000", 200),
        ("127.0.0.1:1", 200),
        ("plexi.example:80", 404),
        ("[::2]", 404),
        ("localhost.evil.example", 404),
    ],
)
async def test_name_of_another_machine_leads_nowhere(tmp_path: Path, host: str, status: int) -> None:
    async with visiting(tmp_path) as visit:
        assert (await visit.ask(Host=host)).status == status


async def test_proxy_that_is_away_is_named(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        await visit.admin.server.stop()
        answer = await visit.ask()
        assert answer.status == 502
        assert (await answer.text()).startswith(f"{visit.admin.path}: the proxy does not answer: ")


async def test_each_run_has_its_own_secret(tmp_path: Path) -> None:
    async with PageForwarder(tmp_path).serving(0) as one, PageForwarder(tmp_path).serving(0) as other:
        assert one.split("/")[3] != other.split("/")[3]
        assert len(one.split("/")[3]) >= 32


async def test_url_is_told_and_the_port_is_free_after_the_end(tmp_path: Path) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(forward_until_cancelled(tmp_path, 0, told.put_nowait))
        url = await told.get()
        assert url.startswith("http://127.0.0.1:")
        task.cancel()
    port = int(url.split(":")[2].split("/")[0])
    async with PageForwarder(tmp_path).serving(port):
        with pytest.raises(OSError, match="in use"):
            await forward_until_cancelled(tmp_path, port, told.put_nowait)
