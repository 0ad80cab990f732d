"""A scrape of a running parent: what each worker counts, and what the parent knows."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

import pytest
import pytest_asyncio

from proxy.observe.scrape import WorkerState
from proxy.observe.status import status
from proxy.supervisor.control.scraping import _cpu_seconds, _resident_bytes
from proxy.supervisor.reporting import wall_clock
from tests.configurations import Site
from tests.proxy.supervisor.control.test_admin_parts import SERVER, Running, running, text
from tests.waiting import until_seen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(site: Site, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A parent that serves, for several tests."""
    async with running(site, tmp_path_factory.mktemp("served")) as run:
        yield run


@pytest.mark.asyncio(loop_scope="module")
class TestScrape:
    """Everything at one moment."""

    async def test_it_has_what_the_parent_knows(self, run: Running) -> None:
        scrape = await run.control.figures.scrape()
        assert scrape.version == version("plexigate")
        assert scrape.started_at <= scrape.now <= wall_clock()
        assert (scrape.generation, scrape.restarts, scrape.reloads) == (1, 0, {})
        assert scrape.pid == os.getpid()
        assert scrape.configuration is not None
        edition = run.supervisor.served.edition
        assert scrape.configuration.sha256 == hashlib.sha256(edition.content).hexdigest()
        assert scrape.configuration.file == str(edition.loaded.file.path)
        (public,) = scrape.listeners
        assert (public.name, public.pq) == ("public", "prefer")
        assert list(public.addresses) == run.supervisor.crew.sockets.by_listener["public"]
        assert "X25519MLKEM768" in public.groups
        (certificate,) = scrape.certificates
        assert (certificate.identity, set(certificate.names)) == ("chat", {"chat.test", "*.chat.test"})

    async def test_it_has_what_each_worker_counts(self, run: Running) -> None:
        before = asyncio.get_running_loop().time()
        for _ in range(3):
            await run.visit()
        scrape = await run.control.figures.scrape()
        assert [(one.slot, one.pid, one.generation) for one in scrape.workers] == [
            (worker.slot, worker.pid, 1) for worker in run.workers
        ]
        requests = [row for one in scrape.workers for row in one.snapshot["listener_requests"]]
        assert sum(row["count"] for row in requests) == 3
        for worker, one in zip(run.workers, scrape.workers, strict=True):
            assert before - worker.started <= one.age_seconds <= asyncio.get_running_loop().time() - worker.started
            assert one.rss_bytes > 10_000_000
            assert 0.0 < one.cpu_seconds < 60.0
            assert [row["server"] for row in one.servers] == [SERVER]


class TestChanges:
    """Parents of their own, whose configuration or workers change."""

    async def test_history_takes_it_and_goes_on_over_a_reload(self, site: Site, tmp_path: Path) -> None:
        async with running(site, tmp_path) as run:
            began = (await run.control.figures.scrape()).configured_at
            assert began <= run.control.figures.history.latest_at <= wall_clock()
            seen = run.control.figures.history.latest_at
            assert (await run.control.reloads.reload(dry_run=False)).ok
            assert (await run.control.figures.scrape()).configured_at > began
            assert run.control.figures.history.latest_at >= seen

    async def test_what_a_lost_worker_had_counted_is_kept_as_of_its_last_answer(
        self, site: Site, tmp_path: Path
    ) -> None:
        async with running(site, tmp_path) as run:
            for _ in range(3):
                await run.visit()
            await run.control.figures.scrape()
            victims = run.workers
            for victim in victims:
                os.kill(victim.pid, signal.SIGKILL)
                await victim.gone.wait()
            await until_seen(lambda: len(run.workers) == 2)
            await run.visit()
            scrape = await run.control.figures.scrape()
            assert scrape.restarts == 2
            assert not {one.pid for one in scrape.workers} & {victim.pid for victim in victims}
            (listener,) = (status(await run.control.figures.scrape()))["listeners"]
            assert listener["requests"] == {"4xx": 4}

    async def test_stuck_worker_holds_nobody_up(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("proxy.supervisor.control.scraping._SCRAPE_SECONDS", 0.5)
        async with running(site, tmp_path) as run:
            stuck, other = run.workers
            loop = asyncio.get_running_loop()
            os.kill(stuck.pid, signal.SIGSTOP)
            try:
                began = loop.time()
                states = {one.pid: one.state for one in (await run.control.figures.scrape()).workers}
                assert states == {stuck.pid: WorkerState.SILENT, other.pid: WorkerState.SERVING}
                assert loop.time() - began < 10, "it is ended after 30 s"
            finally:
                os.kill(stuck.pid, signal.SIGCONT)

    async def test_parent_that_does_not_serve_yet_has_little_to_say(self, site: Site, tmp_path: Path) -> None:
        run = Running(site, tmp_path, text(site))
        scrape = await run.control.figures.scrape()
        assert (list(scrape.workers), list(scrape.listeners)) == ([], [])
        assert len(scrape.certificates) == 1
        assert not (await run.control.ability.readiness()).is_ready
        await run.supervisor.close()
        run.target.close(10)

    def test_process_that_is_gone_has_no_memory(self) -> None:
        assert _resident_bytes(os.getpid()) > 10_000_000
        assert _resident_bytes(2**22 + 1) == 0, "above what the kernel numbers processes with"
        assert _cpu_seconds(os.getpid()) > 0.0
        assert _cpu_seconds(2**22 + 1) == 0.0
