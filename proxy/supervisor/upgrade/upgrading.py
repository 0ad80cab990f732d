"""Replaces the running parent by a new process, without a refused connection.

Theory of operation. The running parent starts the new program as a child, with the same arguments
and the environment of its own start, and talks with it over a wire (`processes.upgrade_wire`).

1. Preparing. A standstill begins: no reload, no rotation, no command that changes something. The
   new process gets all listening sockets, the admin sockets, the lock of the state directory, and
   what only memory has. It reads the configuration and its workers prepare. Nothing has changed
   for clients. A refused configuration ends the upgrade here.
2. Proving. The new workers accept on the same sockets, beside the old ones. Then the old workers
   accept no more; their connections go on. No connection waits, because all queues always have a
   worker, and none is lost, because both parents have every socket. No state on disk has changed
   hands yet, except that both append to the audit log, which is made for several writers.
3. Leaving. The new process has served for some seconds. It gets the state; this is the only step
   that cannot be undone. The service manager learns of the new main process. The old parent lets
   its workers drain by themselves, as in a restart, and ends.

If the new process fails before the third phase (it ends, hangs, refuses, or says what this version
does not understand), the old workers accept again and the standstill ends. A new process that still
lives is asked to let its workers drain, so that the connections that they accepted live on.

Why a new process and not an exec in place: an exec keeps the process id, but there is no way back
from it. The service manager is told the new id (MAINPID=). Process 1 of a container cannot leave
without ending the container, so it refuses.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

from proxy.admin.problems import CommandRefused
from proxy.net.tasks import Tasks
from proxy.observe.events.event import Tell
from proxy.observe.events.upgrades import UpgradeBegun, UpgradeFailed, UpgradeLeft, UpgradeServing
from proxy.observe.scrape import UpgradeFacts
from proxy.processes.upgrade_wire import PROTOCOL
from proxy.rotation.rotating import Rotating
from proxy.supervisor.crew import Crew
from proxy.supervisor.reloads.reloading import Reloading
from proxy.supervisor.secrets.ticket_record import TicketRecord
from proxy.supervisor.upgrade.former import FormerWorkers
from proxy.supervisor.upgrade.handover import HandedState
from proxy.supervisor.upgrade.program import ProgramRefused, StartCommand
from proxy.supervisor.upgrade.replaceable import Replaceable
from proxy.supervisor.upgrade.successor import Successor, UpgradeAbandoned

_UNDER_WAY: Final = "an upgrade is under way"
_LOOK_SECONDS: Final = 0.1
_SCRAPE_SECONDS: Final = 1.0
_PREPARING: Final = "preparing"
_PROVING: Final = "proving"


@dataclass(frozen=True, slots=True)
class UpgradeTimes:
    """All values are seconds."""

    ready: float = 60.0
    """For the new process to be ready, unless the command says otherwise."""
    serving: float = 15.0
    """From the order to serve until all its workers do."""
    proof: float = 3.0
    """How long it serves before the state changes hands."""
    ping: float = 0.5
    """Between two questions whether it serves."""
    answer: float = 5.0
    """For its answers. A busy machine alone delays none for so long."""
    rest: float = 15.0
    """At the end, for a worker that starts in this process."""
    end: float = 5.0
    """For a new process that failed to let go of its clients."""


class Upgrading:
    """Makes one upgrade at a time, from `enable` on."""

    def __init__(  # noqa: PLR0913 - the parts that stand still
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        crew: Crew,
        rotating: Rotating,
        reloading: Reloading,
        tickets: Callable[[], TicketRecord],
        tell: Tell,
    ) -> None:
        """`tickets` tells the secrets of session tickets."""
        self._loop = loop
        self._tasks = tasks
        self._crew = crew
        self._rotating = rotating
        self._reloading = reloading
        self._tickets = tickets
        self._tell = tell
        self._replaceable: Replaceable | None = None
        self._successor: Successor | None = None
        self._stop_reason: str | None = None
        self._places: tuple[str, ...] = ()
        """The Unix sockets of the admin server of the new process."""
        self._idle = asyncio.Event()
        self._idle.set()
        self.times = UpgradeTimes()
        self.former: Final = FormerWorkers(loop)
        """The workers of the process before, if this one took over."""
        self.facts: UpgradeFacts | None = None
        """The upgrade that is under way."""
        self.done: Final = asyncio.Event()
        """Set when another process has taken over. This one has to leave."""

    def enable(self, replaceable: Replaceable) -> None:
        """This process serves and may be replaced."""
        self._replaceable = replaceable

    @property
    def why_nothing_changes(self) -> str | None:
        """Why commands that change something are refused. None if they are not."""
        return self._reloading.standstill.reason

    def hold(self, reason: str) -> None:
        """Refuse what changes something: an older process has not left yet."""
        self._reloading.standstill.begin(reason)

    def release(self) -> None:
        """The older process has left."""
        self._reloading.standstill.end()

    async def upgrade(self, program: str | None, seconds: float | None) -> AsyncIterator[dict[str, Any]]:
        """Make an upgrade and tell its steps. It goes on if the caller stops listening.

        Raises `CommandRefused` before it begins.
        """
        command = self._command(program)
        self._reloading.standstill.begin(_UNDER_WAY)
        self._idle.clear()
        steps: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._tasks.start(self._run(command, seconds or self.times.ready, steps.put_nowait))
        while True:
            step = await steps.get()
            yield step
            if "ok" in step:
                return

    def _command(self, program: str | None) -> StartCommand:
        if self._stop_reason is not None:
            raise CommandRefused(409, f"{self._stop_reason}, and ends")
        if (reason := self.why_nothing_changes) is not None:
            raise CommandRefused(409, f"{reason}: there is one at a time")
        one = self._replaceable
        if one is None:
            raise CommandRefused(409, "this process does not serve yet, or cannot be replaced")
        if one.pid == 1:
            raise CommandRefused(
                409,
                "this process is the first of its container (process 1), and the container ends with it: start a new "
                "container of the new image, then stop this one",
            )
        try:
            return one.start.with_program(program, one.user)
        except ProgramRefused as error:
            raise CommandRefused(403, f"the program {error}") from None

    async def stop(self, reason: str) -> None:
        """Abandon an upgrade that is under way, wait until that is done, and refuse later ones."""
        self._stop_reason = reason
        if self._successor is not None:
            self._successor.stop(reason)
        await self._idle.wait()

    def leave(self, told_main: Callable[[int], None]) -> int:
        """Tell the new process that this one leaves, after `told_main`. Returns the new pid."""
        assert self._successor is not None  # `done` is set
        pid = self._successor.pid
        told_main(pid)
        self._successor.say("main", {"reload": self._reloading.standstill.reloads > 0})
        self._tell(UpgradeLeft(pid))
        self._successor.close()
        return pid

    # -- one upgrade

    async def _run(self, command: StartCommand, seconds: float, show: Callable[[dict[str, Any]], None]) -> None:
        ends_at = self._loop.time() + seconds
        phase = _PREPARING
        try:
            async with contextlib.AsyncExitStack() as undone:
                undone.callback(self._moves_again)
                await self._come_to_rest(ends_at)
                successor = self._started(command, show)
                undone.push_async_callback(self._ended, successor)
                version = await self._prepared(successor, command, ends_at, show)
                phase = _PROVING
                undone.push_async_callback(self._resumed)
                await self._serving(successor, command, version, show)
                await self._proven(successor)
                await self._kept(successor, undone)
                undone.pop_all()  # nothing is undone
        except UpgradeAbandoned as failure:
            self._failed(phase, failure, show)
        except BaseException as error:
            show({"ok": False, "phase": phase, "reason": "an error of ours, see the log", "problems": []})
            self._tell(UpgradeFailed(phase, f"{type(error).__name__}: {error}"))
            raise
        else:
            show({"ok": True, "pid": successor.pid, "version": version})
            self.done.set()
        finally:
            self._idle.set()

    def _failed(self, phase: str, failure: UpgradeAbandoned, show: Callable[[dict[str, Any]], None]) -> None:
        reason = failure.reason + "".join(f"; {one}" for one in failure.problems)
        self._tell(UpgradeFailed(phase, reason))
        show(
            {
                "ok": False,
                "phase": phase,
                "reason": failure.reason,
                "problems": [one.as_json() for one in failure.problems],
            }
        )

    def _moves_again(self) -> None:
        self.facts = None
        self._successor = None
        self._rotating.is_resting = False
        self._reloading.standstill.end()

    async def _come_to_rest(self, ends_at: float) -> None:
        """Wait for changes that are under way."""
        self._rotating.is_resting = True
        while self._rotating.is_busy:
            self._abandon_after(ends_at, "a certificate is being rotated: plexigate certs list tells which one")
            await asyncio.sleep(_LOOK_SECONDS)
        await self._hold_editing(ends_at)
        self._reloading.editing.release()
        await self._crew.adopting.keep()  # the new process begins with what is on disk

    async def _hold_editing(self, ends_at: float) -> None:
        """Wait for a reload, or for the start of a worker. Each takes `reload_timeout` at most."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._reloading.editing.acquire()
                    return
            except TimeoutError:
                self._abandon_after(ends_at, "a reload or the start of a worker has not ended, see the log")

    def _abandon_after(self, ends_at: float, reason: str) -> None:
        if self._stop_reason is not None:
            raise UpgradeAbandoned(self._stop_reason)
        if self._loop.time() >= ends_at:
            raise UpgradeAbandoned(reason)

    def _started(self, command: StartCommand, show: Callable[[dict[str, Any]], None]) -> Successor:
        self._successor = successor = Successor(self._loop, command)
        if self._stop_reason is not None:
            successor.stop(self._stop_reason)
        self.facts = UpgradeFacts(_PREPARING, successor.pid, command.program[0])
        self._tell(UpgradeBegun(command.program[0], successor.pid))
        show({"step": "started", "program": command.program[0], "pid": successor.pid})
        return successor

    async def _prepared(
        self, successor: Successor, command: StartCommand, ends_at: float, show: Callable[[dict[str, Any]], None]
    ) -> str:
        """Hand over, and wait until all workers are ready. Returns the version of the program."""
        hello = await successor.expect(["hello"], ends_at - self._loop.time())
        version, protocol = str(hello.body.get("version", "?")), hello.body.get("protocol")
        if protocol != PROTOCOL:
            raise UpgradeAbandoned(
                f"version {version} has another protocol of upgrades ({protocol!r}, here {PROTOCOL}): restart instead"
            )
        assert self._replaceable is not None  # `_command` has looked
        descriptors = self._replaceable.descriptors(self._crew)
        state = HandedState(self._tickets(), self._crew.servers.verdicts.all, command.program, command.environment)
        successor.say("handover", state.as_body([name for name, _ in descriptors]), [one for _, one in descriptors])
        show({"step": "greeted", "version": version, "sockets": len(self._crew.sockets.handed)})
        while (said := await successor.expect(["step", "ready"], ends_at - self._loop.time())).kind == "step":
            show({"step": str(said.body.get("step"))})
        show({"step": "ready"})
        return version

    async def _serving(
        self, successor: Successor, command: StartCommand, version: str, show: Callable[[dict[str, Any]], None]
    ) -> None:
        assert self._replaceable is not None  # as above
        self._replaceable.doors.rest()
        successor.say("take")
        said = await successor.expect(["serving"], self.times.serving)
        self._places = tuple(map(str, said.body.get("places", ())))
        await self._crew.rest()
        self.facts = UpgradeFacts(_PROVING, successor.pid, command.program[0])
        self._tell(UpgradeServing(successor.pid, version))
        show({"step": "serving", "workers": said.body.get("workers")})

    async def _proven(self, successor: Successor) -> None:
        wanted: int | None = None
        ends_at = self._loop.time() + self.times.proof
        while self._loop.time() < ends_at:
            successor.say("ping")
            said = await successor.expect(["pong"], self.times.answer)
            workers = said.body.get("workers")
            wanted = workers if wanted is None else wanted
            if not isinstance(workers, int) or workers < 1 or workers != wanted:
                raise UpgradeAbandoned(f"it has {workers} workers, and had {wanted}: its log says how they ended")
            await successor.silence(self.times.ping)

    async def _kept(self, successor: Successor, undone: contextlib.AsyncExitStack) -> None:
        """Leave the state to the new process."""
        await self._hold_editing(self._loop.time() + self.times.rest)
        undone.callback(self._reloading.editing.release)
        workers = await self._crew.fleet.scrape(_SCRAPE_SECONDS)
        successor.say("keep", {"workers": [one.pid for one in workers]})
        await successor.expect(["kept"], self.times.answer)
        assert self._replaceable is not None  # as above
        self._replaceable.doors.leave(self._places)

    async def _resumed(self) -> None:
        assert self._replaceable is not None  # as above
        await self._crew.resume()
        self._replaceable.doors.resume()

    async def _ended(self, successor: Successor) -> None:
        await successor.end(self.times.end)
