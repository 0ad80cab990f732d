"""What the admin server gets out of a running parent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.admin.requests.problems import CommandRefused
from proxy.observe.status import status
from proxy.processes.systemd import Notifier
from proxy.supervisor.log_target import LogTarget
from proxy.supervisor.supervisor import Supervisor
from proxy.supervisor.workers.process import WorkerProcess
from proxy.supervisor.workers.sockets import ListeningSockets
from tests.configurations import Site, limits, listener
from tests.log_files import entries
from tests.workforces import REQUEST, edition_of, short_name

SERVER = "http://127.0.0.1:1"


class Running:
    """A parent and what asks it."""

    def __init__(self, site: Site, directory: Path, text: str) -> None:
        self.site, self.name, self.log = site, short_name(directory), directory / "log"
        edition = edition_of(site, self.with_log(text), name=self.name)
        self.target = LogTarget(
            edition.loaded.file, edition.loaded.config.log, edition.loaded.config.limits.log_queue_lines, None
        )
        loop = asyncio.get_running_loop()
        self.supervisor = Supervisor(loop, edition, ListeningSockets(), self.target, Notifier(None))
        self.control = self.supervisor.control

    def with_log(self, text: str) -> str:
        return f'{text}\n[log]\nfile = "{self.log}"\n'

    def write(self, text: str) -> None:
        self.site.write(self.with_log(text), self.name)

    @property
    def workers(self) -> list[WorkerProcess]:
        return self.supervisor.crew.workforce.workers

    async def visit(self) -> None:
        """Have one request answered."""
        port = int(self.supervisor.crew.sockets.by_listener["public"][0].rpartition(":")[2])
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=self.site.authority.client_context(), server_hostname="chat.test"
        )
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async def servers(self) -> list[dict[str, str]]:
        """The states of the servers, by worker."""
        scraped = (await self.control.figures.scrape()).workers
        return [{row["server"]: row["state"] for row in one.servers} for one in scraped]

    def events(self) -> list[dict[str, Any]]:
        return [entry for entry in entries(self.log) if "event" in entry]


@asynccontextmanager
async def running(site: Site, directory: Path, more: str = "") -> AsyncIterator[Running]:
    """Serve with two workers."""
    run = Running(site, directory, text(site, more))
    try:
        await run.supervisor.start(tuple)
        yield run
    finally:
        await run.supervisor.close()
        run.target.close(10)


def text(site: Site, more: str = "") -> str:
    return "workers = 2\n" + site.minimal + more


async def test_the_document_is_that_of_a_scrape(site: Site, tmp_path: Path) -> None:
    async with running(site, tmp_path) as run:
        document = status(await run.control.figures.scrape())
        assert [one["pid"] for one in document["workers"]] == [worker.pid for worker in run.workers]
        assert document["upstreams"][0]["servers"][0]["states"] == {"up": 2}
        json.dumps(document, allow_nan=False)


async def test_reload_is_for_real_unless_it_is_dry(site: Site, tmp_path: Path) -> None:
    async with running(site, tmp_path) as run:
        run.write(text(site, listener("second")))
        report = await run.control.reloads.reload(dry_run=True)
        assert (report.ok, report.generation) == (True, 1)
        assert [one.name for one in (await run.control.figures.scrape()).listeners] == ["public"]
        report = await run.control.reloads.reload(dry_run=False)
        assert (report.ok, report.generation, [change["key"] for change in report.changes]) == (
            True,
            3,
            ["listener.second"],
        )
        scrape = await run.control.figures.scrape()
        assert (scrape.generation, scrape.reloads) == (3, {"ok": 1})
        assert [one.generation for one in scrape.workers] == [3, 3]
        assert [one.name for one in scrape.listeners] == ["public", "second"]
        assert scrape.listeners[1].addresses


class TestDrain:
    """Servers of upstreams, by the operator's word."""

    async def test_server_drains_in_all_workers_until_that_is_undone(self, site: Site, tmp_path: Path) -> None:
        async with running(site, tmp_path, limits({"drain_timeout": "7s"})) as run:
            drained = await run.control.servers.drain("chat", SERVER, None)
            assert drained.pop("warning").startswith("no other server of upstream chat")
            assert drained == {"upstream": "chat", "server": SERVER, "draining": True}
            assert await run.servers() == [{SERVER: "drained"}] * 2
            undrained = await run.control.servers.undrain("chat", SERVER)
            assert undrained == {"upstream": "chat", "server": SERVER, "draining": False}
            assert await run.servers() == [{SERVER: "up"}] * 2
            await run.control.servers.drain("chat", SERVER, 0.0)
            assert await run.servers() == [{SERVER: "drained"}] * 2
        told = [entry for entry in run.events() if entry["event"].startswith("server_")]
        assert [(entry["event"], entry.get("seconds")) for entry in told] == [
            ("server_draining", 7.0),
            ("server_undrained", None),
            ("server_draining", 0.0),
        ]

    @pytest.mark.parametrize(("upstream", "server"), [("chat", "http://127.0.0.1:2"), ("files", SERVER), ("", "")])
    async def test_server_that_there_is_not_is_named_with_those_that_there_are(
        self, site: Site, tmp_path: Path, upstream: str, server: str
    ) -> None:
        run = Running(site, tmp_path, text(site))
        for call in (run.control.servers.drain(upstream, server, 1.0), run.control.servers.undrain(upstream, server)):
            with pytest.raises(CommandRefused) as caught:
                await call
            there = f"there are chat/{SERVER}"
            assert (caught.value.status, str(caught.value)) == (
                404,
                f"upstream {upstream} has no server {server}; {there}",
            )
        await run.supervisor.close()
        run.target.close(10)
        assert run.events() == []
