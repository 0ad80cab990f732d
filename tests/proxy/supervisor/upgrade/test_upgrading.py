"""A parent that is to be replaced: whatever the new process does, the old one serves as before
or has left everything."""

import asyncio
import functools
import os
import signal
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.admin.requests.problems import CommandRefused
from proxy.api.commands import UpgradeLine
from proxy.observe.status import status
from proxy.supervisor.upgrade.program import StartCommand
from proxy.supervisor.upgrade.replaceable import Replaceable, this_process
from proxy.supervisor.upgrade.upgrading import UpgradeTimes, Upgrading
from tests.configurations import Site
from tests.parts import differences
from tests.proxy.supervisor.test_supervisor import Running, running, workers
from tests.upgrades import GREETS, IS_READY, KEPT, SERVES, script, speaker
from tests.waiting import is_alive, until_seen

SHORT = UpgradeTimes(whole=20.0, serving=0.5, proof=0.3, ping=0.05, answer=0.5, end=5.0)
REFUSES = 'say("refused", reason="so", problems=[{"file": "f", "key": "k", "found": "x", "allowed": "y", "severity": "error", "line": 1, "column": 1}])\n'
FAILING = {
    "cannot be started": ("", "preparing", "could not be started"),
    "ends at once": ("sys.exit(3)", "preparing", "it ended with status 3"),
    "another protocol": (
        'say("hello", protocol=7, version="3.0")\nhear()',
        "preparing",
        "another protocol of upgrades",
    ),
    "refuses": (GREETS + 'wait("handover")\n' + REFUSES + "hear()", "preparing", "so; f:1:1: k: found x; allowed: y"),
    "ends when it is handed over": (GREETS + 'wait("handover")\nsys.exit(4)', "preparing", "it ended with status 4"),
    "speaks another language": (GREETS + 'say("bonjour")\nhear()', "preparing", "it says 'bonjour'"),
    "ends when it is to serve": (IS_READY + 'wait("take")\nsys.exit(5)', "proving", "it ended with status 5"),
    "does not serve": (IS_READY + 'wait("never")', "proving", "it did not serve in time"),
    "ends after it has served": (SERVES + 'wait("ping")\nsys.exit(6)', "proving", "it ended with status 6"),
    "is killed when it serves": (SERVES + "os.kill(os.getpid(), 9)", "proving", "it ended with signal 9"),
    "hangs when it serves": (SERVES + "time.sleep(600)", "proving", "it did not answer in time"),
    "loses a worker": (
        SERVES + 'hear()\nsay("pong", workers=2)\nhear()\nsay("pong", workers=1)\nwait("never")',
        "proving",
        "1 of its 2 workers answer",
    ),
    "has none": (SERVES + 'hear()\nsay("pong", workers=0)\nwait("never")', "proving", "0 of its 2 workers answer"),
    "does not take the state": (
        SERVES + 'while (said := hear()) != "keep":\n    say("pong", workers=2)\nwait("never")',
        "proving",
        "it did not answer in time",
    ),
    "ends with the state": (SERVES + KEPT + "sys.exit(7)", "leaving", "it ended with status 7"),
    "ends when all is left to it": (SERVES + KEPT + 'wait("main")\nsys.exit(8)', "leaving", "it ended with status 8"),
    "hangs when all is left to it": (SERVES + KEPT + "time.sleep(600)", "leaving", "it did not answer in time"),
}


