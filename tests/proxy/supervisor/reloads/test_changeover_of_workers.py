"""Two phases over real workers: all of them serve by an edition, or none does and nothing is
left of it."""

import asyncio
import os
import re
import resource
import signal
import socket
from pathlib import Path

import pytest

from config.values.problems import ConfigError
from proxy.processes.messages.questions import Abort
from proxy.supervisor.reloads.refusals import NotReady
from proxy.supervisor.workers.timeouts import WorkerTimeouts
from tests.configurations import Site, listener
from tests.ports import lasting_port
from tests.serving_rotations import serving, shown_by_both
from tests.waiting import is_alive, until_seen
from tests.workforces import RunningWorkforce, edition_of, refuses, workforce


def two_workers(site: Site) -> str:
    return 'workers = 2\nreload_timeout = "20s"\n' + site.minimal


async def refused(run: RunningWorkforce, site: Site, text: str) -> str:
    """Why an edition cannot be served by; nobody else holds the workforce."""
    async with run.workforce.editing:
        with pytest.raises(ConfigError) as caught:
            await run.changeover.prepare(edition_of(site, text, 2))
    (problem,) = (one for one in caught.value.problems if one.is_error)
    return str(problem)


class TestFirst:
    """A start: what a token keeps from being ready is not a reason not to serve the rest."""

    async def test_is_tried_without_the_module_when_nobody_gets_ready(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text, asked = 'workers = 1\nreload_timeout = "4s"\n' + site.minimal, list[bool]()
        patience = WorkerTimeouts(given_up=3_600.0)  # a first worker has no pulse yet
        async with workforce(site, tmp_path, text, patience) as run, run.workforce.editing:
            (pid,) = run.pids

            def leave_module(_: object) -> bool:
                asked.append(len(asked) > 0)
                if asked[-1]:
                    os.kill(pid, signal.SIGCONT)  # as if it was the module that had kept it
                return asked[-1]

            monkeypatch.setattr(run.unmoved, "leave_module", leave_module)
            os.kill(pid, signal.SIGSTOP)
            edition = edition_of(site, text, 2)
            with pytest.raises(NotReady, match=re.escape("a worker that was not ready after 4 s")):
                await run.changeover.prepare_first(edition)
            await run.changeover.abandon(await run.changeover.prepare_first(edition))
            assert asked == [False, True]
            wrong = edition_of(site, text.replace("[listener.public]", '[listener.public]\ngroups = ["nonsense"]'), 3)
            with pytest.raises(ConfigError, match="nonsense"):
                await run.changeover.prepare_first(wrong)
            assert asked == [False, True], "another reason: nobody is asked"


class TestTogether:
    async def test_everybody_or_nobody(self, site: Site, tmp_path: Path) -> None:
        """One workforce for all of it: each refusal leaves what was before."""
        port = lasting_port()
        both = two_workers(site) + listener("second", bind=f"127.0.0.1:{port}")
        async with workforce(site, tmp_path, two_workers(site)) as run:
            pids, before = run.pids, [one.by_slot for one in run.parent.bound]

            async def nothing_has_changed() -> None:
                assert run.pids == pids
                assert [one.by_slot for one in run.parent.bound] == before
                assert refuses(port)
                assert len(await run.served_by()) == 2

            # what every worker says against it is said once
            found = await refused(
                run, site, both.replace("[listener.public]", '[listener.public]\ngroups = ["nonsense"]')
            )
            assert "listener.public.groups" in found
            await nothing_has_changed()

            # an address that somebody else has: nobody was asked
            with socket.create_server(("127.0.0.1", port)):
                found = await refused(run, site, both)
            assert f"listener.second.bind[0]: found 127.0.0.1:{port}, which cannot be used: Address already in" in found
            await nothing_has_changed()

            # only one worker cannot, and one for a new slot was on its way
            limits = resource.prlimit(pids[1], resource.RLIMIT_NOFILE)
            resource.prlimit(pids[1], resource.RLIMIT_NOFILE, (1, limits[1]))
            joining = both.replace("workers = 2", "workers = 3")
            found = await refused(run, site, joining)
            assert "a worker that failed: no room for more descriptors" in found
            resource.prlimit(pids[1], resource.RLIMIT_NOFILE, limits)
            await nothing_has_changed()

            # one that does not answer in time
            os.kill(pids[0], signal.SIGSTOP)
            found = await refused(run, site, both.replace("20s", "300ms"))
            assert "a worker that was not ready after 0.3 s" in found
            os.kill(pids[0], signal.SIGCONT)
            await until_seen(lambda: not run.workforce._pulse.stuck)
            await run.settled()
            await nothing_has_changed()

            # and all can
            await run.use(edition_of(site, both, 3))
            assert run.pids == pids
            assert not refuses(port)

    @pytest.mark.parametrize("is_known", [True, False])
    async def test_one_that_is_stopped_is_replaced_and_holds_nobody_up(
        self, site: Site, tmp_path: Path, *, is_known: bool
    ) -> None:
        """Whether it is known to be silent before, or falls silent while it prepares; it drains
        when it continues."""
        patience = WorkerTimeouts(stuck=0.3, given_up=1.0, ping=0.05)
        loop = asyncio.get_running_loop()
        async with workforce(site, tmp_path, two_workers(site), patience) as run:
            stopped, other = run.workforce.workers
            os.kill(stopped.pid, signal.SIGSTOP)
            if is_known:
                await until_seen(lambda: run.workforce.able(2) == [other])
            began = loop.time()
            await run.use(edition_of(site, two_workers(site), 2))
            assert loop.time() - began < 10, "not the 20 s of reload_timeout"
            assert run.workforce.workers[1] is other
            assert run.pids[0] != stopped.pid
            assert run.parent.events[-1] == {"event": "worker_given_up", "slot": 0, "pid": stopped.pid}
            await run.settled()
            assert len(await run.served_by()) == 2
            os.kill(stopped.pid, signal.SIGCONT)
            await stopped.gone.wait()
            assert stopped.exit_status == 0, "it drained"
            assert run.workforce._pulse.stuck == set()

    async def test_one_that_is_stopped_stays_where_the_others_refuse(self, site: Site, tmp_path: Path) -> None:
        async with workforce(
            site, tmp_path, two_workers(site), WorkerTimeouts(stuck=0.2, given_up=0.4, ping=0.05)
        ) as run:
            pids = run.pids
            os.kill(pids[0], signal.SIGSTOP)
            await until_seen(lambda: len(run.workforce.able(2)) == 1)
            wrong = two_workers(site).replace("[listener.public]", '[listener.public]\ngroups = ["nonsense"]')
            assert "listener.public.groups" in await refused(run, site, wrong)
            assert run.pids == pids
            os.kill(pids[0], signal.SIGCONT)
            await until_seen(lambda: not run.workforce._pulse.stuck)
            await run.settled()

    async def test_worker_that_is_lost_while_it_prepares(self, site: Site, tmp_path: Path) -> None:
        async with workforce(site, tmp_path, two_workers(site)) as run:
            first = run.workforce.workers[0]
            os.kill(first.pid, signal.SIGSTOP)
            reloading = asyncio.get_running_loop().create_task(refused(run, site, two_workers(site)))
            await until_seen(lambda: first.channel._waiting)
            os.kill(first.pid, signal.SIGKILL)
            assert "a worker that did not live until it was prepared: it ended with status -9" in await reloading
            while (
                len(await run.served_by()) < 2
            ):  # a machine that is busy makes a worker late, and the other one stands in
                pass

    async def test_abandoned_one_leaves_neither_sockets_nor_workers(self, site: Site, tmp_path: Path) -> None:
        async with workforce(site, tmp_path, "workers = 1\n" + site.minimal) as run:
            more = "workers = 2\n" + listener("second") + site.minimal
            async with run.workforce.editing:
                prepared = await run.changeover.prepare(edition_of(site, more, 2))
                (joined,) = prepared.joined
                ((made,),) = [prepared.sockets.made["second[0] 127.0.0.1:0"][:1]]
                port = made.getsockname()[1]
                await run.changeover.abandon(prepared)
            assert not is_alive(joined.pid)
            assert refuses(port)
            assert len(run.pids) == 1
            (await run.connect()).close()

    async def test_listener_that_is_removed_is_given_back(self, site: Site, tmp_path: Path) -> None:
        async with workforce(site, tmp_path, "workers = 1\n" + site.minimal + listener("second")) as run:
            ports = {one.listener: one.by_slot[0].getsockname()[1] for one in run.parent.bound}
            await run.use(edition_of(site, "workers = 1\n" + site.minimal, 2))
            assert refuses(ports["second"])
            assert not refuses(ports["public"])

    async def test_no_room_for_another_process(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_room(*_arguments: object, **_settings: object) -> None:
            raise OSError(11, "Resource temporarily unavailable")

        async with workforce(site, tmp_path, "") as run:
            monkeypatch.setattr("subprocess.Popen", no_room)
            found = await refused(run, site, site.minimal)
            assert "no room for another process: Resource temporarily unavailable" in found

    async def test_worker_of_another_version_asks_for_a_restart(self, site: Site, tmp_path: Path) -> None:
        async with workforce(site, tmp_path, "workers = 1\n" + site.minimal) as run:
            run.parent.version = "0-of-yesterday"
            found = await refused(run, site, "workers = 2\n" + site.minimal)
            assert "a worker of another version: the new worker speaks version" in found
            assert found.endswith("; allowed: a restart of Plexigate")

    async def test_commit_that_a_worker_refuses_replaces_it(self, site: Site, tmp_path: Path) -> None:
        async with workforce(site, tmp_path, "workers = 1\n" + site.minimal) as run:
            (worker,) = run.workforce.workers
            async with run.workforce.editing:
                prepared = await run.changeover.prepare(edition_of(site, "workers = 1\n" + site.minimal, 2))
                await worker.ask(Abort())
                await run.changeover.commit(prepared)
            await worker.gone.wait()
            await until_seen(lambda: run.pids)
            assert run.parent.told[:2] == ["worker_commit_failed", "worker_ended"]
            (await run.connect()).close()


class TestSwaps:
    """Changes of secrets alone, over two workers."""

    async def test_all_workers_change_over_and_it_is_decided_in_between(self, tmp_path: Path) -> None:
        async with serving(tmp_path) as one:
            first = one.scene.shelf().current()
            assert first is not None
            assert await one.shown() == shown_by_both(first)
            second = one.scene.stored()
            await one.swap(one.files(second), one.deciding(second))
            assert await one.shown() == shown_by_both(second)
            assert one.decisions == [second.number]
            assert one.served.edition.number == 2

    async def test_a_decision_that_fails_leaves_everything_as_it_was(self, tmp_path: Path) -> None:
        async with serving(tmp_path) as one:
            first, second = one.scene.shelf().current(), one.scene.stored()
            assert first is not None

            def disk_is_full() -> None:
                raise OSError(28, "No space left on device")

            with pytest.raises(OSError, match="No space left"):
                await one.swap(one.files(second), disk_is_full)
            assert await one.shown() == shown_by_both(first)
            assert one.served.edition.number == 1
            await one.swap(one.files(second), one.deciding(second))
            assert await one.shown() == shown_by_both(second)

    async def test_a_pair_that_does_not_fit_is_refused_before_a_worker_is_asked(self, tmp_path: Path) -> None:
        async with serving(tmp_path) as one:
            second, third = one.scene.stored(), one.scene.stored()
            files = one.files(second)
            key = next(path for path in files if path.name == "key.pem")
            files[key] = one.files(third)[key]
            with pytest.raises(ConfigError, match="does not fit"):
                await one.swap(files, one.deciding(second))
            assert one.decisions == []
