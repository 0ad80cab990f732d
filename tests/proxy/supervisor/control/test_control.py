"""What the admin server gets out of a running parent: figures of all workers, reloads, drains."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from proxy.admin.contracts import UnknownServer
from proxy.observe.scrape import WorkerState
from proxy.processes.systemd import Notifier
from proxy.supervisor.control.control import SupervisorControl, _resident_bytes
from proxy.supervisor.log_target import LogTarget
from proxy.supervisor.supervisor import Supervisor, wall_clock
from proxy.supervisor.workers.process import WorkerProcess
from proxy.supervisor.workers.sockets import ListeningSockets
from tests.configurations import Site, limits, listener
from tests.fleets import REQUEST, edition_of, short_name
from tests.waiting import until_seen

SERVER = "http://127.0.0.1:1"


class Running:
    """A parent and what asks it."""

    def __init__(self, site: Site, directory: Path, text: str) -> None:
        self.site, self.name, self.log = site, short_name(directory), directory / "log"
        edition = edition_of(site, self.with_log(text), name=self.name)
        self.target = LogTarget(edition.loaded, None)
        loop = asyncio.get_running_loop()
        self.supervisor = Supervisor(loop, edition, ListeningSockets(), self.target, Notifier(None))
        self.control = SupervisorControl(self.supervisor)

    def with_log(self, text: str) -> str:
        return f'{text}\n[log]\nfile = "{self.log}"\n'

    def write(self, text: str) -> None:
        self.site.write(self.with_log(text), self.name)

    @property
    def workers(self) -> list[WorkerProcess]:
        return self.supervisor.fleet.workers

    async def visit(self) -> None:
        """Have one request answered."""
        port = int(self.supervisor.sockets.by_listener["public"][0].rpartition(":")[2])
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=self.site.authority.client_context(), server_hostname="chat.test"
        )
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async def servers(self) -> list[dict[str, str]]:
        """The states of the servers, by worker."""
        scraped = (await self.control.scrape()).workers
        return [{row["server"]: row["state"] for row in one.servers} for one in scraped]

    def events(self) -> list[dict[str, Any]]:
        return [entry for entry in map(json.loads, self.log.read_text().splitlines()) if "event" in entry]


@asynccontextmanager
async def running(site: Site, directory: Path, more: str = "") -> AsyncIterator[Running]:
    """Serve with two workers."""
    run = Running(site, directory, text(site, more))
    try:
        await run.supervisor.start(())
        yield run
    finally:
        await run.supervisor.close()
        run.target.close(10)


def text(site: Site, more: str = "") -> str:
    return "workers = 2\n" + site.minimal + more


class TestScrape:
    """Everything at one moment."""

    async def test_it_has_what_the_parent_knows(self, site: Site, tmp_path: Path) -> None:
        async with running(site, tmp_path) as run:
            scrape = await run.control.scrape()
            assert scrape.version == version("plexigate")
            assert scrape.started_at <= scrape.now <= wall_clock()
            assert (scrape.generation, scrape.restarts, scrape.reloads) == (1, 0, {})
            (public,) = scrape.listeners
            assert (public.name, public.pq) == ("public", "prefer")
            assert list(public.addresses) == run.supervisor.sockets.by_listener["public"]
            assert "X25519MLKEM768" in public.groups
            (certificate,) = scrape.certificates
            assert (certificate.identity, set(certificate.names)) == ("chat", {"chat.test", "*.chat.test"})

    async def test_it_has_what_each_worker_counts(self, site: Site, tmp_path: Path) -> None:
        async with running(site, tmp_path) as run:
            before = asyncio.get_running_loop().time()
            for _ in range(3):
                await run.visit()
            scrape = await run.control.scrape()
            assert [(one.slot, one.pid, one.generation) for one in scrape.workers] == [
                (worker.slot, worker.pid, 1) for worker in run.workers
            ]
            requests = [row for one in scrape.workers for row in one.snapshot["listener_requests"]]
            assert sum(row["count"] for row in requests) == 3
            for worker, one in zip(run.workers, scrape.workers, strict=True):
                assert before - worker.started <= one.age_seconds <= asyncio.get_running_loop().time() - worker.started
                assert one.rss_bytes > 10_000_000
                assert [row["server"] for row in one.servers] == [SERVER]

    async def test_what_a_lost_worker_had_counted_is_kept_as_of_its_last_answer(
        self, site: Site, tmp_path: Path
    ) -> None:
        async with running(site, tmp_path) as run:
            for _ in range(3):
                await run.visit()
            await run.control.scrape()
            victims = run.workers
            for victim in victims:
                os.kill(victim.pid, signal.SIGKILL)
                await victim.gone.wait()
            await until_seen(lambda: len(run.workers) == 2)
            await run.visit()
            scrape = await run.control.scrape()
            assert scrape.restarts == 2
            assert not {one.pid for one in scrape.workers} & {victim.pid for victim in victims}
            (listener,) = (await run.control.status())["listeners"]
            assert listener["requests"] == {"4xx": 4}

    async def test_stuck_worker_holds_nobody_up(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("proxy.supervisor.control.control._SCRAPE_SECONDS", 0.5)
        async with running(site, tmp_path) as run:
            stuck, other = run.workers
            loop = asyncio.get_running_loop()
            os.kill(stuck.pid, signal.SIGSTOP)
            try:
                began = loop.time()
                states = {one.pid: one.state for one in (await run.control.scrape()).workers}
                assert states == {stuck.pid: WorkerState.SILENT, other.pid: WorkerState.SERVING}
                assert loop.time() - began < 10, "it is ended after 30 s"
            finally:
                os.kill(stuck.pid, signal.SIGCONT)

    async def test_parent_that_does_not_serve_yet_has_little_to_say(self, site: Site, tmp_path: Path) -> None:
        run = Running(site, tmp_path, text(site))
        scrape = await run.control.scrape()
        assert (list(scrape.workers), list(scrape.listeners)) == ([], [])
        assert len(scrape.certificates) == 1
        assert not (await run.control.readiness()).is_ready
        await run.supervisor.close()
        run.target.close(10)

    def test_process_that_is_gone_has_no_memory(self) -> None:
        assert _resident_bytes(os.getpid()) > 10_000_000
        assert _resident_bytes(2**22 + 1) == 0, "above what the kernel numbers processes with"


async def test_the_document_is_that_of_a_scrape(site: Site, tmp_path: Path) -> None:
    async with running(site, tmp_path) as run:
        document = await run.control.status()
        assert [one["pid"] for one in document["workers"]] == [worker.pid for worker in run.workers]
        assert document["upstreams"][0]["servers"][0]["states"] == {"up": 2}
        json.dumps(document, allow_nan=False)


async def test_reload_is_for_real_unless_it_is_dry(site: Site, tmp_path: Path) -> None:
    async with running(site, tmp_path) as run:
        run.write(text(site, listener("second")))
        report = await run.control.reload(dry_run=True)
        assert (report.ok, report.generation) == (True, 1)
        assert [one.name for one in (await run.control.scrape()).listeners] == ["public"]
        report = await run.control.reload(dry_run=False)
        assert (report.ok, report.generation, [change["key"] for change in report.changes]) == (
            True,
            3,
            ["listener.second"],
        )
        scrape = await run.control.scrape()
        assert (scrape.generation, scrape.reloads) == (3, {"ok": 1})
        assert [one.generation for one in scrape.workers] == [3, 3]
        assert [one.name for one in scrape.listeners] == ["public", "second"]
        assert scrape.listeners[1].addresses


class TestDrain:
    """Servers of upstreams, by the operator's word."""

    async def test_server_drains_in_all_workers_until_that_is_undone(self, site: Site, tmp_path: Path) -> None:
        async with running(site, tmp_path, limits({"drain_seconds": 7.0})) as run:
            await run.control.drain_server("chat", SERVER, None)
            assert await run.servers() == [{SERVER: "drained"}] * 2
            await run.control.undrain_server("chat", SERVER)
            assert await run.servers() == [{SERVER: "up"}] * 2
            await run.control.drain_server("chat", SERVER, 0.0)
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
        for call in (run.control.drain_server(upstream, server, 1.0), run.control.undrain_server(upstream, server)):
            with pytest.raises(UnknownServer) as caught:
                await call
            assert (caught.value.upstream, caught.value.server) == (upstream, server)
            assert caught.value.known == [f"chat/{SERVER}"]
        await run.supervisor.close()
        run.target.close(10)
        assert run.events() == []
