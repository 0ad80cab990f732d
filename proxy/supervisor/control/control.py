"""What the admin server asks of the parent: each question goes to the part that can answer it."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from config.pkcs11_uri import Pkcs11Uri
from proxy.admin.contracts import ReloadReport
from proxy.observe.readiness import Readiness
from proxy.observe.scrape import Scrape
from proxy.observe.status import signatures, status
from proxy.supervisor.control.certificate_control import RotationControl
from proxy.supervisor.control.key_trial import WorkerKeyTrial
from proxy.supervisor.control.payload_control import SupervisorPayload
from proxy.supervisor.control.scraping import Scraping
from proxy.supervisor.control.server_control import ServerControl


class Reload(Protocol):
    """Reads the configuration again and serves by it, or only reports what would change
    (`Reloads.reload`).
    """

    async def __call__(self, *, dry_run: bool) -> ReloadReport:
        """The report has the problems; `ConfigError` is not raised."""


class SupervisorControl:
    """Implements `admin.contracts.Control`."""

    def __init__(
        self,
        scraping: Scraping,
        reload: Reload,
        servers: ServerControl,
        keys: WorkerKeyTrial,
        rotation: RotationControl,
        payload: SupervisorPayload,
    ) -> None:
        """`rotation` and `payload` answer for themselves."""
        self._scraping = scraping
        self._reload = reload
        self._servers = servers
        self._keys = keys
        self.rotation: Final = rotation
        self.payload: Final = payload

    async def scrape(self) -> Scrape:
        """Ask all workers for what they count."""
        return await self._scraping.scrape()

    async def status(self) -> dict[str, Any]:
        """The document of `GET /status`."""
        return status(await self.scrape())

    async def signatures(self) -> Mapping[str, int]:
        """How often the keys of each identity have signed since the start: handshakes that were not
        resumed.
        """
        return signatures(await self.scrape())

    async def readiness(self) -> Readiness:
        """Whether all that is to serve can serve, and what cannot."""
        return await self._scraping.ability.readiness()

    async def reload(self, *, dry_run: bool) -> ReloadReport:
        """Read the configuration again and serve by it, or only report what would change."""
        return await self._reload(dry_run=dry_run)

    async def drain_server(self, upstream: str, server: str, seconds: float | None) -> str | None:
        """Send no new requests to a server. Raises `UnknownServer`."""
        return await self._servers.drain(upstream, server, seconds)

    async def undrain_server(self, upstream: str, server: str) -> None:
        """Let a server have requests again. Raises `UnknownServer`."""
        await self._servers.undrain(upstream, server)

    async def try_key(self, key: Pkcs11Uri) -> dict[str, Any]:
        """What this configuration uses a key of a token for, and whether each worker can sign with
        it.
        """
        return await self._keys.of(key)

    def urgency(self) -> str:
        """How urgent the most urgent rotation is."""
        return self.rotation.urgency()
