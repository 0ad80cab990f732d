"""Real worker processes: started, led, lost and replaced; what clients see of it is that
somebody always accepts."""

import asyncio
import contextlib
import itertools
import os
import resource
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from certs.tokens.token_use import TokenUse
from proxy.processes.messages.questions import ToldToken
from proxy.processes.messages.refusals import ConfigurationRefused, QuestionRefused
from proxy.processes.messages.version import VERSION
from proxy.supervisor.editions.edition import Edition, read_edition
from proxy.supervisor.workers.timeouts import WorkerTimeouts
from tests.configurations import Site, limits
from tests.hsm.shim import build_shim
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import SOFTHSM, SoftHsm
from tests.waiting import is_alive, until_seen
from tests.workforces import NOW, SECRETS, NoTokens, edition_of, workforce


def workers(site: Site, count: int, **values: str) -> str:
    return f"workers = {count}\n" + site.minimal + limits(values)


def children() -> set[str]:
    """The processes that this one has started and not yet waited for."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split())


class SeesAll(NoTokens):
    """A parent that finds every token well."""

    def closed(self, uses: Sequence[TokenUse]) -> dict[str, ToldToken]:
        return {use.name: ToldToken("well", "", module_is_down=False) for use in uses}


@dataclass
class Missing:
    """A configuration with a key in the token plexi, which is where workers do not look."""

    hsm_site: HsmSite
    elsewhere: SoftHsm

    def edition(self) -> Edition:
        """For two workers."""
        plexi = self.elsewhere.add_token("plexi")
        public = self.elsewhere.generate(plexi, "chat")
        identity = self.hsm_site.identity("localhost", public, "pkcs11:token=plexi;object=chat")
        configuration = self.hsm_site.write(self.hsm_site.tokens(plexi), identity, workers=2)
        return read_edition(configuration, 1, SECRETS, NOW)

    def appears(self) -> None:
        """Now it is where they look."""
        self.elsewhere.put_into(self.hsm_site.hsm)


class TestJoining:
    async def test_worker_that_cannot_prepare_leaves_nobody(self, site: Site, tmp_path: Path) -> None:
        async with workforce(site, tmp_path, "") as run:
            before = children()
            broken = site.minimal.replace("[listener.public]\n", '[listener.public]\ngroups = ["nonsense"]\n')
            with pytest.raises(QuestionRefused) as caught:
                await run.workforce.join(edition := edition_of(site, broken), [0, 1])
            assert isinstance(caught.value.reason, ConfigurationRefused)
            (problem,) = caught.value.reason.problems
            line = edition.content[: edition.content.index(b"groups = ")].count(b"\n") + 1
            assert (problem.key, problem.line) == ("listener.public.groups", line), "the worker has no text of the file"
            assert run.workforce.workers == []
            assert children() == before

    async def test_nobody_serves_before_the_commit(self, site: Site, tmp_path: Path) -> None:
        async with workforce(site, tmp_path, "") as run:
            edition = edition_of(site, workers(site, 1))
            async with run.workforce.editing:
                prepared = await run.changeover.prepare(edition)
                assert run.workforce.workers == []
                assert list(run.parent.bound) == []
                await run.changeover.commit(prepared)
            assert len(run.pids) == 1
            assert len(await run.served_by(3)) == 1


class TestMissedTokens:
    """As a module does that is loaded in the moment in which another process logs in."""

    @pytest.fixture
    def missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Missing]:
        hsm_site = HsmSite.make(tmp_path, build_shim(tmp_path, SOFTHSM))
        missing = Missing(hsm_site, SoftHsm.make(tmp_path / "seen", hsm_site.hsm.shim.module))
        for name, value in hsm_site.hsm.environment.items():
            monkeypatch.setenv(name, value)
        yield missing
        hsm_site.hsm.shim.close()
        missing.elsewhere.shim.close()

    async def test_one_that_misses_a_token_is_started_once_more(self, missing: Missing, tmp_path: Path) -> None:
        async with workforce(missing.hsm_site, tmp_path, "") as run:
            run.parent.tokens = SeesAll()
            run.parent.when_told = lambda event: missing.appears() if event["event"] == "worker_blind" else None
            async with run.workforce.editing:
                joined, (answer,) = await run.workforce.join(missing.edition(), [0])
            assert run.parent.told == ["worker_blind"]
            assert [worker.slot for worker in joined] == [0]
            assert joined[0].pid != run.parent.events[0]["pid"]
            assert answer.blind == ()
            await run.workforce._dismiss(joined)

    async def test_one_that_misses_it_again_serves_what_it_can(self, missing: Missing, tmp_path: Path) -> None:
        async with workforce(missing.hsm_site, tmp_path, "") as run:
            run.parent.tokens = SeesAll()
            async with run.workforce.editing:
                joined, answers = await run.workforce.join(missing.edition(), [0, 1])
            assert [event["token"] for event in run.parent.events] == ["plexi"] * 2
            assert sorted(worker.slot for worker in joined) == [0, 1]
            assert [answer.blind for answer in answers] == [("plexi",)] * 2
            await run.workforce._dismiss(joined)


class TestLoss:
    async def test_killed_one_is_stood_in_for_at_once_and_replaced(self, site: Site, tmp_path: Path) -> None:
        async with workforce(site, tmp_path, workers(site, 2)) as run:
            crowd = await run.crowd(24)
            names = {one.served_by for one in crowd}
            assert len(names) == 2
            first, second = run.workforce.workers
            os.kill(first.pid, signal.SIGKILL)
            await first.gone.wait()
            # as soon as the parent knows, new connections have somebody, though the next worker is
            # far from ready
            stand_in = await run.served_by()
            assert run.pids == [second.pid]
            assert stand_in < names
            survivors = [one for one in crowd if one.served_by in stand_in]
            for one in survivors:
                assert await one.ask() in stand_in
            await run.settled()
            assert run.pids[1] == second.pid
            assert run.pids[0] != first.pid
            after = await run.served_by()
            assert len(after) == 2
            assert stand_in < after
            assert run.workforce.restarts == 1
            assert run.parent.left == [(0, None)]
            assert run.parent.events == [
                {"event": "worker_ended", "slot": 0, "pid": first.pid, "status": -signal.SIGKILL},
                {"event": "worker_joined", "slot": 0, "pid": run.pids[0]},
            ]
            for one in crowd:
                one.close()

    async def test_one_that_sends_what_no_worker_sends_is_replaced_and_named(self, site: Site, tmp_path: Path) -> None:
        async with workforce(site, tmp_path, workers(site, 1)) as run:
            (first,) = run.workforce.workers
            first.channel.give_up("descriptors")
            await first.gone.wait()
            await until_seen(lambda: run.pids)
            assert run.parent.events[0] == {
                "event": "worker_disowned", "slot": 0, "pid": first.pid, "detail": "descriptors",
            }  # fmt: skip
            assert run.parent.told[1] == "worker_ended"

    async def test_last_one_that_is_killed_leaves_clients_waiting_and_not_refused(
        self, site: Site, tmp_path: Path
    ) -> None:
        async with workforce(site, tmp_path, workers(site, 1)) as run:
            (before,) = run.workforce.workers
            os.kill(before.pid, signal.SIGKILL)
            await before.gone.wait()
            connection = await run.connect()
            assert connection.served_by
            connection.close()

    async def test_silent_one_is_stood_in_for_until_it_answers(self, site: Site, tmp_path: Path) -> None:
        async with workforce(site, tmp_path, workers(site, 2)) as run:
            both = await run.served_by()
            stopped, other = run.workforce.workers
            loop = asyncio.get_running_loop()
            os.kill(stopped.pid, signal.SIGSTOP)
            try:
                began = loop.time()
                crowd = await run.crowd(24)
                took = loop.time() - began
                assert len({one.served_by for one in crowd}) == 1
                for one in crowd:
                    one.close()
                assert took < 3.0  # 1.5 s, and a busy machine
                assert run.parent.told == ["worker_stuck"]
                assert run.pids == [stopped.pid, other.pid]
            finally:
                os.kill(stopped.pid, signal.SIGCONT)
            await until_seen(lambda: run.parent.told == ["worker_stuck", "worker_answers"])
            await run.settled()
            assert await run.served_by() == both
            assert run.workforce.restarts == 0

    async def test_one_that_stays_silent_gets_no_connections_and_is_replaced_in_time(
        self, site: Site, tmp_path: Path
    ) -> None:
        """Its own answer to where it accepts is not waited for: that took longer than a pause of
        the parent may."""
        patience = WorkerTimeouts(stuck=1.0, given_up=0.2, hopeless=2.5, ping=0.05)
        async with workforce(site, tmp_path, workers(site, 2), patience) as run:
            stopped, other = run.workforce.workers
            loop, slowest = asyncio.get_running_loop(), 0.0
            os.kill(stopped.pid, signal.SIGSTOP)
            stopped_at = loop.time()
            assert await run.workforce.answering() == 1  # it is not known to be stuck yet
            await until_seen(lambda: run.workforce._pulse.stuck == {stopped})
            async with asyncio.timeout(10):
                while stopped.is_alive:
                    began = loop.time()
                    assert len(await run.served_by(1)) == 1
                    slowest = max(slowest, loop.time() - began)
            assert loop.time() - stopped_at < patience.hopeless + patience.stuck + patience.ping + 3.0
            assert slowest < patience.stuck
            await run.settled()
            assert run.parent.told == ["worker_stuck", "worker_hopeless", "worker_ended", "worker_joined"]
            assert run.pids[1] == other.pid

    async def test_restarts_in_a_row_come_slower_and_slower(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attempts: list[float] = []
        loop = asyncio.get_running_loop()

        def no_room(*_arguments: object, **_settings: object) -> None:
            attempts.append(loop.time())
            raise OSError(11, "Resource temporarily unavailable")

        patience = WorkerTimeouts(back_off=(0.0, 0.05, 0.1, 0.2))
        async with workforce(site, tmp_path, workers(site, 1), patience) as run:
            with monkeypatch.context() as patched:
                patched.setattr(subprocess, "Popen", no_room)
                run.workforce.workers[0].kill()
                await until_seen(lambda: len(attempts) == 6)
            await until_seen(lambda: run.parent.told[-1] == "worker_joined")
            assert run.workforce.restarts == 1
        pauses = [later - earlier for earlier, later in itertools.pairwise(attempts)]
        for pause, least in zip(pauses, (0.05, 0.1, 0.2, 0.2, 0.2), strict=True):
            assert pause >= least - 0.005
        assert run.parent.told == ["worker_ended", *["worker_failed"] * 6, "worker_joined"]
        assert run.parent.events[1]["detail"] == "[Errno 11] Resource temporarily unavailable"


class TestOtherVersion:
    """The files of Plexigate were replaced while it runs: a worker that starts now speaks
    another version."""

    async def test_is_told_once_and_tried_again_without_a_back_off(self, site: Site, tmp_path: Path) -> None:
        patience = WorkerTimeouts(back_off=(0.0, 3_600.0), other_version=0.01)
        async with workforce(site, tmp_path, workers(site, 2), patience) as run:
            first, second = run.workforce.workers
            run.parent.version = "0-of-yesterday"
            first.kill()
            await until_seen(lambda: "worker_failed" in run.parent.told)
            crowd = [await run.connect() for _ in range(3)]  # the other one accepts in its place
            run.parent.version = VERSION
            await until_seen(lambda: run.parent.told[-1] == "worker_joined")
            assert run.parent.told == ["worker_ended", "worker_failed", "worker_joined"]
            detail = run.parent.events[1]["detail"]
            assert detail == (
                f"the new worker speaks version {VERSION} of the messages, this process version 0-of-yesterday: "
                "the files of Plexigate were replaced while it runs; restart it (systemctl restart plexigate)"
            )
            assert second in run.workforce.workers
            for one in crowd:
                one.close()


class TestReplacement:
    async def test_terminated_one_keeps_its_connections_until_they_end(self, site: Site, tmp_path: Path) -> None:
        async with workforce(site, tmp_path, workers(site, 1, drain_timeout="30s")) as run:
            (before,) = run.workforce.workers
            idle = await run.connect()
            busy = await run.connect()
            before_it = idle.served_by
            busy.writer.write(b"GET /missing HTTP/1.1\r\n")
            os.kill(before.pid, signal.SIGTERM)
            await until_seen(lambda: before.is_retiring)
            (after,) = run.pids
            assert after != before.pid
            with contextlib.suppress(asyncio.IncompleteReadError):
                while await idle.ask() == before_it:  # it has one more request answered, once the drain has begun
                    pass
            assert idle.reader.at_eof()
            new = await run.connect()
            assert new.served_by != idle.served_by
            busy.writer.write(b"Host: other.test\r\n\r\n")
            assert (await busy.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 421")
            busy.close()
            await before.gone.wait()
            assert before.exit_status == 0
            await until_seen(lambda: run.parent.left)
            ((slot, last),) = run.parent.left
            assert slot == 0
            assert last is not None
            assert sum(row["count"] for row in last.snapshot["listener_requests"]) >= 4
            for one in (idle, new):
                one.close()
            assert run.parent.told == ["worker_joined"]

    async def test_surplus_is_drained_and_its_sockets_are_kept(self, site: Site, tmp_path: Path) -> None:
        async with workforce(site, tmp_path, workers(site, 2)) as run:
            stays, goes = run.workforce.workers
            await run.use(edition_of(site, workers(site, 1), 2))
            assert run.pids == [stays.pid]
            assert run.workforce.slots_with_sockets == 2
            while len(await run.served_by()) > 1:  # the one that goes accepts until it has heard of its drain
                pass
            await goes.gone.wait()
            assert goes.exit_status == 0
            await run.use(edition_of(site, workers(site, 2), 3))
            assert len(run.pids) == 2
            assert len(await run.served_by()) == 2
            assert run.workforce.restarts == 0


class TestShortage:
    async def test_worker_without_room_for_sockets_is_offered_them_again(self, site: Site, tmp_path: Path) -> None:
        """One that is at its limit of descriptors must not lose the slot of a sibling by that."""
        async with workforce(site, tmp_path, workers(site, 2), WorkerTimeouts(ping=0.05, back_off=(60.0,))) as run:
            full, gone = run.workforce.workers
            limits = resource.prlimit(full.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(full.pid, resource.RLIMIT_NOFILE, (1, limits[1]))
            gone.kill()
            await gone.gone.wait()
            await until_seen(lambda: full not in run.workforce._acceptance._given)
            assert run.workforce._acceptance.slots(full) == {full.slot}
            resource.prlimit(full.pid, resource.RLIMIT_NOFILE, limits)
            await until_seen(lambda: run.workforce._acceptance.slots(full) == {0, 1})
            assert len(await run.served_by()) == 1
            assert full.is_alive


class TestLettingGo:
    async def test_workers_serve_what_they_have_without_their_parent_and_end_by_themselves(
        self, site: Site, tmp_path: Path
    ) -> None:
        before = children()
        async with workforce(site, tmp_path, workers(site, 2)) as run:
            pids, several, crowd = run.pids, run.workforce.workers, await run.crowd(8)
            await run.workforce.let_go()
            for worker in several:
                worker.channel.close()  # as when the parent has ended
            assert run.pids == []
            assert [slot for slot, last in run.parent.left if last is not None] == [0, 1]
            await run.workforce.close()
            assert {await one.ask() for one in crowd} == {one.served_by for one in crowd}
            for one in crowd:
                one.close()
            await until_seen(lambda: children() <= before)
            assert not any(map(is_alive, pids))
            assert len(run.parent.left) == 2, "each is counted once"

    async def test_one_that_drains_already_goes_on(self, site: Site, tmp_path: Path) -> None:
        before = children()
        async with workforce(site, tmp_path, workers(site, 1)) as run:
            (old,), connection = run.pids, await run.connect()
            await run.workforce.replace(run.workforce.workers[0])
            await asyncio.sleep(0)  # by then it was asked to drain
            await run.workforce.let_go()
            assert is_alive(old)
            connection.close()
            await until_seen(lambda: children() <= before)

    async def test_one_that_is_silent_is_ended(self, site: Site, tmp_path: Path) -> None:
        before = children()
        async with workforce(site, tmp_path, workers(site, 1), WorkerTimeouts(stuck=0.2, goodbye=0.2)) as run:
            (stopped,) = run.pids
            os.kill(stopped, signal.SIGSTOP)
            await run.workforce.let_go()
            assert run.parent.left == [(0, None)]
            await until_seen(lambda: children() <= before)


class TestTheEnd:
    async def test_everybody_is_drained_and_none_comes_after(self, site: Site, tmp_path: Path) -> None:
        async with workforce(site, tmp_path, workers(site, 2)) as run:
            pids = run.pids
            os.kill(pids[0], signal.SIGTERM)  # as systemd does, which tells all processes of a service at once
            await until_seen(lambda: run.workforce.editing.locked())
            await run.workforce.end()
            assert sorted(slot for slot, _ in run.parent.left) == [0, 1]
            assert all(last is not None for _, last in run.parent.left)
            assert not any(map(is_alive, pids))
            await until_seen(lambda: not run.workforce.editing.locked())
            assert run.pids == []
            assert run.workforce.restarts == 0

    async def test_one_that_is_silent_holds_the_end_up_no_longer_than_told(self, site: Site, tmp_path: Path) -> None:
        patience = WorkerTimeouts(stuck=0.2, goodbye=0.2)
        async with workforce(site, tmp_path, workers(site, 1, drain_timeout="1h"), patience) as run:
            (stopped,) = run.workforce.workers
            os.kill(stopped.pid, signal.SIGSTOP)
            ending = asyncio.get_running_loop().create_task(run.workforce.end())
            await asyncio.sleep(0)
            await run.workforce.end_now()
            await ending
            assert run.parent.left == [(0, None)]
            assert stopped.exit_status == -signal.SIGKILL
