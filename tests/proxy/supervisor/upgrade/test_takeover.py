"""The new process waits for the older one before it owns anything."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.observe.events.event import Event
from proxy.processes.systemd import Notifier
from proxy.processes.upgrade_wire import UpgradeWire, pair
from proxy.supervisor.stopping import Stopping
from proxy.supervisor.upgrade.handover import Handed
from proxy.supervisor.upgrade.predecessor import GivenBack, Predecessor
from proxy.supervisor.upgrade.takeover import UpgradeTakeover
from tests.configurations import Site
from tests.proxy.supervisor.test_supervisor import Running, running, workers
from tests.waiting import until_seen


class Doors:
    """An admin server."""

    places = ("/run/admin.sock",)

    def __init__(self) -> None:
        self.told: list[str] = []

    async def start(self, inherited: Callable[[str], socket.socket | None]) -> None:
        assert inherited(self.places[0]) is None
        self.told.append("start")

    def own(self) -> None:
        self.told.append("own")


class Case:
    """A supervisor that takes over from a test."""

    def __init__(self, run: Running, notifier: Notifier) -> None:
        self.older, theirs = pair()
        self.predecessor = Predecessor(UpgradeWire(theirs))
        self.notifier, self.doors, self.events = notifier, Doors(), list[Event]()
        self.crew, self.upgrading = run.supervisor.crew, run.supervisor.upgrading
        self.stopping = Stopping()
        notifier.is_silent = self.crew.sockets.is_shared = True
        self.takeover = UpgradeTakeover(
            self.predecessor,
            Handed([]),
            self.doors,
            self.upgrading,
            self.crew,
            self.stopping,
            notifier,
            run.supervisor.memory,
            self.events.append,
        )

    async def heard(self) -> str:
        return (await self.older.heard(asyncio.get_running_loop())).kind

    async def take(self) -> None:
        self.older.say("take")
        await self.takeover.take()
        assert await self.heard() == "ready"
        assert self.doors.told == ["start"]
        assert self.upgrading.why_nothing_changes == "this process is taking over in an upgrade"

    @property
    def owns(self) -> bool:
        """Whether everything is its own."""
        return not self.notifier.is_silent and not self.crew.sockets.is_shared and self.doors.told == ["start", "own"]


@asynccontextmanager
async def taking(site: Site, directory: Path, notifier: Notifier | None = None) -> AsyncIterator[Case]:
    async with running(site, directory, workers(site, 1)) as run:
        case = Case(run, notifier or Notifier(None))
        try:
            yield case
        finally:
            case.older.close()
            case.predecessor.close()
            run.supervisor.stopping.listen(asyncio.get_running_loop())  # as `run` does after a takeover


async def test_it_owns_everything_when_the_older_process_has_left(site: Site, tmp_path: Path) -> None:
    async with taking(site, tmp_path) as case:
        await case.take()
        proving = asyncio.get_running_loop().create_task(case.takeover.prove())
        assert await case.heard() == "serving"
        case.older.say("keep", {"workers": [os.getpid()]})
        assert await case.heard() == "kept"
        assert not case.owns
        case.older.say("main", {"reload": True})
        await proving
        assert await case.heard() == "owns"
        assert case.owns
        assert case.takeover.wants_reload
        assert case.upgrading.why_nothing_changes is None
        assert case.upgrading.former.pids == (os.getpid(),)
        assert [one.event for one in case.events] == ["upgraded"]


async def test_it_stays_when_the_older_process_has_crashed(site: Site, tmp_path: Path) -> None:
    async with taking(site, tmp_path) as case:
        await case.take()
        case.older.close()
        await case.takeover.prove()
        assert case.owns


@pytest.mark.parametrize("has_kept", [False, True])
async def test_it_leaves_the_place_to_the_next_process_of_a_service_manager(
    site: Site, tmp_path: Path, *, has_kept: bool
) -> None:
    async with taking(site, tmp_path, Notifier("/nowhere")) as case:
        await case.take()
        if has_kept:
            case.older.say("keep")
        case.older.close()
        with pytest.raises(GivenBack):
            await case.takeover.prove()
        assert not case.owns


async def test_it_gives_back_when_it_is_asked_to_end(site: Site, tmp_path: Path) -> None:
    async with taking(site, tmp_path) as case:
        await case.take()
        proving = asyncio.get_running_loop().create_task(case.takeover.prove())
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(GivenBack):
            await proving
        assert not case.owns


async def test_a_signal_after_the_state_has_come_ends_it_as_every_other_process(site: Site, tmp_path: Path) -> None:
    async with taking(site, tmp_path) as case:
        await case.take()
        proving = asyncio.get_running_loop().create_task(case.takeover.prove())
        case.older.say("keep")
        assert [await case.heard(), await case.heard()] == ["serving", "kept"]
        os.kill(os.getpid(), signal.SIGTERM)
        await case.stopping.wait_for_first()
        case.older.say("main")
        await proving
        assert case.owns
        assert case.stopping.is_asked


async def test_no_signal_is_lost_between_the_takeover_and_the_end_of_the_start(site: Site, tmp_path: Path) -> None:
    async with taking(site, tmp_path) as case:
        await case.take()
        proving = asyncio.get_running_loop().create_task(case.takeover.prove())
        case.older.say("keep")
        case.older.say("main")
        await proving
        assert not case.takeover.wants_reload
        os.kill(os.getpid(), signal.SIGHUP)
        await until_seen(lambda: case.takeover.wants_reload)
        os.kill(os.getpid(), signal.SIGTERM)
        await case.stopping.wait_for_first()
