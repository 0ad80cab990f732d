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

from config.tables.rotation import IssuedCredentialConfig, KeySpec
from proxy.observe.readiness import READY, Readiness
from proxy.observe.scrape import WorkerState
from proxy.observe.status import status
from proxy.processes.messages.questions import TellServers
from proxy.supervisor.control.ability import _STANDING_SECONDS, _fault_of_certificates
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.reporting import wall_clock
from tests.configurations import Site
from tests.proxy.supervisor.control.test_admin_parts import SERVER, Running, running
from tests.waiting import until_seen


def held(edition: Edition, **changed: object) -> Edition:
    """The edition with other facts about its identities."""
    return replace(edition, identities=replace(edition.identities, **changed))  # type: ignore[arg-type]


def told(found: Readiness) -> list[str]:
    """The reasons."""
    return [str(one) for one in found.reasons]


async def becomes(run: Running, reasons: list[str]) -> None:
    """Wait for these."""
    while told(await run.control.ability.readiness()) != reasons:
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
            assert await run.control.ability.readiness() == READY
            victim = run.workers[0]
            os.kill(victim.pid, signal.SIGKILL)
            await victim.gone.wait()
            found = await run.control.ability.readiness()
            assert told(found) == ["worker 0 has ended or never began; another one is started"]
            await until_seen(lambda: len(run.workers) == 2)
            await becomes(run, [])

    async def test_one_that_is_stopped_is_named_at_once_and_keeps_its_row(self, site: Site, tmp_path: Path) -> None:
        reason = "worker 1 does not answer: others accept in its place"
        async with running(site, tmp_path) as run:
            stuck, workforce = run.workers[1], run.supervisor.crew.workforce
            async with stopped(stuck.pid):
                assert told(await run.control.ability.readiness()) == [reason]
                await until_seen(lambda: workforce._pulse.stuck == {stuck})
                async with asyncio.timeout(30):
                    answered = await workforce.ask_all(TellServers(), 90.0)
                assert answered[stuck] is None, "it is not asked any more"
                document = status(await run.control.figures.scrape())
                assert document["readiness"]["ready"] is False
                assert [(one["pid"], one["state"], one["generation"]) for one in document["workers"]] == [
                    (run.workers[0].pid, "serving", 1),
                    (stuck.pid, "silent", None),
                ]
            await becomes(run, [])
            assert {one.state for one in (await run.control.figures.scrape()).workers} == {WorkerState.SERVING}


def test_a_probe_is_answered_before_it_gives_up() -> None:
    """It waits about a second."""
    assert _STANDING_SECONDS <= 1.0


@of_the_parent
class TestIdentities:
    """Each of them can prove itself."""

    async def test_one_without_a_certificate_is_named(self, run: Running) -> None:
        run.supervisor.served.edition = held(run.supervisor.served.edition, certificates=[])
        assert told(await run.control.ability.readiness()) == [
            "identity chat has no certificate yet that common clients accept: plexigate certs list shows why"
        ]

    async def test_one_whose_certificates_have_expired_is_named_whatever_ml_dsa_it_has(self, run: Running) -> None:
        edition, now = run.supervisor.served.edition, wall_clock()
        (one,) = edition.identities.certificates
        expired, other = replace(one, expires_at=now - 1), replace(one, algorithm="mldsa-65", expires_at=now + 99)
        run.supervisor.served.edition = held(edition, certificates=[expired, other])
        assert told(await run.control.ability.readiness()) == [
            "identity chat has only expired certificates, which common clients refuse"
        ]
        run.supervisor.served.edition = held(edition, certificates=[expired, one])
        assert await run.control.ability.readiness() == READY
        run.supervisor.served.edition = held(edition, certificates=[other])
        assert await run.control.ability.readiness() == READY, "it was meant so"
        awaited = IssuedCredentialConfig(key=(KeySpec("ec-p256", "file"),), issuer="ca")
        identity = edition.loaded.config.identity["chat"].model_copy(
            update={"certificate": None, "credential": (awaited,)}
        )
        fault = _fault_of_certificates(identity, [other], now)
        assert fault.startswith("has no certificate yet that common clients accept")
        assert _fault_of_certificates(identity, [one, other], now) == ""

    async def test_one_whose_keys_rest_sealed_is_named(self, run: Running) -> None:
        run.supervisor.served.edition = held(run.supervisor.served.edition, dark=frozenset({"chat"}), certificates=[])
        assert told(await run.control.ability.readiness()) == [
            "identity chat has only sealed keys: is the sealing key unavailable?"
        ]


@of_the_parent
class TestRoutes:
    """Each of them has a server."""

    async def test_server_that_checks_found_down_is_named_with_its_routes(self, run: Running) -> None:
        run.supervisor.crew.servers.verdicts.checked("chat", SERVER, is_up=False)
        found = await run.control.ability.readiness()
        assert told(found) == [f"upstream chat (routes chat.test/) has no server that takes requests: {SERVER} is down"]
        run.supervisor.crew.servers.verdicts.checked("chat", SERVER, is_up=True)
        assert await run.control.ability.readiness() == READY

    async def test_a_drain_is_told_and_is_no_reason(self, run: Running) -> None:
        await run.control.servers.drain("chat", SERVER, 0.0)
        found = await run.control.ability.readiness()
        assert found.is_ready
        assert [one.detail for one in found.doubts] == ["has only servers that an operator drained: clients get 503"]
        await run.control.servers.undrain("chat", SERVER)
        assert await run.control.ability.readiness() == READY

    async def test_checks_that_cannot_be_made_are_told(self, run: Running) -> None:
        run.supervisor.crew.servers.unmade.not_made(("chat", SERVER), "Too many open files")
        found = await run.control.ability.readiness()
        assert found.is_ready
        assert "Too many open files" in str(found.doubts[0])
        run.supervisor.crew.servers.unmade.made(("chat", SERVER))
        assert await run.control.ability.readiness() == READY


@of_the_parent
async def test_a_parent_that_begins_or_ends_is_not_ready(run: Running) -> None:
    run.supervisor.phase = "ends: clients go elsewhere"
    assert told(await run.control.ability.readiness()) == ["proxy ends: clients go elsewhere"]
