"""Replaces the running parent by a new process, without a refused connection.

Theory of operation. The running parent starts the new program as a child, with the same arguments
and the environment of its own start, and talks with it over a wire (`processes.upgrade_wire`).

1. Preparing. A standstill begins: no reload, no rotation, no command that changes something. The
   new process gets all listening sockets, the admin sockets, the lock of the state directory, and
   what only memory has. It reads the configuration and its workers prepare. Nothing has changed
   for clients. A refused configuration ends the upgrade here.
2. Proving. The new workers accept on the same sockets, beside the old ones. Then the old workers
   accept no more; their connections continue. No connection waits, because all queues always have a
   worker, and none is lost, because both parents have every socket. No state on disk has changed
   hands yet, except that both append to the audit log, which is made for several writers.
3. Leaving. The new process has served for some seconds. It gets the state, and the service manager
   learns of the new main process. The new process confirms that it owns everything; until it says
   so, the old parent can still serve again. Then the old parent lets its workers drain by
   themselves, as in a restart, and ends.

Each upgrade has one outcome, which the command and the log tell as soon as it is certain:

    what happens                                         outcome
    the new process confirms that it owns everything     it serves, this process ends
    the new process ends, hangs, refuses, loses a        this process serves as before
      worker, or the time is over
    SIGTERM before the new process gets the state        both processes end
    SIGTERM after that                                   as without it, then who serves ends

When this process serves as before, the old workers accept again and the standstill ends. A new
process that still lives is asked to let its workers drain, so that the connections that they
accepted live on. One that may own the state is killed.

Why a new process and not an exec in place: an exec keeps the process id, but there is no way back
from it. The service manager is told the new id (MAINPID=). Process 1 of a container cannot leave
without ending the container, so it refuses.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from config.values.problems import Problem
from proxy.admin.requests.problems import CommandRefused
from proxy.api.commands import UpgradeLine
from proxy.net.tasks import Tasks
from proxy.observe.events.event import Tell
from proxy.observe.events.upgrades import UpgradeBegun, UpgradeFailed, UpgradeLeft, UpgradeServing, UpgradeStopped
from proxy.observe.scrape import UpgradeFacts
from proxy.processes.upgrade_wire import PROTOCOL
from proxy.rotation.rotating import Rotating
from proxy.supervisor.crew import Crew
from proxy.supervisor.reloads.changeover import Changeover
from proxy.supervisor.upgrade.former import FormerWorkers
from proxy.supervisor.upgrade.handover import HandedState
from proxy.supervisor.upgrade.memory import ParentDocument
from proxy.supervisor.upgrade.program import ProgramRefused, StartCommand
from proxy.supervisor.upgrade.replaceable import Replaceable
from proxy.supervisor.upgrade.successor import Successor, UpgradeAbandoned

_UNDER_WAY: Final = "an upgrade is in progress"
_LOOK_SECONDS: Final = 0.1
_SCRAPE_SECONDS: Final = 1.0
_PREPARING: Final = "preparing"
_PROVING: Final = "proving"
_LEAVING: Final = "leaving"
_NO_ANSWER: Final = "it did not answer in time"
_CLEANING: Final = "an upgrade has failed, and its process has not ended yet"


@dataclass(frozen=True, slots=True)
class UpgradeTimes:
    """All values are seconds."""

    whole: float = 60.0
    """From the command until the new process gets the state, unless the command says otherwise."""
    serving: float = 15.0
    """From the order to serve until all its workers do."""
    proof: float = 3.0
    """How long it serves before the state changes hands."""
    ping: float = 0.5
    """Between two questions whether it serves."""
    answer: float = 5.0
    """For its answers. A busy machine alone delays none for so long."""
    end: float = 5.0
    """For a new process that failed to let go of its clients."""


Show = Callable[[UpgradeLine], None]
"""Tells the caller a step."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One upgrade whose new process was started: it has to be over at `ends_at`, in loop time."""

    replaceable: Replaceable
    command: StartCommand
    successor: Successor
    ends_at: float
    show: Show


