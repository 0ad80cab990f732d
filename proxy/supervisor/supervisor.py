"""The parent process: it holds the sockets, leads the workers and obeys signals.

The data of clients goes only through the workers. This module is the life of the parent: it starts,
serves, drains and closes. `reloads/` changes editions, `crew` has what the workers share, and
`control/` answers the admin server. Each of these gets what it uses. None of them knows the
`Supervisor`.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from certs.rotation.parts import parts_of
from proxy.admin.requests.contracts import Control
from proxy.figures.totals import totals
from proxy.net.in_thread import in_thread, tell_loop
from proxy.net.tasks import Tasks, report_callbacks
from proxy.observe.events.process import ProxyReady, SocketUnused, Stopped
from proxy.observe.status import signatures
from proxy.processes.systemd import Notifier
from proxy.quic.doors import http3_doors
from proxy.quic.probing import probe
from proxy.rotation.clocks import CLOCKS
from proxy.rotation.rotating import Rotating
from proxy.supervisor.alerts.alerting import Alerting, WatchedProxy
from proxy.supervisor.alerts.settings import AlertSettings
from proxy.supervisor.control.ability import Ability
from proxy.supervisor.control.certificate_control import RotationControl
from proxy.supervisor.control.inspection import Inspection, WorkerKeyTrial
from proxy.supervisor.control.maintenance_control import SupervisorMaintenance
from proxy.supervisor.control.payload_control import SupervisorPayload
from proxy.supervisor.control.scraping import Scraping, listener_facts
from proxy.supervisor.crew import Crew
from proxy.supervisor.editions.edition import Edition, reread_edition
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.http3 import Http3Offers
from proxy.supervisor.log_target import LogTarget
from proxy.supervisor.reloads.announcements import Announcements
from proxy.supervisor.reloads.changeover import Changeover, ChangingParts, Takeover
from proxy.supervisor.reloads.fetched_lists import FetchedLists
from proxy.supervisor.reloads.payload_rotation import PayloadRotation
from proxy.supervisor.reloads.sealing_renewal import SealingRenewal
from proxy.supervisor.reloads.ticket_rotation import TicketRotation
from proxy.supervisor.reloads.unsealing import Unsealing
from proxy.supervisor.reloads.watching import Watching
from proxy.supervisor.reporting import Reporting, wall_clock
from proxy.supervisor.secrets.audit_trail import AuditTrail
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from proxy.supervisor.secrets.ticket_record import TicketRecord
from proxy.supervisor.servers import ServerControl
from proxy.supervisor.shared_log import SharedLog
from proxy.supervisor.stopping import Stopping
from proxy.supervisor.upgrade.handover import HandedState
from proxy.supervisor.upgrade.memory import ParentMemory
from proxy.supervisor.upgrade.upgrading import Upgrading
from proxy.supervisor.workers.sockets import ListeningSockets
from proxy.trust.log_watch import LogWatch

if TYPE_CHECKING:
    from certs.hierarchy.vault import Vault
    from proxy.supervisor.control.fleet_control import SupervisorFleet

# How long "ready" waits for missing certificates: an internal CA takes a moment, other CAs minutes.
_FIRST_ROUND_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 60.0
"""After an unexpected error in work that runs for as long as the process."""


class Supervisor:
    """Puts the parts of the parent together, and runs them until a signal comes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        edition: Edition,
        sockets: ListeningSockets,
        log: LogTarget,
        notifier: Notifier,
        safe: Safe | None = None,
    ) -> None:
        """The proxy serves from `start` on. Raises `ConfigError`.

        `safe` has given `edition` its ticket secrets. Its audit log is open.
        """
        safe = safe or Safe(now_in_utc)
        self._loop = loop
        self._notifier = notifier
        self.stopping: Final = Stopping()
        self.phase: str | None = "is starting"
        self.reporting: Final = Reporting(log)
        tell = self.reporting.tell
        safe.trail.report_to(lambda event: tell_loop(loop, tell, event))
        self._tasks = Tasks(loop, self.reporting.unexpected)
        report_callbacks(loop, self.reporting.unexpected)
        self.served: Final = ServedEdition(edition)
        self.crew: Final = Crew(loop, self._tasks, sockets, log, tell, safe.trail, edition.worker_count)
        self.crew.maintenance.restore(edition.loaded)
        self.crew.adopting.restore(edition.loaded, lambda: listener_facts(self.served, sockets))
        self._log = SharedLog(log, self.crew.workforce, tell)
        self.announcements: Final = Announcements(notifier, self.served, self.crew.workforce, tell)
        self.changeover: Final = self._changeover_of(safe)
        renew = self.changeover.renew
        self.rotating: Final = Rotating(loop, self._tasks, self.changeover.swap, tell, CLOCKS)
        self.tickets: Final = TicketRotation(renew, safe, self.served, tell, self.crew.auditing.tickets_rotated)
        unsealing = Unsealing(loop, renew, safe, self.served, tell)
        payload = PayloadRotation(loop, self.served, self.crew.workforce, renew, safe, tell, wall_clock)
        membership = self._membership_of(safe, payload)
        self.fetched: Final = FetchedLists(loop, renew, self.served, tell, loop.time, CLOCKS.wall)
        self.watch: Final = LogWatch(loop, lambda: self.served.edition.loaded, tell, CLOCKS.wall)
        self.http3: Final = Http3Offers(
            lambda: http3_doors(self.served.edition.loaded.config, sockets.by_listener),
            probe,
            self.crew.say,
            tell,
            loop.time,
        )
        self.alerting: Final = self._alerting_of()
        sealing = SealingRenewal(loop, self.changeover.changing, safe, self.served, tell, now_in_utc)
        secrets = (self.tickets.run, unsealing.run, payload.run, sealing.run)
        # the first round of rotations needs the fleet, if there is one
        early = () if membership is None else (membership.run,)
        self._background: Final = early, (*secrets, self.fetched.run, self.watch.run, self.http3.run, self.alerting.run)
        """What runs from the start on, and what runs while this process serves."""
        self.upgrading: Final = Upgrading(
            loop,
            self._tasks,
            self.crew,
            self.rotating,
            self.changeover,
            lambda command: HandedState(
                TicketRecord(self.served.edition.tickets, safe.since),
                self.crew.servers.verdicts.all,
                command.program,
                command.environment,
                self.http3.remembered,
            ),
            lambda: self.memory.document(),
            notifier.main_process,
            tell,
        )
        self.control: Final = self._control_of(log, safe.trail, payload, sealing, membership)
        self.rotating.count_by(self._signatures)
        self.rotating.lists.show = self.crew.proofs.challenges.show_lists
        self.crew.tokens.missing.changed = self.rotating.keys_missing
        self.reporting.listen(self.alerting.hear)

    def _membership_of(self, safe: Safe, payload: PayloadRotation) -> "SupervisorFleet | None":
        loaded = self.served.edition.loaded
        if not loaded.config.fleet.etcd:
            return None

        def vault() -> "Vault":
            found = safe.vault(self.served.edition.loaded)
            assert found is not None  # a fleet has a sealing key, and keeps one until a restart
            return found

        # imported here: most proxies have no fleet
        from proxy.supervisor.control.fleet_control import SupervisorFleet
        from proxy.supervisor.membership.configured import fleet_limits, member_of
        from proxy.supervisor.membership.kinds.access import FleetAccess
        from proxy.supervisor.membership.kinds.certificates import FleetAccounts, SharedCertificates
        from proxy.supervisor.membership.kinds.challenges import FleetChallenges
        from proxy.supervisor.membership.kinds.keys.rings import Rings
        from proxy.supervisor.membership.kinds.keys.tickets import Tickets
        from proxy.supervisor.membership.kinds.orders import Orders
        from proxy.supervisor.membership.kinds.shares import LimitShares
        from proxy.supervisor.membership.shared_parts import shared_parts

        tell = self.reporting.tell
        tickets = Tickets(self.tickets, wall_clock)
        reload = self.changeover.reload
        parts = shared_parts(loaded, lambda: self.served.edition.content, reload, tickets, tell, wall_clock)
        orders = Orders(self.crew.follow_fleet)
        shares = LimitShares(
            lambda: list(fleet_limits(self.served.edition.loaded.config)),
            self.crew.used,
            self.crew.keep_to,
            self._loop.time,
        )
        access = FleetAccess(self._loop, lambda: member)
        accounts = FleetAccounts(access)
        certificates = SharedCertificates(access, tell)
        challenges = FleetChallenges(self._loop, self.crew.proofs.challenges.follow, lambda: parts.nodes.alive)
        certificates.heard = self.rotating.fleet.heard
        self.rotating.fleet.join(certificates)
        proofs = self.crew.proofs
        proofs.showing = replace(proofs.showing, solver=challenges, accounts=accounts)
        rings = Rings(payload, wall_clock)
        payload.shared = rings
        issuing = (*certificates.kinds, *accounts.kinds, *challenges.kinds)
        access.needed = tuple(kind.prefix for kind in issuing)
        kinds = (*parts.all, orders, shares, *issuing, rings)
        member = member_of(loaded, vault, kinds, tell, wall_clock)
        member.values.lowest_schema = parts.nodes.lowest_schema
        told = safe.trail.operation
        auto_approve = loaded.config.fleet.auto_approve
        return SupervisorFleet(member, parts, orders, lambda: rings.planned, told, auto_approve=auto_approve)

    def _changeover_of(self, safe: Safe) -> Changeover:
        loop = self._loop
        served = self.served
        crew = self.crew
        file = served.edition.loaded.file.path
        watching = Watching(self._tasks, file, lambda cause: self.changeover.reload_by(cause))

        async def followed(edition: Edition) -> None:
            watching.follow(edition)
            self.alerting.follow(AlertSettings.of(edition.loaded))
            vault = safe.vault(edition.loaded)
            told = safe.trail.operation
            # in a thread: the first issuer of type "acme" loads the client of a CA
            parts = await in_thread(
                loop,
                lambda: parts_of(edition.loaded, CLOCKS.wall, showing=self.crew.proofs.showing, vault=vault, told=told),
            )
            await self.rotating.follow(parts)

        parts = ChangingParts(
            crew.workforce,
            crew.sockets,
            crew.servers,
            crew.tokens,
            crew.auditing,
            self._log,
            self.announcements,
            self.reporting.warn,
            lambda edition: safe.locks.settle(edition.loaded),
            followed,
        )

        async def reread(*, dry_run: bool) -> Edition:
            number = served.next_number()
            return await reread_edition(loop, served.edition, number, safe, watching.settle, dry_run=dry_run)

        return Changeover(loop, served, parts, reread)

    def _control_of(
        self,
        log: LogTarget,
        trail: AuditTrail,
        payload: PayloadRotation,
        sealing: SealingRenewal,
        membership: "SupervisorFleet | None",
    ) -> Control:
        loop = self._loop
        served = self.served
        crew = self.crew
        ability = Ability(served, crew.workforce, crew.servers, crew.tokens, lambda: self.phase)
        scraping = Scraping(
            ticks=loop.time,
            started_at=wall_clock(),
            version=version("plexigate"),
            served=served,
            workforce=crew.workforce,
            sockets=crew.sockets,
            retained=crew.retained,
            announcements=self.announcements,
            log_losses=log.losses,
            tokens=crew.tokens,
            trail=trail,
            servers=crew.servers,
            maintenance=crew.maintenance,
            rotating=self.rotating,
            fetched=self.fetched,
            watch=self.watch,
            alerting=self.alerting,
            sealing=lambda: sealing.facts,
            membership=lambda: None if membership is None else membership.facts(),
            upgrade=lambda: self.upgrading.facts,
            http3=lambda: self.http3.facts(),
            former_workers=lambda: self.upgrading.former.pids,
            ability=ability,
        )

        async def order(name: str, content: object | None) -> None:
            assert membership is not None  # the admin server has refused it
            await membership.order(name, content)

        return Control(
            figures=scraping,
            ability=ability,
            adopting=crew.adopting,
            reloads=self.changeover,
            upgrade=self.upgrading,
            servers=ServerControl(served, crew.servers, order),
            keys=WorkerKeyTrial(loop, served, crew.workforce),
            alerts=self.alerting,
            maintenance=SupervisorMaintenance(served, crew.maintenance, order, wall_clock),
            rotation=RotationControl(self.rotating, Inspection(loop, crew.workforce, served)),
            payload=SupervisorPayload(loop, served, payload, self.reporting.tell),
            fleet=membership,
        )

    async def _signatures(self) -> Mapping[str, int]:
        """How often the keys of each identity have signed since the start.

        Handshakes that resume a session need no signature.
        """
        return signatures(await self.control.figures.scrape())

    def _alerting_of(self) -> Alerting:
        watched = WatchedProxy(
            scrape=lambda: self.control.figures.scrape(),
            is_serving=lambda: self.phase is None,
            shortage=lambda: self.crew.servers.why_not_ask(),
            wall=wall_clock,
        )
        return Alerting(self._loop, self._tasks, watched, self.reporting.tell, self.reporting.unexpected)

    @property
    def memory(self) -> ParentMemory:
        """What an upgrade hands over with the state."""
        return ParentMemory(self.crew, self.alerting, self.control.figures)

    def check_servers_unless(self, why_not: Callable[[], str | None]) -> None:
        """Make no health checks while `why_not` returns a reason, such as too few descriptors."""
        self.crew.servers.why_not_ask = why_not

    # -- the life of the process

    async def start(self, metrics: Callable[[], Sequence[str]], takeover: Takeover | None = None) -> None:
        """Serve, in an upgrade after the older process has left.

        `metrics` tells the addresses for metrics, for the report. Raises `ConfigError` after it has
        ended all workers.
        """
        await self.changeover.start(takeover)
        early, _ = self._background
        for work in early:
            self._tasks.keep_running(work, _PAUSE_SECONDS)
        self._tasks.keep_running(self.rotating.run, _PAUSE_SECONDS)
        await self.rotating.first_round(_FIRST_ROUND_SECONDS)
        self.phase = None
        offers = self.served.offers
        addresses = self.crew.sockets.by_listener
        workers = len(self.crew.workforce.workers)
        assert offers is not None  # the commit has set them
        self.reporting.tell(ProxyReady.of(offers, addresses, metrics(), workers))
        for name, address in self.crew.sockets.unused:
            self.reporting.tell(SocketUnused(name, address))
        self.announcements.started()
        if takeover is not None:
            self._tasks.start(self._log.reopen())  # a rotation of the log has reached only the older process
            if takeover.wants_reload:
                self._tasks.start(self.changeover.reload_by("SIGHUP"))

    async def run(self, watchdog_seconds: float | None) -> None:
        """Serve until SIGTERM or SIGINT, then drain. A second signal ends the drain.

        SIGHUP reloads. SIGUSR1 reopens the log. After an upgrade this process leaves at once.
        """
        self.stopping.listen(self._loop)
        self._loop.add_signal_handler(signal.SIGHUP, lambda: self._tasks.start(self.changeover.reload_by("SIGHUP")))
        self._loop.add_signal_handler(signal.SIGUSR1, lambda: self._tasks.start(self._log.reopen()))
        _, late = self._background
        for work in (*late, self.crew.adopting.run):
            self._tasks.keep_running(work, _PAUSE_SECONDS)
        self._tasks.start(self.crew.auditing.run(self.served.edition.loaded.config.audit.totals_seconds))
        if watchdog_seconds is not None:
            self._tasks.start(self._notifier.feed(watchdog_seconds / 2))
        await self._until_it_ends()
        self.phase = "ends: clients go elsewhere"
        if self.upgrading.done.is_set():
            await self._leave()
        else:
            self._notifier.stopping()
            await (self.crew.workforce.let_go() if self.crew.sockets.are_kept else self._drain())
        self.crew.adopting.finish()
        self.reporting.tell(Stopped(**totals(self.crew.retained.total([]))))

    async def _until_it_ends(self) -> None:
        """Wait for a signal, or for the end of an upgrade. A signal abandons an upgrade."""
        upgrade = self.upgrading
        waiting = {
            self._loop.create_task(self.stopping.wait_for_first()),
            self._loop.create_task(upgrade.done.wait()),
        }
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await upgrade.stop("a shutdown was requested")

    async def _leave(self) -> None:
        """Leave everything to the process that has taken over."""
        successor = self.upgrading.leave()
        if self.stopping.is_asked:
            os.kill(successor, signal.SIGTERM)  # the signal came too late to stop the upgrade
        await self.crew.workforce.let_go()

    async def _drain(self) -> None:
        # A client that comes now is refused at once and goes elsewhere. The workers empty the
        # queues of their sockets and close them too.
        self.crew.sockets.close()
        ending = self._loop.create_task(self.crew.workforce.end())
        impatience = self._loop.create_task(self.stopping.wait_for_second())
        await asyncio.wait({ending, impatience}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            await self.crew.workforce.end_now()
            await ending
        impatience.cancel()

    async def give_back(self) -> None:
        """Leave everything to the older process of an upgrade. Connections drain by themselves."""
        if self.crew.workforce.workers:
            await self.crew.workforce.let_go()

    async def close(self) -> None:
        """End every process and task, and close every descriptor."""
        self.upgrading.former.close()
        await self.crew.workforce.close()
        await self._tasks.cancel_all()
        self.crew.close()
