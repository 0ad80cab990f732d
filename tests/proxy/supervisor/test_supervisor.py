"""The parent as a whole, with two real workers: reloads, rotation, the log, signals; and what a client sees of it."""

import asyncio
import json
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.processes.systemd import Notifier
from proxy.supervisor.log_target import LogTarget
from proxy.supervisor.supervisor import Supervisor
from proxy.supervisor.workers.sockets import ListeningSockets
from tests.configurations import Site, listener
from tests.log_files import entries
from tests.waiting import is_alive, until_seen
from tests.workforces import REQUEST, edition_of, refuses, short_name


class Running:
    """A supervisor that serves, and its log."""

    def __init__(self, site: Site, directory: Path, text: str) -> None:
        self.site, self.directory, self.log = site, directory, directory / "log"
        self.name = short_name(directory)
        edition = edition_of(site, self.with_log(text), name=self.name)
        loop = asyncio.get_running_loop()
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(str(directory / "notify"))
        self.notified.settimeout(0)
        self.status = ""
        self.target = LogTarget(
            edition.loaded.file, edition.loaded.config.log, edition.loaded.config.limits.log_queue_lines, None
        )
        notifier = Notifier(str(directory / "notify"))
        self.supervisor = Supervisor(loop, edition, ListeningSockets(), self.target, notifier)
        self.client = site.authority.client_context()

    def with_log(self, text: str, file: str | None = None) -> str:
        return f'{text}\n[log]\nfile = "{file or self.log}"\n'

    def write(self, text: str, file: str | None = None) -> None:
        self.site.write(self.with_log(text, file), self.name)

    @property
    def port(self) -> int:
        (address, *_) = self.supervisor.crew.sockets.by_listener["public"]
        return int(address.rpartition(":")[2])

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self.supervisor.crew.workforce.workers]

    def events(self, file: Path | None = None) -> list[dict[str, Any]]:
        return [entry for entry in entries(file or self.log) if "event" in entry]

    def told(self, file: Path | None = None) -> list[str]:
        """What the parent said; `refuses` leaves workers with a handshake that failed."""
        names = [entry["event"] for entry in self.events(file)]
        return [name for name in names if name not in {"warning", "handshake_failed"}]

    def notifications(self) -> list[str]:
        """What the service manager was told since the last look; `status` keeps the last one."""
        found = []
        while True:
            try:
                state, _, status = self.notified.recv(1_000).decode().partition("\n")
                found.append(state)
                self.status = status or self.status
            except BlockingIOError:
                return found

    def talk(self, session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession]:
        """One connection, as asyncio does not resume: whether it was, and its ticket or the old one."""
        with (
            socket.create_connection(("127.0.0.1", self.port)) as sock,
            self.client.wrap_socket(sock, server_hostname="chat.test", session=session) as tls,
        ):
            tls.sendall(REQUEST)
            assert tls.recv(10_000).startswith(b"HTTP/1.1 421")
            assert tls.session is not None
            return bool(tls.session_reused), tls.session

    async def visit(self, session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession]:
        return await asyncio.to_thread(self.talk, session)

    async def resumes(self, session: ssl.SSLSession) -> set[bool]:
        """Whether connections resume, in as many attempts as it takes to meet both workers."""
        return {(await self.visit(session))[0] for _ in range(12)}


def workers(site: Site, count: int = 2) -> str:
    return f"workers = {count}\n" + site.minimal


@asynccontextmanager
async def running(site: Site, directory: Path, text: str) -> AsyncIterator[Running]:
    """Serve until the test has ended it, or end it."""
    run = Running(site, directory, text)
    loop = asyncio.get_running_loop()
    await run.supervisor.start(tuple)
    serving = loop.create_task(run.supervisor.run(None))
    await asyncio.sleep(0)  # its signal handlers are set then
    pids = run.pids
    try:
        yield run
    finally:
        if not serving.done():
            os.kill(os.getpid(), signal.SIGTERM)
        await serving
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            loop.remove_signal_handler(number)
        await run.supervisor.close()
        run.target.close(10)
        run.notified.close()
    assert not any(map(is_alive, pids))
    assert "error" not in run.told()


async def test_a_dry_run_of_a_reload_makes_no_file_and_no_directory(site: Site, tmp_path: Path) -> None:
    first = workers(site, 1) + '[payload]\ndirectory = "rings"\n[payload.ring.chat]\n'
    more = first + "[payload.ring.other]\n"
    async with running(site, tmp_path, first) as run:

        def there() -> set[str]:
            return {str(one.relative_to(place)) for place in (tmp_path, site.directory) for one in place.rglob("*")}

        reload = run.supervisor.control.reloads.reload
        run.write(more, str(tmp_path / "other log"))
        before = there()
        assert (await reload(dry_run=True)).ok
        assert there() == before
        assert (await reload(dry_run=False)).ok
        assert there() - before == {"other log", "rings/lock", "rings/ring-other.sealed"}
        # what needs a restart
        run.write(more + '[rotation]\nstate = "state/of/keys"\n', str(tmp_path / "third log"))
        before = there()
        report = await reload(dry_run=True)
        assert "needs a restart" in report.problems[-1]["found"]
        assert there() == before


