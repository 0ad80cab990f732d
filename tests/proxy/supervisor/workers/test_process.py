"""One worker process: what it inherits, who it is, and how its end is known."""

import asyncio
import os
import platform
import pwd
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import pytest

from config.schema import LogFormat
from proxy.limits.shared import SharedTable
from proxy.net.tasks import Tasks
from proxy.processes.channel import ChannelLost
from proxy.processes.messages.answers import Begun, WorkerFigures
from proxy.processes.messages.news import BreakerChanged, KeysMissing, RetirementAsked
from proxy.processes.messages.questions import Begin, LogSettings, Ping, Question
from proxy.processes.messages.refusals import QuestionRefused
from proxy.processes.messages.version import VERSION
from proxy.processes.privileges import ProcessAccount
from proxy.signing.breaker import BreakerState
from proxy.signing.login_turns import LoginTurns
from proxy.supervisor.workers.process import WorkerProcess, worker_environment
from tests.accounts import AS_SOMEBODY_ELSE
from tests.configurations import Site
from tests.descriptors import open_descriptors
from tests.prepared_children import refused
from tests.workforces import edition_of

# A ping for the worker; this side takes its answer for another one, as a parent with other definitions does.
UNLIKE: Any = make_dataclass("Ping", [], bases=(Question[WorkerFigures],), frozen=True)


@pytest.fixture(autouse=True)
def started() -> Iterator[None]:
    with refused():
        yield


@asynccontextmanager
async def spawned(
    account: ProcessAccount | None = None, ended: Callable[[WorkerProcess], None] = lambda _: None
) -> AsyncIterator[WorkerProcess]:
    """A worker that was asked once, or could not be; nothing of it is left."""
    before = open_descriptors()
    tasks = Tasks(asyncio.get_running_loop(), lambda error: pytest.fail(str(error)))
    worker = WorkerProcess(asyncio.get_running_loop(), tasks, 7, account, ended)
    try:
        with pytest.raises(QuestionRefused, match="a question before the beginning"):
            await worker.ask(Ping())
        yield worker
    finally:
        worker.kill()
        await worker.gone.wait()
        await tasks.cancel_all()
    assert open_descriptors() == before


def said_of(pid: int, file: str) -> bytes:
    """What the kernel says of a process."""
    return Path(f"/proc/{pid}/{file}").read_bytes()


def owner(pid: int, file: str) -> int:
    """Who may read it."""
    return Path(f"/proc/{pid}/{file}").stat().st_uid


def facts(pid: int) -> dict[str, list[str]]:
    lines = said_of(pid, "status").decode("ascii").splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


