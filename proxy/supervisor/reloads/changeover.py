"""A change of edition in two phases: all workers prepare it, then all serve by it, or none does.

Every edition comes into service here: at a start, by a reload, and with new secrets. What serves
now is left as it is until the last worker has said yes. Preparing makes sockets for new addresses
and workers for new slots. They are removed if a worker says no, if a worker is lost, or if the time
is over. All workers then serve by the edition before.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from certs.storage.served import ServedFile
from config.values.problems import ConfigError, Problem
from proxy.admin.requests.contracts import ReloadReport
from proxy.net.in_thread import in_thread
from proxy.processes.messages.answers import PreparedToServe
from proxy.supervisor.auditing import Auditing
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.editions.issued import as_material
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.announcements import Announcements
from proxy.supervisor.reloads.refusals import (
    NotReady,
    bind_problem,
    changes_between,
    refusal,
    report_of,
    restart_problems,
)
from proxy.supervisor.servers import Servers
from proxy.supervisor.shared_log import SharedLog
from proxy.supervisor.tokens.tokens import ParentTokens
from proxy.supervisor.workers.process import WorkerProcess
from proxy.supervisor.workers.sockets import BindFailed, ListeningSockets, PreparedSockets, addresses_of
from proxy.supervisor.workers.workforce import Workforce

if TYPE_CHECKING:
    from config.diff import Change


class Reread(Protocol):
    def __call__(self, *, dry_run: bool) -> Awaitable[Edition]:
        """Read the next edition. A dry run makes nothing. Raises `ConfigError`."""


Renew = Callable[[Callable[[Edition, int], Edition], Callable[[Edition], None]], Awaitable[None]]


class Standstill:
    """The configuration and the secrets of the proxy do not change while it is held.

    One upgrade at a time holds it, from the moment when the new process begins to read them.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        """Why nothing changes, in a sentence. None while everything moves."""
        self.reloads = 0
        """Reloads that were asked for without a command, and have not ended."""
        self._moves = asyncio.Event()
        self._moves.set()

    def begin(self, reason: str) -> None:
        self.reason = reason
        self._moves.clear()

    def end(self) -> None:
        self.reason = None
        self._moves.set()

    @asynccontextmanager
    async def moving(self, lock: asyncio.Lock) -> AsyncIterator[None]:
        """Hold the lock, at a moment at which the standstill is not held."""
        while True:
            await self._moves.wait()
            async with lock:
                if self.reason is None:
                    yield
                    return


class Takeover(Protocol):
    """The part of an upgrade that a start waits for."""

    @property
    def wants_reload(self) -> bool:
        """Whether a reload was asked for meanwhile."""

    async def take(self) -> None:
        """All workers are ready. Wait until they may serve beside those of the older process."""

    async def prove(self) -> None:
        """All workers serve. Wait until the older process is no longer needed."""


@dataclass(frozen=True, slots=True)
class ChangingParts:
    """The parts of the parent that an edition changes."""

    workforce: Workforce
    sockets: ListeningSockets
    servers: Servers
    tokens: ParentTokens
    auditing: Auditing
    log: SharedLog
    announcements: Announcements
    warn: Callable[[Iterable[Problem]], None]
    """Logs the warnings about an edition."""
    settle: Callable[[Edition], None]
    """Keeps the locks on the state of this edition, and releases those that only another wanted."""
    followed: Callable[[Edition], Awaitable[None]]
    """Is called after an edition with changed files has come into service."""


@dataclass(slots=True)
class Prepared:
    """An edition that every worker has prepared."""

    edition: Edition
    sockets: PreparedSockets
    joined: list[WorkerProcess]
    answers: list[PreparedToServe]


