"""A change of edition in two phases: all workers prepare the edition, then all serve by it.

What serves now is left as it is until the last worker has said yes. Preparing makes sockets for new
addresses and workers for new slots. They are removed if a worker says no, if a worker is lost, or
if the time is over. All workers then serve by the edition before.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from config.diff import Change, EffectKind, diff
from config.files import files_of
from config.plain import PLAIN_LISTENER, plain_bind_place
from config.problems import ConfigError, Location, Problem
from proxy.admin.contracts import ReloadReport
from proxy.processes.channel import ChannelLost
from proxy.processes.messages.answers import PreparedToServe
from proxy.processes.messages.refusals import ConfigurationRefused, OtherVersion, QuestionRefused
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.standstill import Standstill
from proxy.supervisor.workers.fleet import Fleet
from proxy.supervisor.workers.process import WorkerProcess
from proxy.supervisor.workers.sockets import BindFailed, ListeningSockets, PreparedSockets, addresses_of


@dataclass(slots=True)
class Prepared:
    """An edition that every worker has prepared."""

    edition: Edition
    sockets: PreparedSockets
    joined: list[WorkerProcess]
    answers: list[PreparedToServe]


class NotReady(ConfigError):
    """A worker has not prepared in time."""


class Reloading:
    """Brings editions to a fleet and its sockets."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fleet: Fleet, sockets: ListeningSockets) -> None:
        """The caller holds `editing` from `prepare` until it has committed or abandoned."""
        self._loop = loop
        self._fleet = fleet
        self._sockets = sockets
        self.editing: Final = fleet.editing
        self.standstill: Final = Standstill()

    def changing(self) -> AbstractAsyncContextManager[None]:
        """Hold `editing` for a change of configuration or secrets, not during a standstill."""
        return self.standstill.moving(self.editing)

    async def prepare_first(self, edition: Edition, leave_module: Callable[[], bool]) -> Prepared:
        """Let all workers prepare at a start. It serves what it can if a token hangs.

        A token that hangs may hold OpenSSL's provider, and so a whole worker, in its module.
        `leave_module` then lets workers begin without this module, and tells whether a token hangs.
        Raises `ConfigError`.
        """
        try:
            return await self.prepare(edition)
        except NotReady:
            if not leave_module():
                raise
        return await self.prepare(edition)

    async def prepare(self, edition: Edition) -> Prepared:
        """Let all workers prepare. Raises `ConfigError` after it has undone what was prepared."""
        slots = max(edition.worker_count, self._fleet.slots_with_sockets, self._sockets.slots)
        try:
            sockets = self._sockets.prepare(addresses_of(edition.binds), slots)
        except BindFailed as error:
            raise ConfigError([_bind_problem(edition, error)]) from None
        joined: list[WorkerProcess] = []
        try:
            async with asyncio.timeout(edition.loaded.config.reload_seconds):
                answers = await self._everybody(edition, joined)
        except BaseException as error:  # noqa: BLE001 - raised again, at least
            sockets.abandon()
            await self._fleet.abort(joined)
            raise _refusal(edition, error) from None
        return Prepared(edition, sockets, joined, answers)

    async def _everybody(self, edition: Edition, joined: list[WorkerProcess]) -> list[PreparedToServe]:
        """Let all able workers prepare, and start a new worker in the place of each other one.

        Otherwise a stuck worker would make a reload fail that may repair it. Returns the answers of
        the workers, and adds the new workers to `joined`.
        """
        staying = self._fleet.able(edition.worker_count)
        taken = {one.slot for one in staying}
        vacant = [slot for slot in range(edition.worker_count) if slot not in taken]
        answers: list[PreparedToServe] = []
        while vacant or staying:
            new, said = await self._fleet.join(edition, vacant)
            joined += new
            more, silent = await self._fleet.prepare(staying, edition)
            answers += said + more
            staying, vacant = [], [one.slot for one in silent]
        return answers

    def lacks_sockets(self, edition: Edition) -> bool:
        """Whether an address has fewer sockets than there are workers."""
        return any(len(one.by_slot) < edition.worker_count for one in self._sockets.bound)

    async def commit(self, prepared: Prepared) -> None:
        """Let all workers serve by the prepared edition."""
        gone = prepared.sockets.commit()
        await self._fleet.commit(prepared.edition, prepared.joined, prepared.edition.worker_count)
        for address in gone:
            address.close()

    async def abandon(self, prepared: Prepared) -> None:
        """Undo what was prepared."""
        prepared.sockets.abandon()
        await self._fleet.abort(prepared.joined)


def _refusal(edition: Edition, error: BaseException) -> BaseException:
    """Translate an error of preparing into problems of the file. Others stay as they are."""
    file = edition.loaded.file.path
    match error:
        case QuestionRefused(reason=ConfigurationRefused(problems)):
            return ConfigError(problems)
        case QuestionRefused(reason=OtherVersion()):
            found, allowed = f"a worker of another version: {error}", "a restart of Plexigate"
        case QuestionRefused():
            found, allowed = f"a worker that failed: {error}", "a worker that starts"
        case ChannelLost():
            found, allowed = "a worker that ended while it prepared", "workers that live: the log says how it ended"
        case TimeoutError():
            seconds = edition.loaded.config.reload_seconds
            found = f"a worker that was not ready after {seconds:g} s"
            allowed = "files and tokens that answer, or a longer reload_timeout"
            return NotReady([Problem(str(file), "", found, allowed)])
        case OSError():
            found, allowed = f"no room for another process: {error.strerror}", "fewer workers, or higher limits"
        case _:
            return error
    return ConfigError([Problem(str(file), "", found, allowed)])


def _bind_problem(edition: Edition, error: BindFailed) -> Problem:
    index = list(edition.binds[error.listener]).index(error.bind)
    place: Location = ("listener", error.listener, "bind")
    if error.listener == PLAIN_LISTENER:
        config = edition.loaded.config
        place = plain_bind_place(config.plain, config.acme)
    return edition.loaded.file.error((*place, index), error.found, error.allowed)


def changes_between(old: Edition, new: Edition) -> tuple[Change, ...]:
    """What a reload from one edition to another changes."""
    changed = {
        file.key: "new content"
        for file in files_of(new.loaded)
        if (path := str(file.path)) in old.material and _digest(old, path) != _digest(new, path)
    }
    return diff(old.loaded.config, new.loaded.config, changed)


def restart_problems(changes: Sequence[Change], edition: Edition) -> list[Problem]:
    """Changes that a running proxy cannot make."""
    return [
        edition.loaded.file.positions.located(
            Problem(
                str(edition.loaded.file.path),
                change.key,
                f"a change that needs a restart ({change.summary})",
                "a restart (systemctl restart plexigate), or the value before",
            )
        )
        for change in changes
        if change.kind is EffectKind.RESTART
    ]


def _digest(edition: Edition, path: str) -> bytes:
    one = edition.material.get(path)
    return b"" if one is None else hashlib.sha256(one.content).digest()


def report_of(served: Edition, changes: Sequence[Change], problems: Sequence[Problem], *, ok: bool) -> ReloadReport:
    """The outcome of a reload. `served` is the edition that serves after it."""
    shown = [change.as_json() for change in changes], [problem.as_json() for problem in problems]
    return ReloadReport(ok, *shown, served.number)
