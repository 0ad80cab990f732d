"""The page over a real socket."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientSession, UnixConnector

from tests.fakes_admin import NOW, fed, worker
from tests.proxy.admin.test_server import listening


@pytest.fixture(name="directory")
def short_directory(tmp_path: Path) -> Path:
    return tmp_path


async def test_page_is_one_document_with_its_policy(directory: Path) -> None:
    async with listening(directory) as admin:
        answer = await admin.ask("/")
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'sha256-")
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "upstream chat has no server that takes requests" in answer.text, (
            "the state for a browser without scripts"
        )


@pytest.mark.parametrize("target", ["/", "/page/history", "/events"])
async def test_port_for_metrics_does_not_have_it(directory: Path, target: str) -> None:
    async with listening(directory) as admin:
        assert (await admin.ask(target, over_tcp=True)).status == 404


@pytest.mark.parametrize("target", ["/", "/page/history", "/events"])
async def test_it_only_reads(directory: Path, target: str) -> None:
    async with listening(directory) as admin:
        assert (await admin.ask(target, "POST")).status == 405
        assert admin.control.told == []


async def test_stream_is_refused_to_head_so_nothing_follows_its_answer(directory: Path) -> None:
    async with listening(directory) as admin:
        assert (await admin.ask("/events", "HEAD")).status == 405
        assert (await admin.ask("/", "HEAD")).status == 200


async def test_history_of_the_hour_and_of_the_day(directory: Path) -> None:
    async with listening(directory) as admin:
        for seconds in (0.0, 60.0, 70.0):
            admin.control.history.note(replace(admin.control.answer, now=NOW + seconds))
        hour = (await admin.ask("/page/history")).json
        assert (hour["at"], hour["seconds"]) == ([NOW + 60, NOW + 70], 10.0)
        assert (await admin.ask(f"/page/history?since={NOW + 60}")).json["at"] == [NOW + 70]
        day = (await admin.ask("/page/history?span=day")).json
        assert (day["at"], day["seconds"]) == ([NOW + 60], 60.0)


@pytest.mark.parametrize(
    ("target", "detail"),
    [
        ("/page/history?span=year", "span is 'year': write hour or day"),
        ("/page/history?since=nan", "since is 'nan': write a time in UNIX seconds"),
        ("/events?since=<b>", "since is '<b>': write a time in UNIX seconds"),
    ],
)
async def test_unusable_values_are_named(directory: Path, target: str, detail: str) -> None:
    async with listening(directory) as admin:
        answer = await admin.ask(target)
        assert (answer.status, answer.detail) == (400, detail)


async def test_events_begin_with_everything_and_go_on_from_the_last_id(directory: Path) -> None:
    async with listening(directory) as admin:
        admin.control.history.note(replace(admin.control.answer, now=NOW - 20))
        admin.control.history.note(replace(admin.control.answer, workers=[worker(0, fed(4))], now=NOW - 10))
        async with ClientSession(connector=UnixConnector(str(admin.path))) as session:
            headers = {"Last-Event-ID": f"{NOW - 20:.3f}"}
            async with session.get("http://plexigate/events?since=0", headers=headers) as response:
                assert response.content_type == "text/event-stream"
                assert response.headers["Cache-Control"] == "no-store"
                lines: list[str] = []
                async with asyncio.timeout(10):
                    while not any(line.startswith("id: ") for line in lines):
                        lines.append((await response.content.readline()).decode().rstrip("\n"))
        data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        assert data[0]["proxy"]["version"] == "0.1.0"
        assert data[1]["at"] == [NOW - 10, NOW]


async def test_server_that_stops_ends_its_pages_at_once(directory: Path) -> None:
    async with (
        listening(directory) as admin,
        ClientSession(connector=UnixConnector(str(admin.path))) as session,
        session.get("http://plexigate/events") as response,
    ):
        await response.content.readuntil(b"event: now")
        async with asyncio.timeout(0.9):
            await admin.server.stop()
        assert b"event: later" in await response.content.read()


async def test_open_pages_keep_no_command_out(directory: Path) -> None:
    async with (
        listening(directory) as admin,
        ClientSession(connector=UnixConnector(str(admin.path), limit=0)) as session,
    ):
        pages = [await session.get("http://plexigate/events") for _ in range(40)]
        assert (await admin.ask("/status")).status == 200
        for one in pages:
            one.close()
