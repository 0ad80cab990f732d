"""What the admin server asks of the process that runs the workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from config.values.pkcs11_uri import Pkcs11Uri
from config.values.problems import ProblemRow
from proxy.admin.requests.alerts import AlertControl
from proxy.admin.requests.certificates import CertificateControl
from proxy.admin.requests.maintenance import MaintenanceControl
from proxy.admin.requests.payload import PayloadControl
from proxy.admin.requests.upgrade import UpgradeControl
from proxy.api.adoption import AdoptionDocument
from proxy.api.commands import ChangeRow, KeyTrialDocument
from proxy.observe.history.history import History
from proxy.observe.readiness import Readiness
from proxy.observe.scrape import CertificateFacts, ListenerFacts, Scrape, WorkerScrape

__all__ = ["CertificateFacts", "Control", "ListenerFacts", "ReloadReport", "Scrape", "UnknownServer", "WorkerScrape"]


class UnknownServer(Exception):
    """The upstream does not exist, or it does not have this server.

    `known` are the servers that exist, as `upstream/server`.
    """

    def __init__(self, upstream: str, server: str, known: Sequence[str]) -> None:
        super().__init__(upstream, server, known)
        self.upstream = upstream
        self.server = server
        self.known = known

    def __str__(self) -> str:
        return f"upstream {self.upstream} has no server {self.server}; there are {', '.join(self.known) or 'none'}"


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What a reload did, or would do.

    `generation` is the number of the configuration that serves now.
    """

    ok: bool
    changes: list[ChangeRow]
    problems: list[ProblemRow]
    generation: int


class FigureControl(Protocol):
    async def scrape(self) -> Scrape: ...

    @property
    def history(self) -> History:
        """The figures of the last day."""


class ReadinessControl(Protocol):
    async def readiness(self) -> Readiness:
        """Whether the proxy is ready, and what keeps it from serving."""


class AdoptionControl(Protocol):
    """The handshakes of the last days."""

    async def document(self) -> AdoptionDocument:
        """The document of `GET /adoption`: `observe.adoption.Adoption.document`."""


class ReloadControl(Protocol):
    async def reload(self, *, dry_run: bool) -> ReloadReport:
        """Read the configuration again and serve by it. A dry run only says what would change."""


class ServerCommands(Protocol):
    """The servers of upstreams."""

    async def drain(self, upstream: str, server: str, seconds: float | None) -> str | None:
        """Drain a server: it gets no new requests, and its WebSockets end after `seconds`.

        If `seconds` is None, the configured drain timeout holds. Returns a warning if no server of
        the upstream takes requests any more. Raises `UnknownServer`.
        """

    async def undrain(self, upstream: str, server: str) -> None:
        """Send requests to a server again. Raises `UnknownServer`."""


class KeyTrials(Protocol):
    async def of(self, key: Pkcs11Uri) -> KeyTrialDocument:
        """Let each worker try to sign with a key of a token."""


class Control(Protocol):
    """The parts of the parent process that the admin server asks."""

    @property
    def figures(self) -> FigureControl:
        """The figures of all workers, and those of the last day."""

    @property
    def ability(self) -> ReadinessControl:
        """What `/readyz` says."""

    @property
    def adopting(self) -> AdoptionControl:
        """The handshakes of the last days, by group."""

    @property
    def reloads(self) -> ReloadControl: ...

    @property
    def servers(self) -> ServerCommands: ...

    @property
    def keys(self) -> KeyTrials: ...

    @property
    def rotation(self) -> CertificateControl: ...

    @property
    def alerts(self) -> AlertControl:
        """The open alerts: faults that require operator action."""

    @property
    def payload(self) -> PayloadControl: ...

    @property
    def maintenance(self) -> MaintenanceControl: ...

    @property
    def upgrade(self) -> UpgradeControl: ...
