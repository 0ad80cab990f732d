"""What the admin server asks of the process that runs the workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from config.pkcs11_uri import Pkcs11Uri
from proxy.admin.alerts import AlertControl
from proxy.admin.certificates import CertificateControl
from proxy.admin.maintenance import MaintenanceControl
from proxy.admin.payload import PayloadControl
from proxy.admin.upgrade import UpgradeControl
from proxy.observe.history.history import History
from proxy.observe.readiness import Readiness
from proxy.observe.scrape import CertificateFacts, ListenerFacts, Scrape, WorkerScrape

__all__ = ["CertificateFacts", "Control", "ListenerFacts", "ReloadReport", "Scrape", "UnknownServer", "WorkerScrape"]


class UnknownServer(Exception):
    """The upstream does not exist, or it does not have this server.

    `known` are the servers that exist, as `upstream/server`.
    """

    def __init__(self, upstream: str, server: str, known: Sequence[str]) -> None:
        """Remember what was asked for and what there is."""
        super().__init__(upstream, server, known)
        self.upstream = upstream
        self.server = server
        self.known = known

    def __str__(self) -> str:
        """One sentence."""
        return f"upstream {self.upstream} has no server {self.server}; there are {', '.join(self.known) or 'none'}"


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What a reload did, or would do.

    `changes` and `problems` are as `Change.as_json` and `Problem.as_json` write them.
    """

    ok: bool
    changes: Sequence[dict[str, Any]]
    problems: Sequence[dict[str, Any]]
    generation: int


class Control(Protocol):
    """The parent process, as the admin server sees it."""

    async def scrape(self) -> Scrape:
        """Ask all workers for their figures."""

    async def status(self) -> dict[str, Any]:
        """The document of `GET /status`: `observe.status.status(await self.scrape())`."""

    async def adoption(self) -> dict[str, Any]:
        """The document of `GET /adoption`: `observe.adoption.Adoption.document`."""

    async def reload(self, *, dry_run: bool) -> ReloadReport:
        """Read the configuration again and serve by it. A dry run only says what would change."""

    async def drain_server(self, upstream: str, server: str, seconds: float | None) -> str | None:
        """Drain a server: it gets no new requests, and its WebSockets end after `seconds`.

        If `seconds` is None, the configured drain time holds. Returns a warning if no server of the
        upstream takes requests any more. Raises `UnknownServer`.
        """

    async def undrain_server(self, upstream: str, server: str) -> None:
        """Send requests to a server again. Raises `UnknownServer`."""

    async def try_key(self, key: Pkcs11Uri) -> dict[str, Any]:
        """Let each worker try to sign with a key of a token.

        Returns `uses`, the configuration paths that use the key, and `workers`. Each of `workers`
        has slot, pid, `is_used` and `signs`, which is None if the worker did not answer.
        """

    async def readiness(self) -> Readiness:
        """Whether the proxy is ready, and what keeps it from serving."""

    def urgency(self) -> str:
        """The urgency of the most urgent rotation: calm, due, late, grave or expired."""

    @property
    def rotation(self) -> CertificateControl:
        """The rotation of certificates."""

    @property
    def alerts(self) -> AlertControl:
        """What wants a person."""

    @property
    def payload(self) -> PayloadControl:
        """The rings of payload encryption."""

    @property
    def maintenance(self) -> MaintenanceControl:
        """The routes that are out of service."""

    @property
    def history(self) -> History:
        """The figures of the last day."""

    @property
    def upgrade(self) -> UpgradeControl:
        """The upgrade in place."""