class Changeover:
    """Brings editions to the workers, one at a time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, served: ServedEdition, parts: ChangingParts, reread: Reread
    ) -> None:
        self._loop = loop
        self._served = served
        self._parts = parts
        self._reread = reread
        self.editing: Final = parts.workforce.editing
        """Held from `prepare` until `commit` or `abandon`."""
        self.standstill: Final = Standstill()

    def changing(self) -> AbstractAsyncContextManager[None]:
        """Hold `editing` for a change of configuration or secrets, not during a standstill."""
        return self.standstill.moving(self.editing)

    # -- a start

    async def start(self, takeover: Takeover | None = None) -> None:
        """Serve by the first edition, perhaps in place of an older process.

        Raises `ConfigError` after it has ended all workers.
        """
        async with self.editing:
            edition = self._served.edition
            await self._parts.tokens.begin(edition)
            prepared = await self.prepare_first(edition)
            if takeover is not None:
                await self._take(takeover, prepared)
            await self.commit(prepared)
        if takeover is not None:
            await takeover.prove()
            await self._complete(edition)
        self._parts.settle(edition)
        await self._parts.followed(edition)

    async def prepare_first(self, edition: Edition) -> Prepared:
        """Let all workers prepare at a start. It serves what it can if a token hangs.

        A token that hangs may hold OpenSSL's provider, and so a whole worker, in its module.
        Workers then begin without this module.
        """
        try:
            return await self.prepare(edition)
        except NotReady:
            if not self._parts.tokens.leave_module(edition.identities.tokens):
                raise
        return await self.prepare(edition)

    async def _take(self, takeover: Takeover, prepared: Prepared) -> None:
        try:
            await takeover.take()
        except BaseException:
            await self.abandon(prepared)
            raise

    async def _complete(self, edition: Edition) -> None:
        """Make the sockets that were left out while an older process accepted beside this one."""
        if all(len(one.by_slot) >= edition.worker_count for one in self._parts.sockets.bound):
            return
        try:
            async with self.changing():
                complete = replace(edition, number=self._served.next_number())
                await self._commit_renewed(await self.prepare(complete))
        except ConfigError as error:  # the sockets that are there serve
            self._parts.warn(error.problems)

    # -- a reload

    async def reload_by(self, cause: str) -> None:
        """Reload without a command. The log has the `cause` and the result."""
        self._parts.announcements.begun(cause)
        self.standstill.reloads += 1
        try:
            await self.reload(dry_run=False)
        finally:
            self.standstill.reloads -= 1

    async def reload(self, *, dry_run: bool) -> ReloadReport:
        """Read the configuration again and serve by it. A dry run only reports what would change.

        If the reload fails, the old edition continues to serve.
        """
        announcements = self._parts.announcements
        changes: Sequence[Change] = ()
        announced = contextlib.nullcontext() if dry_run else announcements.to_service_manager()
        async with self.changing():
            with announced:
                try:
                    edition = await self._reread(dry_run=dry_run)
                    changes = changes_between(self._served.edition, edition)
                    problems = restart_problems(changes, edition)
                    if problems:
                        raise ConfigError([*edition.warnings, *problems])  # noqa: TRY301 - reported as all others are
                    async with self._parts.tokens.changing_to(edition):
                        await (self._try(edition) if dry_run else self._bring(edition))
                except ConfigError as error:
                    if not dry_run:
                        announcements.failed(error)
                    return report_of(self._served.edition, changes, error.problems, ok=False)
                finally:
                    self._parts.settle(self._served.edition)
        if not dry_run:
            await self._parts.followed(edition)
            announcements.succeeded(edition, changes)
        return report_of(self._served.edition, changes, edition.warnings, ok=True)

    async def _try(self, edition: Edition) -> None:
        # the log is not opened, which would make its file: the judge has looked at its place
        await self.abandon(await self.prepare(edition))

    async def _bring(self, edition: Edition) -> None:
        log = self._parts.log
        place = log.prepare(edition.loaded.file, edition.loaded.config.log)
        try:
            prepared = await self.prepare(edition)
            await self.commit(prepared)
            await log.use(place)
        finally:
            place.close()

    # -- new secrets

    async def renew(self, change: Callable[[Edition, int], Edition], keep: Callable[[Edition], None]) -> None:
        """Serve by the edition that `change` makes, after `keep` has written its secrets to disk.

        No file is read again. Both run in a thread. Raises `ConfigError`, or what `change` and
        `keep` raise. The old edition then continues to serve.
        """
        async with self.changing():
            before = self._served.edition
            number = self._served.next_number()
            edition = await in_thread(self._loop, lambda: change(before, number))
            prepared = await self.prepare(edition)
            try:
                await in_thread(self._loop, lambda: keep(edition))
            except BaseException:
                await self.abandon(prepared)
                raise
            await self._commit_renewed(prepared)

    async def swap(self, files: Mapping[Path, ServedFile], decide: Callable[[], None]) -> None:
        """Serve by another version of an issued credential, see `rotation.running.Swap`."""
        material = as_material(files)
        # `decide` runs between the phases. A process that ends before it starts again with the old
        # version. A process that ends after it starts again with the new one.
        await self.renew(lambda edition, number: edition.with_issued(number, material), lambda _: decide())

    # -- the two phases

    async def prepare(self, edition: Edition) -> Prepared:
        """Let all workers prepare. Raises `ConfigError` after it has undone what was prepared."""
        workforce = self._parts.workforce
        slots = max(edition.worker_count, workforce.slots_with_sockets, self._parts.sockets.slots)
        try:
            sockets = self._parts.sockets.prepare(addresses_of(edition.binds, edition.with_http3), slots)
        except BindFailed as error:
            raise ConfigError([bind_problem(edition, error)]) from None
        joined: list[WorkerProcess] = []
        try:
            async with asyncio.timeout(edition.loaded.config.reload_seconds):
                answers = await self._everybody(edition, joined)
        except BaseException as error:  # noqa: BLE001 - raised again, at least
            sockets.abandon()
            await workforce.abort(joined)
            raise refusal(edition, error) from None
        return Prepared(edition, sockets, joined, answers)

    async def _everybody(self, edition: Edition, joined: list[WorkerProcess]) -> list[PreparedToServe]:
        """Let all able workers prepare, and start a new worker in place of each other one.

        Otherwise a stuck worker would make a reload fail that may repair it. Returns the answers of
        the workers, and adds the new workers to `joined`.
        """
        workforce = self._parts.workforce
        staying = workforce.able(edition.worker_count)
        taken = {one.slot for one in staying}
        vacant = [slot for slot in range(edition.worker_count) if slot not in taken]
        answers: list[PreparedToServe] = []
        while vacant or staying:
            new, said = await workforce.join(edition, vacant)
            joined += new
            more, silent = await workforce.prepare(staying, edition)
            answers += said + more
            staying = []
            vacant = [one.slot for one in silent]
        return answers

    async def commit(self, prepared: Prepared) -> None:
        edition = prepared.edition
        # before the workers change over: see `Servers.follow`
        self._parts.servers.follow(edition.servers, edition.checks)
        self._follow_tokens(edition)
        await self._serve_by(prepared)
        self._parts.warn([*edition.warnings, *prepared.answers[0].warnings])

    async def _commit_renewed(self, prepared: Prepared) -> None:
        """Serve by the same configuration with other secrets. Its servers are unchanged."""
        await self._serve_by(prepared)
        self._follow_tokens(prepared.edition)

    def _follow_tokens(self, edition: Edition) -> None:
        self._parts.tokens.follow(edition.identities.tokens, edition.identities.in_tokens)

    async def _serve_by(self, prepared: Prepared) -> None:
        gone = prepared.sockets.commit()
        await self._parts.workforce.commit(prepared.edition, prepared.joined, prepared.edition.worker_count)
        for address in gone:
            address.close()
        self._served.edition = prepared.edition
        self._served.changed.set()
        self._served.offers = prepared.answers[0].offers
        self._parts.auditing.follow(prepared.edition)

    async def abandon(self, prepared: Prepared) -> None:
        prepared.sockets.abandon()
        await self._parts.workforce.abort(prepared.joined)
