"""What can serve, of a parent with real workers."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from config.rotation import IssuedCredentialConfig, KeySpec
from proxy.observe.readiness import READY, Readiness
from proxy.observe.scrape import WorkerState
from proxy.supervisor.control.ability import _fault_of_certificates
from proxy.supervisor.reporting import wall_clock
from tests.configurations import Site
from tests.proxy.supervisor.control.test_control import SERVER, Running, running
from tests.waiting import until_seen


def told(found: Readiness) -> list[str]:
    """The reasons."""
    return [str(one) for one in found.reasons]


async def becomes(run: Running, reasons: list[str]) -> None:
    """Wait for these."""
    while told(await run.control.readiness()) != reasons:
        pass


@asynccontextmanager
async def stopped(pid: int) -> AsyncIterator[None]:
    """Have a process turn no more until the block ends."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# What the parent alone knows needs no workers of its own in each test.
of_the_parent = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(site: Site, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A parent that serves, for several tests."""
    async with running(site, tmp_path_factory.mktemp("served")) as run:
        yield run


@pytest.fixture
def run(served: Running) -> Iterator[Running]:
    """That parent; what a test changes of it is as before for the next one."""
    edition, phase = served.supervisor.served.edition, served.supervisor.phase
    yield served
    served.supervisor.served.edition, served.supervisor.phase = edition, phase


class TestWorkers:
    """Each of them serves."""

    async def test_one_that_has_ended_is_named_until_another_one_serves(self, site: Site, tmp_path: Path) -> None:
        async with running(site, tmp_path) as run:
            assert await run.control.readiness() == READY
            victim = run.workers[0]
            os.kill(victim.pid, signal.SIGKILL)
            await victim.gone.wait()
            found = await run.control.readiness()
            assert told(found) == ["worker 0 has ended or never began; another one is started"]
            await until_seen(lambda: len(run.workers) == 2)
            await becomes(run, [])

    async def test_one_that_is_stopped_is_named_at_once_and_keeps_its_row(self, site: Site, tmp_path: Path) -> None:
        reason = "worker 1 does not answer: others accept in its place"
        async with running(site, tmp_path) as run:
            loop = asyncio.get_running_loop()
            stuck = run.workers[1]
            async with stopped(stuck.pid):
                began = loop.time()
                assert told(await run.control.readiness()) == [reason]
                assert loop.time() - began < 3
                await until_seen(lambda: run.supervisor.crew.fleet.stuck == [stuck])
                began = loop.time()
                document = await run.control.status()
                assert loop.time() - began < 1, "it is not asked any more"
                assert document["readiness"]["ready"] is False
                assert [(one["pid"], one["state"], one["generation"]) for one in document["workers"]] == [
                    (run.workers[0].pid, "serving", 1),
                    (stuck.pid, "silent", None),
                ]
            await becomes(run, [])
            assert {one.state for one in (await run.control.scrape()).workers} == {WorkerState.SERVING}


@of_the_parent
class TestIdentities:
    """Each of them can prove itself."""

    async def test_one_without_a_certificate_is_named(self, run: Running) -> None:
        run.supervisor.served.edition = replace(run.supervisor.served.edition, certificates=[])
        assert told(await run.control.readiness()) == [
            "identity chat has no certificate yet that a usual client takes: plexigate certs list tells why"
        ]

    async def test_one_whose_certificates_have_expired_is_named_whatever_ml_dsa_it_has(self, run: Running) -> None:
        edition, now = run.supervisor.served.edition, wall_clock()
        (one,) = edition.certificates
        expired, other = replace(one, expires_at=now - 1), replace(one, algorithm="mldsa-65", expires_at=now + 99)
        run.supervisor.served.edition = replace(edition, certificates=[expired, other])
        assert told(await run.control.readiness()) == [
            "identity chat has only certificates that have expired, which usual clients refuse"
        ]
        run.supervisor.served.edition = replace(edition, certificates=[expired, one])
        assert await run.control.readiness() == READY
        run.supervisor.served.edition = replace(edition, certificates=[other])
        assert await run.control.readiness() == READY, "it was meant so"
        awaited = IssuedCredentialConfig(key=KeySpec("ec-p256", "file"), issuer="ca")
        identity = edition.loaded.config.identity["chat"].model_copy(
            update={"certificate": None, "credential": (awaited,)}
        )
        fault = _fault_of_certificates(identity, [other], now)
        assert fault.startswith("has no certificate yet that a usual client takes")
        assert _fault_of_certificates(identity, [one, other], now) == ""

    async def test_one_whose_keys_rest_sealed_is_named(self, run: Running) -> None:
        run.supervisor.served.edition = replace(
            run.supervisor.served.edition, dark=frozenset({"chat"}), certificates=[]
        )
        assert told(await run.control.readiness()) == [
            "identity chat has only keys that rest sealed: is the sealing key away?"
        ]


@of_the_parent
class TestRoutes:
    """Each of them has a server."""

    async def test_server_that_checks_found_down_is_named_with_its_routes(self, run: Running) -> None:
        run.supervisor.crew.servers.verdicts.checked("chat", SERVER, is_up=False)
        found = await run.control.readiness()
        assert told(found) == [f"upstream chat (routes chat.test/) has no server that takes requests: {SERVER} is down"]
        run.supervisor.crew.servers.verdicts.checked("chat", SERVER, is_up=True)
        assert await run.control.readiness() == READY

    async def test_a_drain_is_told_and_is_no_reason(self, run: Running) -> None:
        await run.control.drain_server("chat", SERVER, 0.0)
        found = await run.control.readiness()
        assert found.is_ready
        assert [one.detail for one in found.doubts] == ["has only servers that an operator drained: clients get 503"]
        await run.control.undrain_server("chat", SERVER)
        assert await run.control.readiness() == READY

    async def test_checks_that_cannot_be_made_are_told(self, run: Running) -> None:
        run.supervisor.crew.servers.unmade.not_made(("chat", SERVER), "Too many open files")
        found = await run.control.readiness()
        assert found.is_ready
        assert "Too many open files" in str(found.doubts[0])
        run.supervisor.crew.servers.unmade.made(("chat", SERVER))
        assert await run.control.readiness() == READY


@of_the_parent
async def test_a_parent_that_begins_or_ends_is_not_ready(run: Running) -> None:
    run.supervisor.phase = "ends: clients go elsewhere"
    assert told(await run.control.readiness()) == ["proxy ends: clients go elsewhere"]
