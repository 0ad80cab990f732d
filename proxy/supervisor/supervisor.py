"""The parent: holds the sockets, leads the workers, obeys signals. No byte of a client passes through it."""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from certs.rotation.parts import Parts, parts_of
from certs.storage.served import ServedFile
from config.problems import ConfigError, Problem
from config.watching import FileWatcher
from proxy.admin.contracts import ReloadReport
from proxy.figures.totals import how_many, summary, totals
from proxy.net.in_thread import tell_loop
from proxy.net.tasks import Tasks
from proxy.observe.merging import Retained
from proxy.observe.startup import Offers, ready_event, ready_lines
from proxy.processes.channel import Body
from proxy.processes.systemd import Notifier
from proxy.rotation.clocks import CLOCKS
from proxy.rotation.rotating import Rotating
from proxy.signing.breaker import BreakerState
from proxy.supervisor.auditing import Auditing
from proxy.supervisor.editions.edition import Edition, reread_edition
from proxy.supervisor.log_target import LogTarget
from proxy.supervisor.proofs import Proofs
from proxy.supervisor.reloads.payload_rotation import PayloadRotation
from proxy.supervisor.reloads.reloading import Prepared, Reloading, changes_between, report_of, restart_problems
from proxy.supervisor.reloads.renewal import Renewal
from proxy.supervisor.reloads.swaps import swap_issued
from proxy.supervisor.reloads.ticket_rotation import TicketRotation
from proxy.supervisor.reloads.unsealing import Unsealing
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from proxy.supervisor.servers import Servers
from proxy.supervisor.tokens.tokens import ParentTokens
from proxy.supervisor.workers.columns import Columns
from proxy.supervisor.workers.fleet import Fleet
from proxy.supervisor.workers.process import WorkerProcess
from proxy.supervisor.workers.sockets import BoundAddress, ListeningSockets

if TYPE_CHECKING:
    from config.diff import Change

# How long "ready" waits for certificates that are not there yet: an internal CA takes a moment, others minutes.
_FIRST_ROUND_SECONDS: Final = 10.0


