"""The new process of an upgrade takes over: the part of its start that waits for the older one.

Until the older process has left, this one changes no state on disk, says nothing to the service
manager and refuses commands. It only serves.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Protocol

from proxy.observe.events.event import Tell
from proxy.observe.events.upgrades import UpgradeTakenOver
from proxy.processes.systemd import Notifier
from proxy.processes.upgrade_wire import WireBroken
from proxy.supervisor.crew import Crew
from proxy.supervisor.stopping import Stopping
from proxy.supervisor.upgrade.handover import Handed
from proxy.supervisor.upgrade.memory import ParentMemory
from proxy.supervisor.upgrade.predecessor import GivenBack, Predecessor
from proxy.supervisor.upgrade.upgrading import Upgrading


class InheritingDoors(Protocol):
    """The admin server (`AdminServer`)."""

    @property
    def places(self) -> Sequence[str]:
        """The paths of its Unix sockets."""

    async def start(self, inherited: Callable[[str], socket.socket | None]) -> None:
        """Listen, on inherited sockets where they are."""

    def own(self) -> None:
        """The Unix sockets belong to this process alone from now on."""


class UpgradeTakeover:
    """Implements `changeover.Takeover`."""

    def __init__(  # noqa: PLR0913 - what stands still until the older process has left
        self,
        predecessor: Predecessor,
        handed: Handed,
        doors: InheritingDoors,
        upgrading: Upgrading,
        crew: Crew,
        stopping: Stopping,
        notifier: Notifier,
        memory: ParentMemory,
        tell: Tell,
    ) -> None:
        self._predecessor = predecessor
        self._handed = handed
        self._doors = doors
        self._upgrading = upgrading
        self._crew = crew
        self._stopping = stopping
        self._notifier = notifier
        self._memory = memory
        self._tell = tell
        self._is_reload_asked = False

    @property
    def wants_reload(self) -> bool:
        """Whether the older process leaves a reload to this one, or this one was asked for one."""
        return self._predecessor.wants_reload or self._is_reload_asked

    async def take(self) -> None:
        """Wait for the order to serve. Raises `GivenBack` or `AdminSocketError`."""
        loop = asyncio.get_running_loop()
        await self._predecessor.may_take(loop)
        loop.add_signal_handler(signal.SIGTERM, self._stopping.asked)
        loop.add_signal_handler(signal.SIGHUP, self._reload_asked)
        self._upgrading.hold("this process is taking over in an upgrade")
        await self._doors.start(self._handed.admin)

    def _reload_asked(self) -> None:
        self._is_reload_asked = True

    async def prove(self) -> None:
        """Serve beside the older process until it leaves. Raises `GivenBack`."""
        loop = asyncio.get_running_loop()
        proof = loop.create_task(self._prove(loop))
        end = loop.create_task(self._stopping.wait_for_first())
        try:
            await asyncio.wait({proof, end}, return_when=asyncio.FIRST_COMPLETED)
            if not proof.done() and not self._predecessor.has_left_state:
                raise GivenBack
            await proof  # a signal after the state has come: this process ends as every other one
        finally:
            proof.cancel()
            end.cancel()
        await self._memory.take(self._predecessor.memory)
        self._stopping.listen(loop)
        self._owns_everything()

    async def _prove(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            await self._predecessor.proven(loop, self._doors.places, self._crew.workforce)
        except WireBroken:
            # The older process has crashed. A service manager starts another one with the sockets
            # that it keeps, and must not meet this one. Without a service manager this one stays.
            if self._notifier.is_heard:
                raise GivenBack from None

    def _owns_everything(self) -> None:
        self._handed.close()
        self._notifier.is_silent = False
        self._crew.sockets.is_shared = False
        self._crew.sockets.keep_all()
        self._upgrading.former.watch(self._predecessor.workers)
        self._upgrading.release()
        self._doors.own()
        self._predecessor.confirm()  # the older process serves again unless it hears this
        self._predecessor.close()
        self._tell(UpgradeTakenOver(version("plexigate"), len(self._predecessor.workers)))
