"""A scrape: the counts of all workers and the figures of the parent at one moment."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from config.displayed import displayed
from config.tables.plain import PLAIN_LISTENER
from proxy.observe.counts.merging import Retained
from proxy.observe.history.history import History
from proxy.observe.scrape import (
    ConfigurationFacts,
    FleetFacts,
    Http3Facts,
    ListenerFacts,
    MaintenanceFacts,
    Scrape,
    SealingFacts,
    UpgradeFacts,
    WorkerScrape,
    WorkerState,
)
from proxy.rotation.rotating import Rotating
from proxy.supervisor.alerts.alerting import Alerting
from proxy.supervisor.control.ability import Ability
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.maintenance import Maintenance
from proxy.supervisor.reloads.announcements import Announcements
from proxy.supervisor.reloads.fetched_lists import FetchedLists
from proxy.supervisor.reporting import wall_clock
from proxy.supervisor.secrets.audit_trail import AuditTrail
from proxy.supervisor.servers import Servers
from proxy.supervisor.tokens.tokens import ParentTokens
from proxy.supervisor.workers.process import WorkerProcess
from proxy.supervisor.workers.sockets import ListeningSockets
from proxy.supervisor.workers.workforce import Workforce
from proxy.trust.log_watch import LogWatch

# A scrape leaves out stuck workers, so that monitoring does not hang with them.
_SCRAPE_SECONDS: Final = 2.0
# utime and stime, counted from the field after the name of the program.
_USER_TICKS: Final = 11
_KERNEL_TICKS: Final = 12


@dataclass(frozen=True, slots=True)
class Scraping:
    """Collects scrapes from these parts."""

    ticks: Callable[[], float]
    """The clock that `WorkerProcess.started` is read from."""
    started_at: float
    """The start of this process, in UNIX seconds."""
    version: str
    """Of this process. An upgrade of the files changes what is installed."""
    served: ServedEdition
    workforce: Workforce
    sockets: ListeningSockets
    retained: Retained
    announcements: Announcements
    log_losses: Callable[[], tuple[int, int]]
    tokens: ParentTokens
    trail: AuditTrail
    servers: Servers
    maintenance: Maintenance
    rotating: Rotating
    fetched: FetchedLists
    watch: LogWatch
    ability: Ability
    alerting: Alerting
    sealing: Callable[[], SealingFacts | None]
    membership: Callable[[], FleetFacts | None]
    upgrade: Callable[[], UpgradeFacts | None]
    http3: Callable[[], Mapping[str, Http3Facts]]
    """By listener."""
    former_workers: Callable[[], Sequence[int]]
    """The processes of the previous version that still drain."""
    history: History = field(default_factory=History)

    async def scrape(self) -> Scrape:
        """Ask all workers for their counts."""
        workers = await self.workforce.scrape(_SCRAPE_SECONDS)
        scrape = Scrape(
            now=wall_clock(),
            started_at=self.started_at,
            version=self.version,
            generation=self.served.edition.number,
            workers=[self._worker(worker, has_told=has_told) for worker, has_told in workers.items()],
            listeners=list(listener_facts(self.served, self.sockets, self.http3())),
            certificates=self.served.edition.identities.certificates,
            revocations=self.fetched.facts(self.served.edition.identities.revocations),
            published_lists=self.rotating.lists.facts,
            watched_logs=self.watch.logs,
            unknown_certificates=self.watch.unknown,
            restarts=self.workforce.restarts,
            reloads=dict(self.announcements.counts),
            retained=self.retained.snapshot,
            log_losses=self.log_losses(),
            tokens=self.tokens.scrape(),
            audit=self.trail.as_row(),
            rotations=dict(self.rotating.rotations),
            rotating=self.rotating.facts(),
            sealing=self.sealing(),
            fleet=self.membership(),
            unmade_checks=self.servers.unmade.as_rows(),
            maintenance=[MaintenanceFacts(one.route, one.since) for one in self.maintenance.routes],
            readiness=await self.ability.readiness(),
            alerts=self.alerting.open,
            alert_deliveries=self.alerting.deliveries,
            configuration=_configuration(self.served.edition),
            backup=self.alerting.backup,
            pid=os.getpid(),
            configured_at=self.announcements.configured_at,
            upgrade=self.upgrade(),
            former_workers=self.former_workers(),
        )
        self.history.note(scrape)
        return scrape

    def _worker(self, worker: WorkerProcess, *, has_told: bool) -> WorkerScrape:
        told = worker.last
        state = WorkerState.DRAINING if worker.is_retiring else WorkerState.SERVING
        return WorkerScrape(
            slot=worker.slot,
            pid=worker.pid,
            age_seconds=self.ticks() - worker.started,
            generation=None if told is None else told.generation,
            snapshot={} if told is None else told.snapshot,
            servers=() if told is None else told.servers,
            rss_bytes=_resident_bytes(worker.pid),
            state=state if has_told else WorkerState.SILENT,
            cpu_seconds=_cpu_seconds(worker.pid),
        )


def _configuration(edition: Edition) -> ConfigurationFacts:
    digest = hashlib.sha256(edition.content).hexdigest()
    # absolute: who reads it may be in another directory
    path = str(edition.loaded.file.path.absolute())
    read_at = edition.read_at.timestamp()
    return ConfigurationFacts(path, digest, read_at, displayed(edition.content))


def listener_facts(
    served: ServedEdition, sockets: ListeningSockets, http3: Mapping[str, Http3Facts] = MappingProxyType({})
) -> Iterator[ListenerFacts]:
    offers = served.offers
    addresses = sockets.by_listener
    for one in () if offers is None else offers.listeners:
        yield ListenerFacts(one.name, addresses.get(one.name, ()), one.pq, one.groups, http3.get(one.name))
    if PLAIN_LISTENER in addresses:
        yield ListenerFacts(PLAIN_LISTENER, addresses[PLAIN_LISTENER], "no TLS", "")


def _resident_bytes(pid: int) -> int:
    """The memory of a process. 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1_024 for line in lines if line.startswith("VmRSS:")), 0)


def _cpu_seconds(pid: int) -> float:
    """The time that a process has computed (proc_pid_stat(5)). 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[_USER_TICKS]) + int(fields[_KERNEL_TICKS])) / os.sysconf("SC_CLK_TCK")