class FakeDoors:
    """An admin server."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.handed = [("/run/admin.sock", 1)]

    def rest(self) -> None:
        self.told.append("rest")

    def resume(self) -> None:
        self.told.append("resume")

    def leave(self, places: Collection[str]) -> None:
        self.told.append(f"leave {', '.join(places)}")


def enabled(run: Running, program: Path | str) -> tuple[Upgrading, FakeDoors]:
    """The upgrade of a supervisor that was started by this program."""
    upgrading, doors = run.supervisor.upgrading, FakeDoors()
    upgrading.times = SHORT
    start = StartCommand((str(program),), ("run", "x.toml"), {"PATH": "/usr/bin:/bin"})
    upgrading.enable(this_process(start, doors, list))
    return upgrading, doors


async def steps_of(upgrading: Upgrading, seconds: float | None = None) -> list[Any]:
    steps = [step async for step in upgrading.upgrade(None, seconds)]
    assert list(differences(steps, list[UpgradeLine])) == []
    return steps


def has_failed(run: Running, times: int) -> bool:
    """Whether so many upgrades have failed; the log is written by a thread."""
    return run.told().count("upgrade_failed") == times


async def accepts(run: Running, doors: FakeDoors) -> None:
    """All is as it was."""
    upgrading = run.supervisor.upgrading
    await upgrading._idle.wait()
    assert upgrading.why_nothing_changes is None
    assert upgrading.facts is None
    assert doors.told in ([], ["rest", "resume"])
    for _ in range(4):
        await run.visit()


async def test_a_program_that_fails_at_any_point_changes_nothing(site: Site, tmp_path: Path) -> None:
    async with running(site, tmp_path, workers(site)) as run:
        pids = run.pids
        for number, (name, (text, phase, reason)) in enumerate(FAILING.items(), 1):
            program = speaker(tmp_path, "new", text) if text else script(tmp_path, "new", "no program\n")
            upgrading, doors = enabled(run, program)
            steps = await steps_of(upgrading)
            assert (steps[-1]["ok"], steps[-1]["phase"]) == (False, phase), name
            assert bool(steps[-1]["problems"]) is (name == "refuses"), name
            await until_seen(functools.partial(has_failed, run, number))
            failed = [event for event in run.events() if event["event"] == "upgrade_failed"][-1]
            assert (failed["event"], failed["phase"]) == ("upgrade_failed", phase), name
            assert reason in failed["reason"], name
            await accepts(run, doors)
            if len(steps) > 1:
                assert not is_alive(steps[0]["pid"]), name
        assert run.pids == pids


async def test_the_outcome_is_told_when_the_time_is_over_and_not_when_the_program_has_ended(
    site: Site, tmp_path: Path
) -> None:
    async with running(site, tmp_path, workers(site, 1)) as run:
        for text, phase in (("time.sleep(600)", "preparing"), (SERVES + "time.sleep(600)", "proving")):
            upgrading, doors = enabled(run, speaker(tmp_path, "new", text))
            upgrading.times = replace(SHORT, serving=600.0, answer=600.0, end=0.5)
            steps = await steps_of(upgrading, 1.0)
            assert (steps[-1]["phase"], steps[-1]["serves"]) == (phase, True)
            assert upgrading.why_nothing_changes == "an upgrade has failed, and its process has not ended yet"
            assert is_alive(steps[0]["pid"])
            await run.visit()
            await accepts(run, doors)
            assert not is_alive(steps[0]["pid"])


async def test_one_upgrade_at_a_time_and_nothing_changes_meanwhile(site: Site, tmp_path: Path) -> None:
    async with running(site, tmp_path, workers(site, 1)) as run:
        program = speaker(tmp_path, "new", GREETS + 'wait("never")')
        upgrading, doors = enabled(run, program)
        steps = upgrading.upgrade(None, None)
        first = await anext(steps)
        assert first["step"] == "started"
        assert upgrading.why_nothing_changes == "an upgrade is in progress"
        assert (status(await run.supervisor.control.figures.scrape()))["upgrade"] == {
            "phase": "preparing",
            "pid": first["pid"],
            "program": str(program),
        }
        with pytest.raises(CommandRefused, match="an upgrade is in progress: there is one at a time"):
            await anext(upgrading.upgrade(None, None))
        os.kill(os.getpid(), signal.SIGHUP)
        await until_seen(lambda: "reloading" in run.told())
        await upgrading.stop("a shutdown was requested")
        last = [step async for step in steps][-1]
        assert (last["reason"], last["serves"]) == ("a shutdown was requested", False)
        assert "upgrade_failed" not in run.told()
        await accepts(run, doors)
        await until_seen(lambda: "reloaded" in run.told())


async def test_a_rotation_under_way_is_waited_for(site: Site, tmp_path: Path) -> None:
    async with running(site, tmp_path, workers(site, 1)) as run:
        upgrading, doors = enabled(run, speaker(tmp_path, "new", "sys.exit(3)"))
        run.supervisor.rotating._calls.busy.add("ca")
        steps = await steps_of(upgrading, 0.3)
        assert steps[-1]["reason"] == "a certificate is being rotated: plexigate certs list shows which one"
        await accepts(run, doors)
        run.supervisor.rotating._calls.busy.clear()
        assert (await steps_of(upgrading))[-1]["reason"] == "it ended with status 3"
        run.supervisor.rotating._calls.busy.add("ca")
        attempt = asyncio.get_running_loop().create_task(steps_of(upgrading))
        await until_seen(lambda: upgrading.why_nothing_changes)
        await upgrading.stop("a shutdown was requested")
        assert (await attempt)[-1]["reason"] == "a shutdown was requested"
        assert not run.supervisor.rotating.is_resting
        run.supervisor.rotating._calls.busy.clear()


async def test_a_reload_under_way_is_waited_for_but_not_for_ever(site: Site, tmp_path: Path) -> None:
    async with running(site, tmp_path, workers(site, 1)) as run:
        upgrading, doors = enabled(run, speaker(tmp_path, "new", "sys.exit(3)"))
        await run.supervisor.crew.workforce.editing.acquire()
        steps = await steps_of(upgrading, 0.3)
        assert steps[-1]["reason"] == "a reload or the start of a worker has not ended, see the log"
        await accepts(run, doors)
        attempt = asyncio.get_running_loop().create_task(steps_of(upgrading))
        await until_seen(lambda: upgrading.why_nothing_changes)
        await upgrading.stop("a shutdown was requested")
        assert (await attempt)[-1]["reason"] == "a shutdown was requested"
        run.supervisor.crew.workforce.editing.release()


async def test_a_proxy_that_drains_begins_no_upgrade(site: Site, tmp_path: Path) -> None:
    async with running(site, tmp_path, workers(site, 1)) as run:
        upgrading, _ = enabled(run, speaker(tmp_path, "new", "sys.exit(3)"))
        await upgrading.stop("a shutdown was requested")
        with pytest.raises(CommandRefused, match="a shutdown was requested, and ends"):
            await anext(upgrading.upgrade(None, None))


async def test_a_program_that_serves_gets_everything_and_this_process_ends(site: Site, tmp_path: Path) -> None:
    last = KEPT + 'wait("main")\nsay("owns")\n'
    async with running(site, tmp_path, workers(site)) as run:
        program = speaker(tmp_path, "new", SERVES + last + "time.sleep(0.3)")
        upgrading, doors = enabled(run, program)
        steps = await steps_of(upgrading)
        assert [step.get("step") for step in steps] == ["started", "greeted", "ready", "serving", None]
        assert steps[-1] == {"ok": True, "pid": steps[0]["pid"], "version": "9.9.9"}
        await until_seen(lambda: "stopped" in run.told())
        assert run.notifications()[-1] == f"MAINPID={steps[0]['pid']}"
        assert doors.told == ["rest", "leave /nowhere"]
        assert upgrading._successor is not None
        await asyncio.to_thread(upgrading._successor._process.wait)
    told = [name for name in run.told() if name != "drained"]
    assert told == ["ready", "upgrade", "upgrade_serving", "upgrade_left", "stopped"]


@pytest.mark.parametrize(
    ("change", "status", "detail"),
    [
        ({"pid": 1}, 409, "this process is the first of its container (process 1), and the container ends with it"),
        (
            {"start": StartCommand(("/nowhere/plexigate",), (), {})},
            403,
            "the program /nowhere/plexigate: found no file",
        ),
    ],
)
async def test_it_is_refused_before_it_begins(
    site: Site, tmp_path: Path, change: Any, status: int, detail: str
) -> None:
    run = Running(site, tmp_path, workers(site, 1))
    upgrading = run.supervisor.upgrading
    with pytest.raises(CommandRefused, match="does not serve yet"):
        await anext(upgrading.upgrade(None, None))
    start = StartCommand((str(speaker(tmp_path, "new", "")),), (), {})
    upgrading.enable(replace(Replaceable(start, FakeDoors(), list, 2, 1_000), **change))
    with pytest.raises(CommandRefused) as caught:
        await anext(upgrading.upgrade(None, None))
    assert caught.value.status == status
    assert detail in str(caught.value)
    assert upgrading.why_nothing_changes is None
    await run.supervisor.close()
    run.target.close(1.0)
    run.notified.close()
