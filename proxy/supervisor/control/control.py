"""What the admin server asks of the parent, answered by the workers and by what the parent knows itself."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from config.issuers import PLAIN_LISTENER
from config.pkcs11_uri import Pkcs11Uri
from proxy.admin.certificates import CertificateControl
from proxy.admin.contracts import ReloadReport, UnknownServer
from proxy.net.in_thread import in_thread
from proxy.observe.readiness import Readiness
from proxy.observe.scrape import ListenerFacts, RotationFacts, Scrape, WorkerScrape, WorkerState
from proxy.observe.status import signatures, status
from proxy.processes.questions import key_as_json
from proxy.rotation.listing import worst
from proxy.supervisor.control.ability import readiness_of
from proxy.supervisor.control.certificate_control import RotationControl
from proxy.supervisor.control.inspection import Inspection
from proxy.supervisor.control.payload_control import SupervisorPayload
from proxy.supervisor.supervisor import Supervisor, wall_clock
from proxy.supervisor.workers.process import WorkerProcess

# A worker that is stuck is left out of a scrape: monitoring must not hang with it.
_SCRAPE_SECONDS: Final = 2.0
# For a signature, and for a look into the token: one that hangs is said to have given no answer.
_KEY_SECONDS: Final = 10.0


class SupervisorControl:
    """Implements `admin.contracts.Control`."""

    def __init__(self, supervisor: Supervisor) -> None:
        """Ask a running supervisor."""
        self._supervisor = supervisor
        self.payload = SupervisorPayload(supervisor)

    async def scrape(self) -> Scrape:
        """Ask all workers for what they count."""
        supervisor = self._supervisor
        workers = await supervisor.fleet.scrape(_SCRAPE_SECONDS)
        offers = supervisor.offers
        addresses = supervisor.sockets.by_listener
        return Scrape(
            now=wall_clock(),
            started_at=supervisor.started_at,
            version=version("plexigate"),
            generation=supervisor.edition.number,
            workers=[self._worker(worker, has_told=has_told) for worker, has_told in workers.items()],
            listeners=[
                *(
                    ListenerFacts(one.name, addresses.get(one.name, ()), one.pq, one.groups)
                    for one in (() if offers is None else offers.listeners)
                ),
                *(ListenerFacts(name, addresses[name], "no TLS", "") for name in addresses if name == PLAIN_LISTENER),
            ],
            certificates=supervisor.edition.certificates,
            restarts=supervisor.fleet.restarts,
            reloads=dict(supervisor.reloads),
            retained=supervisor.retained.snapshot,
            log_losses=supervisor.log_losses,
            tokens=supervisor.tokens.scrape(),
            audit=supervisor.auditing.trail.as_row(),
            rotations=dict(supervisor.rotating.rotations),
            rotating=[
                RotationFacts(identity, slot, int(one.urgency), one.failures)
                for (identity, slot), one in supervisor.rotating.standings.items()
            ],
            unmade_checks=supervisor.servers.unmade.as_rows(),
            readiness=await self.readiness(),
        )

    def _worker(self, worker: WorkerProcess, *, has_told: bool) -> WorkerScrape:
        answer = worker.last or {"generation": None, "snapshot": {}, "servers": []}
        state = WorkerState.DRAINING if worker.is_retiring else WorkerState.SERVING
        return WorkerScrape(
            slot=worker.slot,
            pid=worker.pid,
            age_seconds=self._supervisor.loop.time() - worker.started,
            generation=answer["generation"],
            snapshot=answer["snapshot"],
            servers=answer["servers"],
            rss_bytes=_resident_bytes(worker.pid),
            state=state if has_told else WorkerState.SILENT,
        )

    async def status(self) -> dict[str, Any]:
        """The document of `GET /status`."""
        return status(await self.scrape())

    async def signatures(self) -> Mapping[str, int]:
        """How often the keys of each identity have signed since the start: handshakes that were not resumed."""
        return signatures(await self.scrape())

    async def reload(self, *, dry_run: bool) -> ReloadReport:
        """Read the configuration again and serve by it, or only say what would change."""
        return await self._supervisor.reload(dry_run=dry_run)

    async def drain_server(self, upstream: str, server: str, seconds: float | None) -> str | None:
        """Send no new requests to a server; its WebSockets stay for `seconds`. Answers what that means for clients. Raises `UnknownServer`."""
        self._require(upstream, server)
        config = self._supervisor.edition.loaded.config
        limit = config.limits.drain_seconds if seconds is None else seconds
        others = [address for one in config.upstream[upstream].servers if (address := str(one.address)) != server]
        return await self._supervisor.servers.drain(upstream, server, limit, others)

    async def undrain_server(self, upstream: str, server: str) -> None:
        """Let a server have requests again. Raises `UnknownServer`."""
        self._require(upstream, server)
        await self._supervisor.servers.undrain(upstream, server)

    async def try_key(self, key: Pkcs11Uri) -> dict[str, Any]:
        """What this configuration uses a key of a token for, and what comes of it when each worker tries to sign; None of a silent one.

        Of what the parent itself does with keys, as with that of `[sealing]`, no worker knows.
        """
        edition = self._supervisor.edition
        uses = await in_thread(self._supervisor.loop, edition.used_keys)
        answers = await self._supervisor.fleet.ask_all("try_key", key_as_json(key), _KEY_SECONDS)
        nothing = {"is_used": None, "signs": None}
        workers = [{"slot": one.slot, "pid": one.pid, **(answer or nothing)} for one, answer in answers.items()]
        return {"uses": [one.where for one in uses if one.may_be(key)], "workers": workers}

    def _require(self, upstream: str, server: str) -> None:
        upstreams = self._supervisor.edition.loaded.config.upstream
        known = [f"{name}/{one.address}" for name, settings in upstreams.items() for one in settings.servers]
        if f"{upstream}/{server}" not in known:
            raise UnknownServer(upstream, server, known)

    @property
    def rotation(self) -> CertificateControl:
        """Whoever rotates certificates."""
        supervisor = self._supervisor
        inspection = Inspection(supervisor.loop, supervisor.fleet, supervisor)
        return RotationControl(supervisor.rotating, inspection)

    def urgency(self) -> str:
        """How urgent the most urgent rotation is."""
        return worst(self._supervisor.rotating.standings)

    async def readiness(self) -> Readiness:
        """Whether all that was meant to serve can, and what cannot."""
        return await readiness_of(self._supervisor)


def _resident_bytes(pid: int) -> int:
    """The memory of a process; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1_024 for line in lines if line.startswith("VmRSS:")), 0)
