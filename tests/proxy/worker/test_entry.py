"""The whole program of a worker, started as the parent starts it: it ends when told, and when nobody is there to tell it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from config.schema import LogFormat
from proxy.limits.shared import SharedTable
from proxy.net.tasks import Tasks
from proxy.processes.messages.answers import Begun, Done
from proxy.processes.messages.codec import MessageMalformed
from proxy.processes.messages.questions import Begin, Drain, Leave, LogSettings, Ping, TellFigures
from proxy.processes.messages.refusals import OtherVersion, QuestionRefused
from proxy.processes.messages.version import VERSION
from proxy.processes.messages.wire import decode_question
from proxy.signing.login_turns import LoginTurns
from proxy.supervisor.workers.process import WorkerProcess
from proxy.worker.entry import _read
from tests.configurations import Site
from tests.prepared_children import refused
from tests.programs import plexigate_listeners, program
from tests.waiting import is_alive, until_seen
from tests.workforces import edition_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


def test_descriptors_of_a_question_that_cannot_be_read_are_closed() -> None:
    ours, theirs = os.pipe()
    with pytest.raises(MessageMalformed):
        _read(decode_question, "Guess", {}, [theirs])
    assert os.read(ours, 1) == b"", "the other end is closed"
    os.close(ours)


class Led:
    """A worker and what the parent has to tell it."""

    def __init__(self, log: Path) -> None:
        loop = asyncio.get_running_loop()
        self.log = log
        self.tasks = Tasks(loop, lambda error: pytest.fail(str(error)))
        self.worker = WorkerProcess(loop, self.tasks, 0, None, lambda _: None)
        self.retirements: list[WorkerProcess] = []
        self.worker.retire_asked = self.retirements.append

    async def begin(self, version: str = VERSION) -> None:
        log = os.open(self.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        table, turns = SharedTable.create(1), LoginTurns.create()
        begin = Begin(version, 0, LogSettings(LogFormat.JSON, has_colours=False, queue_lines=100_000))
        try:
            assert await self.worker.ask(begin, [log, table.fd, turns.fd]) == Begun(VERSION)
        finally:
            os.close(log)
            os.close(table.fd)
            turns.close()


@asynccontextmanager
async def led(log: Path) -> AsyncIterator[Led]:
    leading = Led(log)
    try:
        yield leading
    finally:
        leading.worker.kill()
        await leading.worker.gone.wait()
        await leading.tasks.cancel_all()


async def test_nothing_is_answered_before_the_beginning(tmp_path: Path) -> None:
    async with led(tmp_path / "log") as leading:
        with pytest.raises(QuestionRefused, match="a question before the beginning"):
            await leading.worker.ask(TellFigures())
        await leading.begin()
        assert (await leading.worker.ask(TellFigures())).snapshot == {}


async def test_parent_of_another_version_is_told_so(tmp_path: Path) -> None:
    async with led(tmp_path / "log") as leading:
        with pytest.raises(QuestionRefused, match="the files of Plexigate were replaced while it runs") as caught:
            await leading.begin("0-of-yesterday")
        assert caught.value.reason == OtherVersion(VERSION, "0-of-yesterday")
        assert not (tmp_path / "log").read_text()
        with pytest.raises(QuestionRefused, match="a question before the beginning"):
            await leading.worker.ask(Ping())


async def test_field_that_is_misspelt_is_refused_by_name(tmp_path: Path) -> None:
    async with led(tmp_path / "log") as leading:
        await leading.begin()
        with pytest.raises(QuestionRefused, match=r"message Drain\.gently: found nothing; allowed: this field"):
            await leading.worker.channel.ask("Drain", {"seconds": 1.0, "gentle": True})
        await until_seen(lambda: "MessageMalformed" in leading.log.read_text())


async def test_asked_by_a_signal_to_end_it_asks_the_parent(tmp_path: Path) -> None:
    async with led(tmp_path / "log") as leading:
        await leading.begin()
        os.kill(leading.worker.pid, signal.SIGTERM)
        await until_seen(lambda: leading.retirements)
        assert await leading.worker.ask(Ping()) == Done()


async def test_ends_after_its_drain_with_everything_said(tmp_path: Path) -> None:
    async with led(tmp_path / "log") as leading:
        await leading.begin()
        assert (await leading.worker.ask(Drain(0.0, gently=False))).snapshot == {}
        await leading.worker.gone.wait()
        assert leading.worker.exit_status == 0


async def test_one_that_is_let_go_ends_by_itself(tmp_path: Path) -> None:
    async with led(tmp_path / "log") as leading:
        await leading.begin()
        assert (await leading.worker.ask(Leave(60.0))).snapshot == {}
        leading.worker.channel.close()
        await leading.worker.gone.wait()
        assert leading.worker.exit_status == 0


async def test_error_that_nobody_expected_is_logged_and_told(site: Site, tmp_path: Path) -> None:
    async with led(tmp_path / "log") as leading:
        await leading.begin()
        with pytest.raises(QuestionRefused, match="ValueError"):
            await leading.worker.ask(edition_of(site, site.minimal).question())  # without its material
        await until_seen(lambda: '"error": "ValueError"' in leading.log.read_text())
        leading.worker.channel.close()
        await leading.worker.gone.wait()
        assert leading.worker.exit_status == 70


def test_workers_die_with_a_parent_that_was_killed(site: Site) -> None:
    """Nobody can tell them any more; the addresses must be free for whoever starts next."""
    path = site.write("workers = 2\n" + site.minimal)
    command = [sys.executable, "-P", "-m", "proxy.commands.start", "run", str(path)]
    with program(command, plexigate_listeners) as plexigate:
        children = Path(f"/proc/{plexigate.pid}/task/{plexigate.pid}/children").read_text(encoding="ascii").split()
        assert len(children) == 2
        host, _, port = plexigate.ready["public"][0].rpartition(":")
        os.kill(plexigate.pid, signal.SIGKILL)
        while any(
            map(is_alive, [plexigate.pid, *map(int, children)])
        ):  # itself too: the workers see its end before its sockets close
            os.sched_yield()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))


def test_it_is_no_command_for_people() -> None:
    with refused():
        done = subprocess.run([sys.executable, "-P", "-m", "proxy.worker.entry", "0"], stdin=subprocess.DEVNULL, check=False, capture_output=True, timeout=20)  # fmt: skip
    assert done.returncode != 0


def test_its_imports_are_not_searched_for_garbage() -> None:
    program = (
        "import gc, runpy, sys\n"
        "searches = []\n"
        "gc.collect()\n"  # else what Python itself has made may want a search just now
        "gc.callbacks.append(lambda *_: searches.append(gc.isenabled()))\n"
        "sys.argv = ['entry', 'no descriptor']\n"
        "try:\n"
        "    runpy.run_module('proxy.worker.entry', run_name='__main__')\n"
        "except ValueError:\n"
        "    print(len(searches), gc.isenabled(), gc.get_freeze_count() > 10_000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], check=False, capture_output=True, text=True, timeout=20
    )
    assert done.stdout == "0 True True\n", done.stderr