async def test_what_fails_in_a_callback_is_in_the_log(site: Site, tmp_path: Path) -> None:
    run = Running(site, tmp_path, workers(site))

    def fails() -> None:
        raise ZeroDivisionError("by zero")

    asyncio.get_running_loop().call_soon(fails)
    await asyncio.sleep(0)
    await run.supervisor.close()
    run.target.close(10)
    run.notified.close()
    (event,) = [one for one in run.events() if one["event"] == "error"]
    assert (event["error"], event["detail"]) == ("ZeroDivisionError", "by zero")


async def test_a_day_from_start_to_stop(site: Site, tmp_path: Path) -> None:
    async with running(site, tmp_path, workers(site)) as run:
        pids = run.pids
        await run.visit()
        assert len(pids) == 2
        assert run.notifications() == ["READY=1"]

        # only what would change
        second = workers(site) + listener("second")
        run.write(second)
        report = await run.supervisor.control.reloads.reload(dry_run=True)
        assert (report.ok, report.generation) == (True, 1)
        assert [change["key"] for change in report.changes] == ["listener.second"]
        assert "second" not in run.supervisor.crew.sockets.by_listener
        assert run.notifications() == []

        # a real one, by signal
        os.kill(os.getpid(), signal.SIGHUP)
        await until_seen(lambda: run.supervisor.announcements.counts["ok"])
        assert "second" in run.supervisor.crew.sockets.by_listener
        assert run.notifications() == ["RELOADING=1", "READY=1"]
        assert run.status == "STATUS=serving with 2 workers, generation 3"
        assert run.pids == pids

        # a file that nobody can serve by
        run.write(second + "mistake = 1\n")
        report = await run.supervisor.control.reloads.reload(dry_run=False)
        assert not report.ok
        assert [problem["key"] for problem in report.problems if problem["severity"] == "error"] == [
            "listener.second.mistake"
        ]
        assert run.notifications() == ["RELOADING=1", "READY=1"]
        assert run.status == "STATUS=the last reload was refused, see the log; serving with 2 workers, generation 3"

        # a log that cannot be written: nothing has changed, the listener that is gone in it is still there
        (tmp_path / "loop").symlink_to("loop")
        run.write(workers(site), str(tmp_path / "loop"))
        report = await run.supervisor.control.reloads.reload(dry_run=False)
        assert [problem["key"] for problem in report.problems if problem["severity"] == "error"] == ["log.file"]
        assert "second" in run.supervisor.crew.sockets.by_listener
        await run.visit()

        # what needs a restart
        run.write('[admin]\nsocket = "/run/elsewhere.sock"\n', None)
        run.write(second + '[admin]\nsocket = "/run/elsewhere.sock"\n')
        report = await run.supervisor.control.reloads.reload(dry_run=True)
        assert not report.ok
        assert "needs a restart" in report.problems[-1]["found"]

        # another place for the log
        moved = tmp_path / "moved"
        run.write(second, str(moved))
        assert (await run.supervisor.control.reloads.reload(dry_run=False)).ok
        for _ in range(6):
            await run.visit()
        assert dict(run.supervisor.announcements.counts) == {"ok": 2, "failed": 2}
        port = run.port
    # what was still queued went along to the new place
    told = run.told() + run.told(moved)
    assert told == ["ready", "reloading", "reloaded", "reload_failed", "reload_failed", "reloaded", "stopped"]
    lines = [json.loads(line) for line in moved.read_text().splitlines()]
    assert sum(entry.get("status") == 421 for entry in lines) >= 6
    (stopped,) = (entry for entry in lines if entry.get("event") == "stopped")
    assert stopped["requests"] == [{"listener": "public", "status": "4xx", "count": 8}]
    assert stopped["handshakes"] == [{"listener": "public", "identity": "chat", "outcome": "hybrid", "count": 8}]
    assert refuses(port)