async def begun(worker: WorkerProcess) -> None:
    """Let it log to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        table, turns = SharedTable.create(2), LoginTurns.create()
        begin = Begin(VERSION, 1, LogSettings(LogFormat.JSON, has_colours=False, queue_lines=10))
        assert await worker.ask(begin, [nowhere, table.fd, turns.fd]) == Begun(VERSION)
        os.close(table.fd)
        turns.close()
    finally:
        os.close(nowhere)


class TestTheEnd:
    async def test_is_told_once_with_its_status(self) -> None:
        ends: list[int | None] = []
        async with spawned(ended=lambda one: ends.append(one.exit_status)) as worker:
            assert worker.is_alive
            assert worker.exit_status is None
            assert repr(worker) == f"<worker 7, process {worker.pid}>"
            os.kill(worker.pid, signal.SIGKILL)
            await worker.gone.wait()
            assert not worker.is_alive
            assert ends == [-signal.SIGKILL]
            with pytest.raises(ChannelLost):
                await worker.ask(Ping())
        assert ends == [-signal.SIGKILL]

    async def test_worker_without_a_channel_is_ended(self) -> None:
        async with spawned() as worker:
            worker._channel_lost(None)
            await worker.gone.wait()
            assert worker.exit_status == -signal.SIGKILL

    async def test_channel_that_the_parent_closes_ends_it_by_itself(self) -> None:
        async with spawned() as worker:
            worker.channel.close()
            await worker.gone.wait()
            assert worker.exit_status == 70

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
    async def test_signals_that_are_the_parents_do_nothing(self, number: int) -> None:
        async with spawned() as worker:
            os.kill(worker.pid, number)
            with pytest.raises(QuestionRefused):
                await worker.ask(Ping())

    async def test_no_room_for_a_process_leaves_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_room(*_arguments: object, **_settings: object) -> None:
            raise OSError(11, "Resource temporarily unavailable")

        before = open_descriptors()
        monkeypatch.setattr(subprocess, "Popen", no_room)
        loop = asyncio.get_running_loop()
        with pytest.raises(OSError, match="temporarily"):
            WorkerProcess(loop, Tasks(loop, lambda _: None), 0, None, lambda _: None)
        assert open_descriptors() == before

    async def test_no_descriptor_to_watch_a_process_by_leaves_neither_it_nor_its_channel(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun: list[int] = []

        def no_descriptor(pid: int) -> int:
            begun.append(pid)
            raise OSError(24, "Too many open files")

        before = open_descriptors()
        monkeypatch.setattr(os, "pidfd_open", no_descriptor)
        loop = asyncio.get_running_loop()
        with pytest.raises(OSError, match="Too many"):
            WorkerProcess(loop, Tasks(loop, lambda _: None), 0, None, lambda _: None)
        assert open_descriptors() == before
        (pid,) = begun
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


class TestWhatItSays:
    async def test_answer_of_another_form_is_a_no_and_its_end(self) -> None:
        async with spawned() as worker:
            await begun(worker)
            with pytest.raises(QuestionRefused, match=r"message WorkerFigures\.generation: found nothing"):
                await worker.ask(UNLIKE())
            await worker.gone.wait()
            assert worker.fault == "message WorkerFigures.generation: found nothing; allowed: this field"

    async def test_news_of_another_form_are_its_end(self) -> None:
        async with spawned() as worker:
            with pytest.raises(QuestionRefused):
                await worker._answer("BreakerChanged" * 100, {}, [])
            await worker.gone.wait()
            assert worker.fault is not None
            assert worker.fault.startswith("message BreakerChangedBreakerChanged")
            assert len(worker.fault) == 300

    async def test_news_reach_whoever_wants_them(self) -> None:
        heard: list[object] = []
        async with spawned() as worker:
            for one in (RetirementAsked(), BreakerChanged("plexi", BreakerState.OPEN), KeysMissing("plexi", ("a",))):
                worker._hear(one)  # whom nobody listens to yet
            worker.retire_asked = heard.append
            worker.breaker_changed = lambda *news: heard.append(news)
            worker.keys_missing = lambda *news: heard.append(news)
            for one in (RetirementAsked(), BreakerChanged("plexi", BreakerState.OPEN), KeysMissing("plexi", ("a",))):
                worker._hear(one)
            assert heard == [worker, (worker, "plexi", BreakerState.OPEN), (worker, "plexi", frozenset({"a"}))]


class TestWhatItIs:
    async def test_nothing_of_the_service_manager_is_inherited(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENSSL_CONF", "/tmp/evil")  # noqa: S108 - a name
        monkeypatch.setenv("NOTIFY_SOCKET", "@nobody")
        monkeypatch.setenv("PKCS11_PROVIDER_MODULE", "/tmp/evil.so")  # noqa: S108 - a name
        monkeypatch.setenv("KEPT", "yes")
        async with spawned() as worker:
            environment = said_of(worker.pid, "environ").split(b"\0")
            assert b"KEPT=yes" in environment
            assert not any(
                one.startswith((b"OPENSSL_CONF", b"NOTIFY_SOCKET", b"PKCS11_PROVIDER_MODULE")) for one in environment
            )

    @pytest.mark.parametrize(("ours", "count"), [(None, 300), ("glibc.malloc.tcache_count=5", 5), ("", 300)])
    def test_malloc_keeps_more_at_hand_but_for_an_operator_who_says_otherwise(
        self, ours: str | None, count: int
    ) -> None:
        environment = worker_environment({} if ours is None else {"GLIBC_TUNABLES": ours})
        loader = "/lib64/ld-linux-x86-64.so.2" if platform.machine() == "x86_64" else "/lib/ld-linux-aarch64.so.1"
        tunables = subprocess.run(
            [loader, "--list-tunables"], env=environment, capture_output=True, text=True, check=True
        )
        assert re.findall(r"^glibc\.malloc\.tcache_count: 0x(\w+)", tunables.stdout, re.MULTILINE) == [f"{count:x}"]
        assert re.findall(r"^glibc\.malloc\.arena_max: 0x(\w+)", tunables.stdout, re.MULTILINE) == ["4"]

    async def test_no_descriptors_of_the_parent_are_inherited(self) -> None:
        reading, writing = os.pipe()
        os.set_inheritable(writing, True)  # noqa: FBT003 - as the system has it
        async with spawned():
            os.set_blocking(reading, False)
            copy = writing
            os.close(copy)
            assert os.read(reading, 1) == b""  # nobody else has it open
            os.dup2(reading, copy)
        os.close(reading)
        os.close(copy)

    async def test_leads_a_session_of_its_own(self) -> None:
        """Ctrl-C in a terminal is for the parent, and nobody can be asked for a PIN there."""
        async with spawned() as worker:
            assert os.getpgid(worker.pid) == os.getsid(worker.pid) == worker.pid

    async def test_its_memory_is_private(self) -> None:
        async with spawned() as worker:
            limits = said_of(worker.pid, "limits").decode("ascii")
            (core,) = [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core file size")]
            assert core == ["0", "0"]

    @AS_SOMEBODY_ELSE
    async def test_somebody_else_builds_with_what_only_root_may_read(self, site: Site) -> None:
        nobody = pwd.getpwnam("nobody")
        site.chat.key.chmod(0o000)
        site.chat.certificate.chmod(0o400)
        site.directory.chmod(0o700)
        edition = edition_of(site, site.minimal)
        async with spawned(ProcessAccount(nobody.pw_uid, nobody.pw_gid, (), "nobody")) as worker:
            status = facts(worker.pid)
            assert status["Uid"] == [str(nobody.pw_uid)] * 4
            assert status["Gid"] == [str(nobody.pw_gid)] * 4
            assert owner(worker.pid, "mem") == 0, "other processes of this account may read its keys"
            assert status["Groups"] == []
            assert status["CapEff"] == ["0000000000000000"]
            await begun(worker)
            material = edition.material.memory_file()
            try:
                answer = await worker.ask(edition.question(), [material])
            finally:
                os.close(material)
            assert [one.name for one in answer.offers.listeners] == ["public"]
