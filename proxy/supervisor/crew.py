"""The workers, what each must know beside its edition, and what the parent keeps of ended ones."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from proxy.figures.snapshot import Counts
from proxy.limits.rates import FleetLimit
from proxy.net.tasks import Tasks
from proxy.observe.counts.merging import Retained
from proxy.observe.events.event import Event, Tell
from proxy.processes.messages.questions import Begin, KnownBeside, ShowAlternatives, ShowShares
from proxy.processes.messages.version import VERSION
from proxy.signing.breaker import BreakerState
from proxy.supervisor.adopting import Adopting
from proxy.supervisor.auditing import Auditing
from proxy.supervisor.log_target import LogTarget
from proxy.supervisor.maintenance import Maintenance
from proxy.supervisor.proofs import Proofs
from proxy.supervisor.reporting import wall_clock
from proxy.supervisor.secrets.audit_trail import AuditTrail
from proxy.supervisor.servers import Servers
from proxy.supervisor.tokens.tokens import ParentTokens
from proxy.supervisor.workers.columns import Columns
from proxy.supervisor.workers.process import WorkerProcess
from proxy.supervisor.workers.sockets import BoundAddress, ListeningSockets
from proxy.supervisor.workers.workforce import Workforce

if TYPE_CHECKING:
    from proxy.supervisor.membership.kinds.orders import Ordered


class Crew:
    """Implements `workers.contracts.WorkforceOwner` with the parts that talk to workers."""

    def __init__(  # noqa: PLR0913 - what workers share with the parent
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        sockets: ListeningSockets,
        log: LogTarget,
        tell: Tell,
        trail: AuditTrail,
        worker_count: int,
    ) -> None:
        """Makes an empty workforce. The first edition has `worker_count` workers."""
        self.sockets: Final = sockets
        self._log = log
        self._tell = tell
        self._columns = Columns(worker_count)
        self.retained: Final = Retained()
        """The counts of workers that ended."""
        self.workforce: Final = Workforce(loop, tasks, self)
        self.auditing: Final = Auditing(trail.tell, self.workforce.scrape)
        self.servers: Final = Servers(loop, tasks, self.workforce, tell)
        self.tokens: Final = ParentTokens(loop, tasks, self.workforce, tell, self.auditing.pin_tried)
        self.proofs: Final = Proofs(loop, self.workforce, tell)
        self.maintenance: Final = Maintenance(loop, self.workforce, tell)
        self.adopting: Final = Adopting(loop, self.workforce.scrape, self.retained, tell, wall_clock)
        self._is_resting = False
        self.shares: Mapping[str, float] = {}
        """What this node has of the limits of its fleet."""
        self.alternatives: Mapping[str, bytes] = {}
        """What answers say about HTTP/3, by listener."""

    async def rest(self) -> None:
        """Accept nothing more: another process accepts on the same sockets. Connections stay."""
        self._is_resting = True
        await self.workforce.offer()

    async def resume(self) -> None:
        if self._is_resting:
            self._is_resting = False
            await self.workforce.offer()
            await self.workforce.assign()

    async def follow_fleet(self, ordered: "Ordered") -> None:
        """Obey these orders of the fleet, and no others. Raises `OSError`."""
        await self.servers.follow_fleet(ordered.drains)
        await self.maintenance.follow_fleet(ordered.routes)

    async def keep_to(self, shares: Mapping[str, float]) -> None:
        """Let all workers keep to these shares of the limits of the fleet."""
        self.shares = shares
        await self.workforce.tell_all(ShowShares(shares))

    async def say(self, alternatives: Mapping[str, bytes]) -> None:
        """Let all workers tell clients these values of Alt-Svc, by listener."""
        self.alternatives = alternatives
        await self.workforce.tell_all(ShowAlternatives(alternatives))

    def used(self, limit: FleetLimit) -> int:
        """What the clients of this node use of a limit: connections that are open, or requests so
        far.
        """
        table = self._columns.table
        return table.wanted(limit.name) if limit.listener is None else table.open_at(limit.listener)

    def close(self) -> None:
        """Close what the workers share. All workers have ended."""
        for one in (self.sockets, self._columns, self.tokens):
            one.close()

    # -- what the workforce needs

    @property
    def bound(self) -> Iterable[BoundAddress]:
        """The addresses that workers accept on, with their sockets."""
        return () if self._is_resting else self.sockets.bound

    def known(self) -> KnownBeside:
        """What a worker must know of servers, tokens and routes, and the challenges for CAs."""
        return KnownBeside(
            self.servers.verdicts.all,
            self.proofs.challenges.shown,
            tuple(self.tokens.refused),
            self.maintenance.shown,
            ShowShares(self.shares),
            ShowAlternatives(self.alternatives),
        )

    def beginning(self, worker: WorkerProcess) -> tuple[Begin, Sequence[int]]:
        """The first question to a new worker, and three descriptors.

        They are the log, the table of figures and the turns to log in to tokens.
        """
        begin = Begin(VERSION, self._columns.take(worker), self._log.settings, worker.slot)
        return begin, [self._log.descriptor, self._columns.descriptor, self.tokens.turns.fd]

    def tell(self, event: Event) -> None:
        self._tell(event)

    def breaker_changed(self, worker: WorkerProcess, token: str, state: BreakerState) -> None:
        """A worker stops trusting a token, or trusts it again. The worker has logged that."""
        self.tokens.breaker_changed(worker, token, state)
        self.auditing.breaker_changed(worker, token, state)

    def counts(self) -> Counts:
        """The counts since the first start, as another process may inherit them."""
        kept = Retained()
        kept.inherit(self.retained.snapshot)
        for worker in (*self.workforce.workers, *self.workforce.leaving):
            if worker.last is not None:
                kept.keep(worker.last.snapshot, worker.last.servers)
        return kept.snapshot

    def worker_gone(self, worker: WorkerProcess) -> None:
        """Keep the counts of a worker that ended, and free what it had taken."""
        self.auditing.worker_gone(worker)
        self._columns.give_back(worker)
        self.tokens.worker_gone(worker)
        if worker.last is not None:
            self.retained.keep(worker.last.snapshot, worker.last.servers)
