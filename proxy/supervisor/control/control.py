"""Passes each question of the admin server to the part of the parent that can answer it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from config.pkcs11_uri import Pkcs11Uri
from proxy.admin.contracts import ReloadReport
from proxy.observe.readiness import Readiness
from proxy.observe.scrape import Scrape
from proxy.observe.status import signatures, status
from proxy.supervisor.control.certificate_control import RotationControl
from proxy.supervisor.control.key_trial import WorkerKeyTrial
from proxy.supervisor.control.maintenance_control import SupervisorMaintenance
from proxy.supervisor.control.payload_control import SupervisorPayload
from proxy.supervisor.control.scraping import Scraping
from proxy.supervisor.control.server_control import ServerControl


class Reload(Protocol):
    """Reloads the configuration (`Reloads.reload`)."""

    async def __call__(self, *, dry_run: bool) -> ReloadReport:
        """Reload, or only report what would change. Problems are in the report, not raised."""


class SupervisorControl:
    """Implements `admin.contracts.Control`."""

    def __init__(  # noqa: PLR0913 - a part for each kind of question
        self,
        scraping: Scraping,
        reload: Reload,
        servers: ServerControl,
        keys: WorkerKeyTrial,
        rotation: RotationControl,
        payload: SupervisorPayload,
        maintenance: SupervisorMaintenance,
        adoption: Callable[[], Awaitable[dict[str, Any]]],
    ) -> None:
        """The admin server asks the parts that are attributes directly."""
        self._adoption = adoption
        self._scraping = scraping
        self._reload = reload
        self._servers = servers
        self._keys = keys
        self.rotation: Final = rotation
        self.payload: Final = payload
        self.alerts: Final = scraping.alerting
        self.maintenance: Final = maintenance
        self.history: Final = scraping.history
        self.upgrade: Final = scraping.upgrading

    async def scrape(self) -> Scrape:
        """Ask all workers for their counts."""
        return await self._scraping.scrape()

    async def status(self) -> dict[str, Any]:
        """The document of `GET /status`."""
        return status(await self.scrape())

    async def adoption(self) -> dict[str, Any]:
        """The document of `GET /adoption`."""
        return await self._adoption()

    async def signatures(self) -> Mapping[str, int]:
        """How often the keys of each identity have signed since the start.

        Handshakes that resume a session need no signature.
        """
        return signatures(await self.scrape())

    async def readiness(self) -> Readiness:
        """Whether the proxy is ready, and what keeps it from serving."""
        return await self._scraping.ability.readiness()

    async def reload(self, *, dry_run: bool) -> ReloadReport:
        """Read the configuration again and serve by it, or only report changes (`dry_run`)."""
        return await self._reload(dry_run=dry_run)

    async def drain_server(self, upstream: str, server: str, seconds: float | None) -> str | None:
        """Send no new requests to a server. Raises `UnknownServer`."""
        return await self._servers.drain(upstream, server, seconds)

    async def undrain_server(self, upstream: str, server: str) -> None:
        """Send requests to a server again. Raises `UnknownServer`."""
        await self._servers.undrain(upstream, server)

    async def try_key(self, key: Pkcs11Uri) -> dict[str, Any]:
        """What the configuration uses a key of a token for, and which workers can sign with it."""
        return await self._keys.of(key)

    def urgency(self) -> str:
        """The urgency of the most urgent rotation."""
        return self.rotation.urgency()