async def test_old_tickets_survive_one_rotation_and_not_two_in_both_workers(site: Site, tmp_path: Path) -> None:
    async with running(site, tmp_path, workers(site)) as run:
        _, first = await run.visit()
        assert await run.resumes(first) == {True}
        assert await run.supervisor.tickets.rotate()
        assert await run.resumes(first) == {True}
        _, second = await run.visit()
        assert await run.supervisor.tickets.rotate()
        assert await run.resumes(first) == {False}
        assert await run.resumes(second) == {True}

        # a worker that comes later has the same secrets
        victim = run.supervisor.crew.workforce.workers[0]
        os.kill(victim.pid, signal.SIGKILL)
        await victim.gone.wait()
        await until_seen(lambda: len(run.pids) == 2)
        assert await run.resumes(second) == {True}

        # one that fails changes nothing: it is the deadline that says no, as a worker does not answer
        run.supervisor.served.edition.loaded.config.__dict__["reload_seconds"] = 0.2
        stopped = run.supervisor.crew.workforce.workers[1]
        os.kill(stopped.pid, signal.SIGSTOP)
        assert not await run.supervisor.tickets.rotate()
        os.kill(stopped.pid, signal.SIGCONT)
        assert await run.resumes(second) == {True}
    assert [one for one in run.told() if "rotat" in one] == ["tickets_rotated"] * 2 + ["ticket_rotation_failed"]


async def test_rotation_happens_by_itself(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    async def hurried(seconds: float) -> None:
        if seconds < 3_600:  # nobody else waits for hours
            await sleep(seconds)
            return
        waited.append(seconds)
        if len(waited) == 3:
            await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "sleep", hurried)
    text = workers(site, 1) + '[limits]\nrotate_tls_ticket_key_after = "2h"\n'
    async with running(site, tmp_path, text) as run:
        await until_seen(lambda: len(waited) == 3)
    assert all(7_140 < seconds <= 7_200 for seconds in waited)  # since the last one
    assert run.told() == ["ready", "tickets_rotated", "tickets_rotated", "stopped"]


async def test_renamed_log_is_made_anew_for_everybody(site: Site, tmp_path: Path) -> None:
    async with running(site, tmp_path, workers(site)) as run:
        await run.visit()
        run.log.rename(tmp_path / "log.1")
        os.kill(os.getpid(), signal.SIGUSR1)
        await until_seen(run.log.exists)
        old = (tmp_path / "log.1").stat().st_ino

        def links() -> list[int]:
            files = (file for pid in run.pids for file in Path(f"/proc/{pid}/fd").iterdir())
            return [file.stat().st_ino for file in files if file.exists()]

        await until_seen(lambda: old not in links())
        for _ in range(8):
            await run.visit()
    statuses = [json.loads(line).get("status") for line in run.log.read_text().splitlines()]
    assert statuses.count(421) >= 8


async def test_drain_lets_requests_finish_and_refuses_who_comes_now(site: Site, tmp_path: Path) -> None:
    async with running(site, tmp_path, workers(site, 1)) as run:
        port = run.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=run.client, server_hostname="chat.test")
        writer.write(b"GET /missing HTTP/1.1\r\n")
        await asyncio.to_thread(run.talk)
        os.kill(os.getpid(), signal.SIGTERM)
        await until_seen(lambda: refuses(port))
        assert run.supervisor.phase == "ends: clients go elsewhere"
        writer.write(b"Host: other.test\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 421")
        writer.transport.abort()
    assert run.told() == ["ready", "stopped"]


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
async def test_second_signal_does_not_wait(site: Site, tmp_path: Path, first: int) -> None:
    async with running(site, tmp_path, workers(site, 1)) as run:
        port = run.port
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=run.client, server_hostname="chat.test")
        writer.write(b"GET /missing HTTP/1.1\r\n")
        await asyncio.to_thread(run.talk)
        began = asyncio.get_running_loop().time()
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), signal.SIGTERM)
        await until_seen(lambda: not run.supervisor.crew.workforce.workers)
        assert asyncio.get_running_loop().time() - began < 10
        writer.transport.abort()


async def test_start_that_fails_leaves_nothing(site: Site, tmp_path: Path) -> None:
    run = Running(site, tmp_path, workers(site).replace("[listener.public]", '[listener.public]\ngroups = ["no"]'))
    with pytest.raises(Exception, match=r"listener\.public\.groups"):
        await run.supervisor.start(tuple)
    assert list(run.supervisor.crew.bound) == []
    assert run.pids == []
    assert run.notifications() == []
    run.target.close(10)
    run.notified.close()


class Takeover:
    """An upgrade during which the log is rotated."""

    wants_reload = False

    def __init__(self, log: Path) -> None:
        self.log = log

    async def take(self) -> None:
        self.log.rename(self.log.with_suffix(".1"))

    async def prove(self) -> None:
        pass


async def test_a_rotation_of_the_log_during_an_upgrade_reaches_the_new_process(site: Site, tmp_path: Path) -> None:
    run = Running(site, tmp_path, workers(site, 1))
    await run.supervisor.start(tuple, Takeover(run.log))
    await until_seen(run.log.exists)
    await run.supervisor.close()
    run.target.close(10)
    run.notified.close()