class Upgrading:
    """Makes one upgrade at a time, from `enable` on."""

    def __init__(  # noqa: PLR0913 - the parts that stand still
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        crew: Crew,
        rotating: Rotating,
        changeover: Changeover,
        state: Callable[[StartCommand], HandedState],
        memory: Callable[[], Awaitable[ParentDocument]],
        told_main: Callable[[int], None],
        tell: Tell,
    ) -> None:
        """`state` is what a process started like this gets, `memory` is `ParentMemory.document`.
        `told_main` tells the service manager the main process."""
        self._loop = loop
        self._tasks = tasks
        self._crew = crew
        self._rotating = rotating
        self._changeover = changeover
        self._state = state
        self._memory = memory
        self._told_main = told_main
        self._tell = tell
        self._replaceable: Replaceable | None = None
        self._successor: Successor | None = None
        self._stop_reason: str | None = None
        self._places: tuple[str, ...] = ()
        """The Unix sockets of the admin server of the new process."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._phase = _PREPARING
        self.times = UpgradeTimes()
        self.former: Final = FormerWorkers(loop)
        """The workers of the process before, if this one took over."""
        self.facts: UpgradeFacts | None = None
        self.done: Final = asyncio.Event()
        """Set when another process has taken over. This one has to leave."""

    def enable(self, replaceable: Replaceable) -> None:
        self._replaceable = replaceable

    @property
    def why_nothing_changes(self) -> str | None:
        """Why commands that change something are refused. None if they are not."""
        return self._changeover.standstill.reason

    def hold(self, reason: str) -> None:
        """Refuse what changes something: an older process has not left yet."""
        self._changeover.standstill.begin(reason)

    def release(self) -> None:
        """The older process has left."""
        self._changeover.standstill.end()

    async def upgrade(self, program: str | None, seconds: float | None) -> AsyncIterator[UpgradeLine]:
        """Make an upgrade and tell its steps. It continues if the caller stops listening.

        Raises `CommandRefused` before it begins.
        """
        if self.why_nothing_changes == _CLEANING:
            await self._idle.wait()
        replaceable, command = self._command(program)
        self._changeover.standstill.begin(_UNDER_WAY)
        self._idle.clear()
        steps: asyncio.Queue[UpgradeLine] = asyncio.Queue()
        ends_at = self._loop.time() + (seconds or self.times.whole)
        self._tasks.start(self._run(replaceable, command, ends_at, steps.put_nowait))
        while True:
            step = await steps.get()
            yield step
            if "ok" in step:
                return

    def _command(self, program: str | None) -> tuple[Replaceable, StartCommand]:
        """What is replaced, and by which command. Raises `CommandRefused`."""
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
            return one, one.start.with_program(program, one.user)
        except ProgramRefused as error:
            raise CommandRefused(403, f"the program {error}") from None

    async def stop(self, reason: str) -> None:
        """Abandon an upgrade that is in progress, wait for its outcome, and refuse later ones.

        An upgrade that leaves already is not abandoned.
        """
        self._stop_reason = reason
        if self._successor is not None and self._phase != _LEAVING:
            self._successor.stop(reason)
        await self._idle.wait()

    def leave(self) -> int:
        """This process leaves everything to the new one. Returns the pid of that."""
        assert self._successor is not None  # `done` is set
        pid = self._successor.pid
        self._tell(UpgradeLeft(pid))
        self._successor.close()
        return pid

    # -- one upgrade

    async def _run(self, replaceable: Replaceable, command: StartCommand, ends_at: float, show: Show) -> None:
        self._phase = _PREPARING
        try:
            async with contextlib.AsyncExitStack() as undone:
                undone.callback(self._moves_again)
                undone.push_async_callback(self._ended)
                undone.push(lambda _kind, error, _trace: self._failed(error, show))
                await self._come_to_rest(ends_at)
                successor = self._started(command, show)
                attempt = _Attempt(replaceable, command, successor, ends_at, show)
                version = await self._prepared(attempt)
                self._phase = _PROVING
                undone.push_async_callback(self._resumed, replaceable)
                wanted = await self._serving(attempt, version)
                await self._proven(attempt, wanted)
                await self._left(attempt, undone)
                undone.pop_all()  # nothing is undone
        except UpgradeAbandoned:
            pass  # it is told
        else:
            show({"ok": True, "pid": successor.pid, "version": version})
            self.done.set()
        finally:
            self._idle.set()

    def _failed(self, error: BaseException | None, show: Show) -> None:
        """Tell the outcome. This process accepts again, if it did not accept."""
        reason = "internal error, see the log"
        problems = tuple[Problem, ...]()
        logged = f"{type(error).__name__}: {error}"
        if isinstance(error, UpgradeAbandoned):
            reason = error.reason
            problems = error.problems
            logged = reason + "".join(f"; {one}" for one in problems)
        is_ending = self._stop_reason is not None
        self._tell(UpgradeStopped(self._phase, logged) if is_ending else UpgradeFailed(self._phase, logged))
        show(
            {
                "ok": False,
                "phase": self._phase,
                "reason": reason,
                "problems": [one.as_json() for one in problems],
                "serves": not is_ending,
            }
        )
        self._changeover.standstill.begin(_CLEANING)

    def _moves_again(self) -> None:
        self.facts = None
        self._successor = None
        self._rotating.is_resting = False
        self._changeover.standstill.end()

    async def _come_to_rest(self, ends_at: float) -> None:
        """Wait for changes that are in progress."""
        self._rotating.is_resting = True
        while self._rotating.is_busy:
            self._abandon_after(ends_at, "a certificate is being rotated: plexigate certs list shows which one")
            await asyncio.sleep(_LOOK_SECONDS)
        await self._hold_editing(ends_at)
        self._changeover.editing.release()
        await self._crew.adopting.keep()  # the new process begins with what is on disk

    async def _hold_editing(self, ends_at: float) -> None:
        """Wait for a reload, or for the start of a worker. Each takes `reload_timeout` at most."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._changeover.editing.acquire()
                    return
            except TimeoutError:
                self._abandon_after(ends_at, "a reload or the start of a worker has not ended, see the log")

    def _abandon_after(self, ends_at: float, reason: str) -> None:
        if self._stop_reason is not None:
            raise UpgradeAbandoned(self._stop_reason)
        if self._loop.time() >= ends_at:
            raise UpgradeAbandoned(reason)

    def _started(self, command: StartCommand, show: Show) -> Successor:
        self._successor = successor = Successor(self._loop, command)
        if self._stop_reason is not None:
            successor.stop(self._stop_reason)
        self.facts = UpgradeFacts(_PREPARING, successor.pid, command.program[0])
        self._tell(UpgradeBegun(command.program[0], successor.pid))
        show({"step": "started", "program": command.program[0], "pid": successor.pid})
        return successor

    async def _prepared(self, attempt: _Attempt) -> str:
        """Hand over, and wait until all workers are ready. Returns the version of the program."""
        successor = attempt.successor
        command = attempt.command
        hello = await successor.expect(["hello"], attempt.ends_at - self._loop.time())
        version = str(hello.body.get("version", "?"))
        protocol = hello.body.get("protocol")
        if protocol != PROTOCOL:
            raise UpgradeAbandoned(
                f"version {version} has another protocol of upgrades ({protocol!r}, here {PROTOCOL}): restart instead"
            )
        descriptors = attempt.replaceable.descriptors(self._crew)
        body = self._state(command).as_body([name for name, _ in descriptors])
        successor.say("handover", body, [one for _, one in descriptors])
        attempt.show({"step": "greeted", "version": version, "sockets": len(self._crew.sockets.handed)})
        while (said := await successor.expect(["step", "ready"], attempt.ends_at - self._loop.time())).kind == "step":
            attempt.show({"step": str(said.body.get("step"))})
        attempt.show({"step": "ready"})
        return version

    async def _serving(self, attempt: _Attempt, version: str) -> int:
        """Let both serve, then only the new process. Returns how many workers that has."""
        successor = attempt.successor
        attempt.replaceable.doors.rest()
        successor.say("take")
        left = self._left_of(self.times.serving, attempt)
        said = await successor.expect(["serving"], left, "it did not serve in time")
        self._places = tuple(map(str, said.body.get("places", ())))
        await self._crew.rest()
        self.facts = UpgradeFacts(_PROVING, successor.pid, attempt.command.program[0])
        self._tell(UpgradeServing(successor.pid, version))
        workers = said.body.get("workers")
        attempt.show({"step": "serving", "workers": workers})
        return workers if isinstance(workers, int) else 0

    def _left_of(self, seconds: float, attempt: _Attempt) -> float:
        return min(seconds, attempt.ends_at - self._loop.time())

    async def _proven(self, attempt: _Attempt, wanted: int) -> None:
        successor = attempt.successor
        proven_at = self._loop.time() + self.times.proof
        while self._loop.time() < proven_at:
            successor.say("ping")
            said = await successor.expect(["pong"], self._left_of(self.times.answer, attempt), _NO_ANSWER)
            workers = said.body.get("workers")
            if not isinstance(workers, int) or workers < max(1, wanted):
                raise UpgradeAbandoned(f"{workers} of its {wanted} workers answer: its log says why")
            await successor.silence(self.times.ping)

    async def _left(self, attempt: _Attempt, undone: contextlib.AsyncExitStack) -> None:
        """Leave the state to the new process, and wait until it owns everything."""
        successor = attempt.successor
        replaceable = attempt.replaceable
        await self._hold_editing(attempt.ends_at)
        undone.callback(self._changeover.editing.release)
        workers = await self._crew.workforce.scrape(_SCRAPE_SECONDS)
        successor.say("keep", {"workers": [one.pid for one in workers], "memory": await self._memory()})
        await successor.expect(["kept"], self._left_of(self.times.answer, attempt), _NO_ANSWER)
        self._phase = _LEAVING
        undone.callback(self._told_main, replaceable.pid)
        self._told_main(successor.pid)
        successor.say("main", {"reload": self._changeover.standstill.reloads > 0})
        await successor.expect(["owns"], self.times.answer, _NO_ANSWER)
        replaceable.doors.leave(self._places)

    async def _resumed(self, replaceable: Replaceable) -> None:
        await self._crew.resume()
        replaceable.doors.resume()

    async def _ended(self) -> None:
        if self._successor is not None:  # one that may own the state ends before anything moves here
            await self._successor.end(0.0 if self._phase == _LEAVING else self.times.end)
