"""What the parent finds out about servers and decides about them: all workers know, those that
come later too."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.net.tasks import Tasks
from proxy.observe.events.event import Event
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.servers import Servers
from proxy.upstream.health.checks import HealthCheck
from tests.configurations import MINIMAL_LISTENER, Site
from tests.waiting import until, until_seen
from tests.workforces import RunningWorkforce, edition_of, workforce

# Nobody has to listen there: this is about what workers are told, not about requests.
SILENT = "http://127.0.0.1:1"
OTHER = "http://127.0.0.1:2"
LAST = "no other server of upstream chat takes requests: its clients get 503 until one does again"


class Backend:
    """A server that answers checks by one status, as the test says."""

    def __init__(self) -> None:
        self.status = 200
        self.asked = 0
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        writer.write(b"HTTP/1.1 %d Such\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % self.status)
        writer.close()
        await writer.wait_closed()

    async def asked_again(self) -> None:
        """Wait for an answer that was begun from now on, and for one more as the first may have
        been in flight."""
        before = self.asked
        await until_seen(lambda: self.asked >= before + 2)


@asynccontextmanager
async def backend() -> AsyncIterator[Backend]:
    """Run one."""
    made = Backend()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    async with server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield made


class Case:
    """The servers of `chat`, and workers that are told about them."""

    def __init__(self, run: RunningWorkforce, edition: Edition) -> None:
        loop = asyncio.get_running_loop()
        self.run = run
        self.edition = edition
        self.tasks = Tasks(loop, run.errors.append)
        self.lines: list[str] = []
        self.servers = Servers(loop, self.tasks, run.workforce, self.tell)
        run.parent.verdicts = self.servers.verdicts
        self.follow(())

    def tell(self, event: Event) -> None:
        self.run.parent.tell(event)
        self.lines.append(event.sentence())

    def follow(self, checks: Sequence[HealthCheck]) -> None:
        """Go on with the same servers and these checks."""
        checked = {(one.upstream, one.server) for one in checks}
        self.servers.follow({server: server in checked for server in self.edition.servers}, checks)

    @property
    def checks(self) -> list[HealthCheck]:
        """Those of the configuration, in a hurry."""
        return [replace(one, interval_seconds=0.01, timeout_seconds=60.0) for one in self.edition.checks]

    async def states(self) -> list[dict[str, str]]:
        """The servers as each worker sees them."""
        workers = await self.run.workforce.scrape(10)
        return [{row["server"]: row["state"] for row in one.last.servers} for one in workers if one.last is not None]

    async def becomes(self, url: str, state: str) -> None:
        """Wait until every worker sees the only server so."""
        while await self.states() != [{url: state}] * 2:
            pass

    async def replace_worker(self) -> None:
        """Lose a worker, and wait for the one that comes in its place."""
        victim = self.run.workforce.workers[0]
        os.kill(victim.pid, signal.SIGKILL)
        await victim.gone.wait()
        await self.run.settled()


@asynccontextmanager
async def case(site: Site, tmp_path: Path, *urls: str) -> AsyncIterator[Case]:
    """Two workers with these servers; no task is left."""
    servers = ", ".join(f'"{url}"' for url in urls)
    text = (
        f"workers = 2\n{MINIMAL_LISTENER}{site.identity}"
        f"[upstream.chat]\nservers = [{servers}]\n[upstream.chat.health]\npath = '/'\nrise = 1\nfall = 1\n"
        "[[route]]\nhost = 'chat.test'\nupstream = 'chat'\n"
    )
    async with workforce(site, tmp_path, text) as run:
        made = Case(run, edition_of(site, text))
        try:
            yield made
        finally:
            await made.tasks.cancel_all()


class TestChecks:
    """What they find."""

    async def test_changes_reach_every_worker_and_the_log(self, site: Site, tmp_path: Path) -> None:
        async with backend() as server, case(site, tmp_path, server.url) as chat:
            chat.follow(chat.checks)
            await until_seen(lambda: chat.lines)
            assert await chat.states() == [{server.url: "up"}] * 2
            server.status = 503
            await chat.becomes(server.url, "down")
            await chat.replace_worker()
            assert await chat.states() == [{server.url: "down"}] * 2
            server.status = 200
            await chat.becomes(server.url, "up")
            about = {"upstream": "chat", "server": server.url}
            events = [event for event in chat.run.parent.events if event["event"].startswith("server_")]
            assert events == [{"event": f"server_{word}", **about} for word in ("up", "down", "up")]
            assert chat.lines == [f"server {server.url} of upstream chat is {word}" for word in ("up", "down", "up")]

    async def test_other_checks_take_their_place_and_go_on_with_what_is_known(self, site: Site, tmp_path: Path) -> None:
        async with backend() as server, case(site, tmp_path, server.url) as chat:
            chat.follow(chat.checks)
            await until_seen(lambda: chat.lines)
            patient = [replace(one, fall=1_000) for one in chat.checks]
            chat.follow(patient)
            server.status = 503
            await server.asked_again()
            await server.asked_again()
            assert len(chat.lines) == 1, "it takes a thousand failures now"
            await until_seen(lambda: len(chat.tasks._running) == 1)  # a word to the workers is another one

    async def test_they_end_where_nobody_asks_for_them(self, site: Site, tmp_path: Path) -> None:
        async with backend() as server, case(site, tmp_path, server.url) as chat:
            server.status = 503
            chat.follow(chat.checks)
            await chat.becomes(server.url, "down")
            chat.follow(())
            await until(lambda: not chat.tasks._running)
            assert chat.servers.verdicts.health == {}

    @pytest.mark.parametrize("are_checks_left", [True, False])
    async def test_check_that_was_given_up_has_no_say_any_more(
        self, site: Site, tmp_path: Path, *, are_checks_left: bool
    ) -> None:
        """Its answer may have come already when it is cancelled; who comes after it would never
        take that back."""
        async with backend() as server, case(site, tmp_path, server.url) as chat:
            chat.follow(chat.checks)
            await until_seen(lambda: chat.lines)
            given_up = chat.servers._round
            chat.follow(chat.checks if are_checks_left else ())
            chat.servers.checked_in(given_up, "chat", server.url, is_up=False)
            assert chat.servers.verdicts.health == ({("chat", server.url): True} if are_checks_left else {})
            assert len(chat.lines) == 1

    async def test_a_check_that_could_not_be_made_takes_no_server_down(self, site: Site, tmp_path: Path) -> None:
        obstacle: list[str] = []
        async with backend() as server, case(site, tmp_path, server.url) as chat:
            chat.servers.why_not_ask = lambda: obstacle[0] if obstacle else None
            chat.follow(chat.checks)
            await until_seen(lambda: chat.lines)
            server.status = 503
            obstacle.append("descriptors are kept for others")
            await until_seen(lambda: chat.servers.unmade.counts.total() >= 3)
            assert chat.servers.verdicts.health == {("chat", server.url): True}
            assert chat.servers.unmade.reasons == {("chat", server.url): "descriptors are kept for others"}
            obstacle.clear()
            await chat.becomes(server.url, "down")
            assert chat.servers.unmade.reasons == {}
            told = [event["event"] for event in chat.run.parent.events if "server" in event or "not_made" in event]
            assert told == ["server_up", "health_checks_not_made", "health_checks_made", "server_down"]

    async def test_server_that_is_gone_is_forgotten(self, site: Site, tmp_path: Path) -> None:
        async with case(site, tmp_path, SILENT) as chat:
            await chat.servers.drain("chat", SILENT, 30.0, [])
            chat.servers.follow({("chat", "http://127.0.0.1:2"): False}, ())
            assert chat.servers.verdicts.all == ()


class TestDrain:
    """What an operator says."""

    async def test_drain_reaches_every_worker_and_those_to_come_until_it_is_undone(
        self, site: Site, tmp_path: Path
    ) -> None:
        async with case(site, tmp_path, SILENT) as chat:
            now = asyncio.get_running_loop().time()
            await chat.servers.drain("chat", SILENT, 90.0, [])
            assert await chat.states() == [{SILENT: "drained"}] * 2
            (verdict,) = chat.servers.verdicts.all
            assert verdict.drains_until is not None
            assert now + 90 <= verdict.drains_until <= now + 100
            await chat.replace_worker()
            assert await chat.states() == [{SILENT: "drained"}] * 2
            await chat.servers.undrain("chat", SILENT)
            assert await chat.states() == [{SILENT: "up"}] * 2
            about = {"upstream": "chat", "server": SILENT}
            events = [event for event in chat.run.parent.events if event["event"].startswith("server_")]
            assert events == [
                {"event": "server_draining", **about, "seconds": 90.0, "warning": LAST},
                {"event": "server_undrained", **about},
            ]
            assert chat.lines == [
                f"server {SILENT} of upstream chat gets no new requests; its WebSockets have 90 s; {LAST}",
                f"server {SILENT} of upstream chat gets requests again",
            ]

    async def test_server_that_is_down_stays_down_when_its_drain_is_undone(self, site: Site, tmp_path: Path) -> None:
        async with case(site, tmp_path, SILENT) as chat:
            chat.follow(chat.checks)
            await chat.becomes(SILENT, "down")
            await chat.servers.drain("chat", SILENT, 30.0, [])
            assert await chat.states() == [{SILENT: "drained"}] * 2
            await chat.servers.undrain("chat", SILENT)
            assert await chat.states() == [{SILENT: "down"}] * 2

    async def test_the_last_one_that_takes_requests_is_drained_with_a_warning(self, site: Site, tmp_path: Path) -> None:
        async with case(site, tmp_path, SILENT, OTHER) as chat:
            assert await chat.servers.drain("chat", SILENT, 0.0, [OTHER]) is None
            assert await chat.servers.drain("chat", OTHER, 0.0, [SILENT]) == LAST
            await chat.servers.undrain("chat", SILENT)
            chat.servers.verdicts.checked("chat", SILENT, is_up=False)
            assert await chat.servers.drain("chat", OTHER, 0.0, [SILENT]) == LAST, "the other one is down"
            warnings = [event.get("warning") for event in chat.run.parent.events if event["event"] == "server_draining"]
            assert warnings == [None, LAST, LAST]


async def test_drains_of_the_fleet_are_apart_from_those_of_the_node(site: Site, tmp_path: Path) -> None:
    async with case(site, tmp_path, SILENT, OTHER) as chat:
        both = {("chat", SILENT): 5.0, ("chat", OTHER): 5.0, ("gone", SILENT): 5.0}
        await chat.servers.drain("chat", OTHER, 5.0, [SILENT])
        await chat.servers.follow_fleet(both)
        assert await chat.states() == [{SILENT: "drained", OTHER: "drained"}] * 2
        # a reload that takes the server out, and one that has it again
        chat.servers.follow({("chat", OTHER): False}, ())
        assert not chat.servers.verdicts.is_draining("chat", SILENT)
        chat.follow(())
        await until_seen(lambda: chat.servers.verdicts.is_draining("chat", SILENT))
        await chat.servers.follow_fleet({})
        assert await chat.states() == [{SILENT: "up", OTHER: "drained"}] * 2