class Supervisor:
    """Runs one edition after the other until a signal ends it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        edition: Edition,
        sockets: ListeningSockets,
        log: LogTarget,
        notifier: Notifier,
        safe: Safe | None = None,
    ) -> None:
        """Nothing is served before `start`. `safe` is where `edition` has its tickets from; its audit log is open."""
        self.loop = loop
        self.edition = edition
        """What is served."""
        self._number = edition.number
        self.sockets = sockets
        self._log = log
        self._notifier = notifier
        self._safe = safe or Safe(now_in_utc)
        self._tasks = Tasks(loop, self.unexpected)
        self.fleet = Fleet(loop, self._tasks, self)
        self.auditing = Auditing(self._safe.trail, self.fleet)
        self._safe.trail.report_to(lambda event, line: tell_loop(loop, self.tell, event, line))
        self._reloading = Reloading(loop, self.fleet, sockets)
        self._renew = Renewal(loop, self.fleet, self._reloading, self)
        self.tickets = TicketRotation(self._renew, self._safe, self)
        self.unsealing = Unsealing(loop, self._renew, self._safe, self)
        self.offers: Offers | None = None
        self.reloads: Counter[str] = Counter()
        self.retained = Retained()
        self.started_at = wall_clock()
        self._stop, self._stop_now = asyncio.Event(), asyncio.Event()
        self.phase: str | None = "has not begun to serve: it starts"
        self._columns = Columns(edition.worker_count)
        self._watcher = FileWatcher(edition.loaded.path, self._files_changed)
        self._watching: asyncio.Task[None] | None = None
        self.servers = Servers(loop, self._tasks, self.fleet, self.tell)
        self.tokens = ParentTokens(loop, self._tasks, self.fleet, self.tell, self.auditing.pin_tried)
        self.proofs = Proofs(loop, self.fleet, self.tell)
        self.rotating = Rotating(loop, self._tasks, self, CLOCKS)
        self.payload = PayloadRotation(loop, self, self._renew, self._safe, wall_clock)

    # -- what the fleet needs

    @property
    def bound(self) -> Iterable[BoundAddress]:
        """The sockets there are."""
        return self.sockets.bound

    def known(self) -> Body:
        """What is known about servers and tokens, and what CAs may be shown now."""
        return {
            "verdicts": self.servers.verdicts.as_json(),
            "challenges": self.proofs.challenges.as_json(),
            "refused_tokens": list(self.tokens.refused),
        }

    def beginning(self, worker: WorkerProcess) -> tuple[Body, Sequence[int]]:
        """Tell a new worker who it is, where it writes, where it counts and takes turns, and what is known about servers."""
        column = self._columns.take(worker)
        body = {"slot": worker.slot, "column": column, **self._log.as_json()}
        return body, [self._log.descriptor, self._columns.descriptor, self.tokens.turns.fd]

    def tell(self, event: dict[str, Any], line: str) -> None:
        """Log something about the process."""
        self._log.log.event(wall_clock(), event, [line])

    def breaker_changed(self, worker: WorkerProcess, token: str, state: BreakerState) -> None:
        """A worker trusts a token no more, or again, which it has logged."""
        self.tokens.breaker_changed(worker, token, state)
        self.auditing.breaker_changed(worker, token, state)

    def worker_gone(self, worker: WorkerProcess) -> None:
        """Keep what a worker had counted, and forget what it had open."""
        self.auditing.worker_gone(worker)
        self._columns.give_back(worker)
        self.tokens.worker_gone(worker)
        if worker.last is not None:
            self.retained.keep(worker.last["snapshot"], worker.last["servers"])

    # -- the life of the process

    async def start(self, metrics: Sequence[str]) -> None:
        """Serve; `metrics` are the addresses where figures are read, for the report. Raises `ConfigError`; nothing is left then."""
        async with self.fleet.editing:
            await self.tokens.begin(self.edition)
            tokens = self.edition.tokens
            prepared = await self._reloading.prepare_first(self.edition, lambda: self.tokens.leave_module(tokens))
            await self._commit(prepared)
        await self.rotating.follow(self._parts(self.edition))
        self._tasks.start(self.rotating.run())
        await self.rotating.first_round(_FIRST_ROUND_SECONDS)
        self.phase = None
        offers, addresses = self.offers, self.sockets.by_listener
        assert offers is not None  # of the commit
        workers = len(self.fleet.workers)
        self._log.log.event(
            wall_clock(),
            ready_event(offers, addresses, metrics, workers),
            ready_lines(offers, addresses, metrics, workers),
        )
        for name, address in self.sockets.unused:
            self.tell(
                {"event": "socket_unused", "name": name, "address": address},
                f"the socket {name} at {address}, which the service manager made, belongs to no listener: "
                "its clients wait in vain; a listener of this name or address takes it",
            )
        self._notifier.ready(f"serving with {how_many(workers, 'worker')}")

    async def run(self, watchdog_seconds: float | None) -> None:
        """Serve until SIGTERM or SIGINT, then drain; a second one ends at once. SIGHUP reloads, SIGUSR1 reopens the log."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self._asked_to_stop)
        self.loop.add_signal_handler(signal.SIGHUP, lambda: self._tasks.start(self._reload_by("SIGHUP")))
        self.loop.add_signal_handler(signal.SIGUSR1, lambda: self._tasks.start(self._reopen_log()))
        self._tasks.start(self.tickets.run())
        self._tasks.start(self.unsealing.run())
        self._tasks.start(self.auditing.run(self.edition.loaded.config.audit.totals_seconds))
        self._tasks.start(self.payload.run())
        if watchdog_seconds is not None:
            self._tasks.start(self._notifier.feed(watchdog_seconds / 2))
        await self._stop.wait()
        self.phase = "ends: clients go elsewhere"
        self._notifier.stopping()
        await (self.fleet.let_go() if self.sockets.are_kept else self._drain())
        counted = self.retained.total([])
        self.tell({"event": "stopped", **totals(counted)}, f"stopped: {summary(counted)}")

    def _asked_to_stop(self) -> None:
        (self._stop_now if self._stop.is_set() else self._stop).set()

    async def _drain(self) -> None:
        # whoever comes now is refused at once, and goes elsewhere: the workers empty what they accept on, and close it too
        self.sockets.close()
        ending = self.loop.create_task(self.fleet.end())
        impatience = self.loop.create_task(self._stop_now.wait())
        await asyncio.wait({ending, impatience}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            await self.fleet.end_now()
            await ending
        impatience.cancel()

    async def close(self) -> None:
        """Leave nothing running and nothing open."""
        await self.fleet.close()
        await self._tasks.cancel_all()
        for one in (self.sockets, self._columns, self.tokens):
            one.close()

    # -- editions

    async def reload(self, *, dry_run: bool) -> ReloadReport:
        """Read the configuration again and serve by it, or only say what would change; one failure and nothing changes."""
        changes: Sequence[Change] = ()
        async with self.fleet.editing, self._announced(dry_run=dry_run):
            try:
                edition = await reread_edition(
                    self.loop, self.edition, self.next_number(), self._safe, self._watcher.reloading
                )
                changes = changes_between(self.edition, edition)
                problems = restart_problems(changes, edition)
                if problems:
                    raise ConfigError([*edition.warnings, *problems])  # noqa: TRY301 - one way out for all that stands against it
                async with self.tokens.changing_to(edition):
                    await self._serve_by(edition, dry_run=dry_run)
            except ConfigError as error:
                self._told_failure(error, dry_run=dry_run)
                return report_of(self.edition, changes, error.problems, ok=False)
        if not dry_run:
            await self.rotating.follow(self._parts(edition))
            self.reloads["ok"] += 1
            count = len(changes)
            event = {"event": "reloaded", "generation": edition.number, "changes": [str(one) for one in changes]}
            self.tell(event, f"reloaded: {how_many(count, 'change')}, generation {edition.number}")
        return report_of(self.edition, changes, edition.warnings, ok=True)

    async def _serve_by(self, edition: Edition, *, dry_run: bool) -> None:
        place = self._log.prepare(edition.loaded)
        try:
            prepared = await self._reloading.prepare(edition)
            if dry_run:
                await self._reloading.abandon(prepared)
                return
            await self._commit(prepared)
            if self._log.use(place):
                await self._tell_log()
        finally:
            place.close()

    @contextlib.asynccontextmanager
    async def _announced(self, *, dry_run: bool) -> Any:
        """Tell the service manager about a reload (sd_notify(3): RELOADING=1, then READY=1, whatever came of it).

        `systemctl reload` cannot fail by that, so `systemctl status` has to tell.
        """
        failed = self.reloads["failed"]
        if not dry_run:
            self._notifier.reloading(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000)
        try:
            yield
        finally:
            if not dry_run:
                verdict = "" if self.reloads["failed"] == failed else "the last reload was refused, see the log; "
                workers, number = len(self.fleet.workers), self.edition.number
                self._notifier.ready(f"{verdict}serving with {how_many(workers, 'worker')}, generation {number}")

    def _told_failure(self, error: ConfigError, *, dry_run: bool) -> None:
        if dry_run:
            return
        self.reloads["failed"] += 1
        problems = [problem for problem in error.problems if problem.is_error]
        event = {"event": "reload_failed", "problems": [problem.as_json() for problem in problems]}
        self.tell(event, "reload failed, the old configuration goes on: " + "; ".join(map(str, problems)))

    async def _commit(self, prepared: Prepared) -> None:
        edition = prepared.edition
        self.servers.follow(edition.servers, edition.checks)
        self.tokens.follow(edition.tokens, edition.identities_in_tokens)
        self.offers = Offers.from_json(prepared.answers[0]["offers"])
        await self._reloading.commit(prepared)
        self.edition = edition
        self.auditing.follow(edition)
        warnings = [*edition.warnings, *map(Problem.from_json, prepared.answers[0]["warnings"])]
        for warning in {(one.key, one.found): one for one in warnings}.values():
            self._log.log.event(wall_clock(), {"event": "warning", **warning.as_json()}, [str(warning)])
        self._watch_files()

    def _parts(self, edition: Edition) -> Parts | None:
        vault, told = self._safe.vault(edition.loaded), self._safe.trail.operation
        return parts_of(edition.loaded, CLOCKS.wall, showing=self.proofs.showing, vault=vault, told=told)

    def _watch_files(self) -> None:
        wanted = self.edition.loaded.config.watch
        if wanted and self._watching is None:
            self._watching = self._tasks.start_to_cancel(self._watcher.run())
        elif not wanted and self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _files_changed(self) -> None:
        # a task of its own: a reload may end the watching, and must not be ended in its middle by that
        self._tasks.start(self._reload_by("a change of a file"))

    async def _reload_by(self, cause: str) -> None:
        self.tell({"event": "reloading", "cause": cause}, f"reloading: {cause}")
        await self.reload(dry_run=False)

    async def swap_issued(self, files: Mapping[Path, ServedFile], decide: Callable[[], None]) -> None:
        """Serve by another version of an issued credential, in all workers or in none; see `rotation.running.Host`."""
        await swap_issued(self._renew, files, decide)

    def next_number(self) -> int:
        """The number of an edition that has none yet."""
        self._number += 1
        return self._number

    def served(self, prepared: Prepared) -> None:
        """An edition that differs in secrets only serves in all workers."""
        self.edition = prepared.edition
        self.offers = Offers.from_json(prepared.answers[0]["offers"])
        self.tokens.follow(prepared.edition.tokens, prepared.edition.identities_in_tokens)
        self.auditing.follow(prepared.edition)

    def tickets_rotated(self) -> None:
        """Say so."""
        self.auditing.tickets_rotated()
        self.tell({"event": "tickets_rotated"}, "session ticket keys rotated")

    # -- the log

    async def _reopen_log(self) -> None:
        """Open the file of the log anew (logrotate); if that fails, the old one is kept."""
        try:
            self._log.reopen()
        except OSError as error:
            self.tell({"event": "log_not_reopened", "detail": str(error)}, f"the log could not be reopened: {error}")
        else:
            await self._tell_log()

    @property
    def log_losses(self) -> tuple[int, int]:
        """Lines of this process that were lost, and attempts to write or to open the log that failed."""
        return self._log.losses()

    async def _tell_log(self) -> None:
        await self.fleet.tell_all("log", self._log.as_json(), [self._log.descriptor])

    def unexpected(self, error: BaseException) -> None:
        """Report an error that nobody has foreseen; the rest goes on."""
        name = type(error).__name__
        self.tell({"event": "error", "error": name, "detail": str(error)}, f"unexpected {name}: {error}")


def wall_clock() -> float:
    """UNIX seconds, for logs and figures."""
    return time.time()  # noqa: TID251 - a driver
