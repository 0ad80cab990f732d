"""The secret of session tickets: replaced when it has sealed for long enough, in all workers and on the disk."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from certs.sealing.files import SealedFileUnusable
from config.problems import ConfigError
from proxy.in_thread import in_thread
from proxy.supervisor.edition import Edition
from proxy.supervisor.fleet import Fleet
from proxy.supervisor.reloading import Prepared, Reloading
from proxy.supervisor.safe import Safe
from proxy.tls.tickets import TicketSecrets

_HOUR: Final = 3_600.0
# After a rotation that failed: soon enough that tickets do not outlive their secret by much.
_RETRY_SECONDS: Final = 300.0


class EditionOwner(Protocol):
    """Whoever knows what is served."""

    @property
    def edition(self) -> Edition:
        """What is served."""

    def next_number(self) -> int:
        """The number of an edition that has none yet."""

    def served(self, prepared: Prepared) -> None:
        """An edition that differs in secrets only serves in all workers."""

    def tickets_rotated(self) -> None:
        """Say so."""

    def tell(self, event: dict[str, Any], line: str) -> None:
        """Log something."""


class TicketRotation:
    """Runs for as long as the parent does."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fleet: Fleet, reloading: Reloading, safe: Safe, owner: EditionOwner
    ) -> None:
        """Nothing is rotated before `run` or `rotate`. `safe` keeps the secrets."""
        self._loop = loop
        self._fleet = fleet
        self._reloading = reloading
        self._safe = safe
        self._owner = owner

    async def run(self) -> None:
        """Rotate whenever it is time: a secret that a process before had begun with goes on for the rest of its time."""
        has_succeeded = True
        while True:
            hours = self._owner.edition.loaded.config.limits.tls_ticket_rotation_hours
            regular = self._safe.seconds_to_rotation(hours)
            await asyncio.sleep(regular if has_succeeded else min(hours * _HOUR, _RETRY_SECONDS))
            has_succeeded = await self.rotate()

    async def rotate(self) -> bool:
        """Seal session tickets by a new secret from now on, and accept those of the one before it, in all workers."""
        async with self._fleet.editing:
            edition = self._owner.edition
            tickets = edition.tickets.rotated(TicketSecrets.fresh().current)
            try:
                prepared = await self._reloading.prepare(edition.with_tickets(self._owner.next_number(), tickets))
            except ConfigError as error:
                event = {"event": "ticket_rotation_failed", "detail": str(error)}
                self._owner.tell(event, f"ticket rotation failed: {error}")
                return False
            # first: what a worker seals by must not be lost with this process
            await self._keep(edition, tickets)
            await self._reloading.commit(prepared)
            self._owner.served(prepared)
        self._owner.tickets_rotated()
        return True

    async def _keep(self, edition: Edition, tickets: TicketSecrets) -> None:
        now = datetime.now(UTC)  # noqa: TID251 - a driver
        try:
            await in_thread(self._loop, lambda: self._safe.keep(edition.loaded, tickets, now))
        except (SealedFileUnusable, ConfigError, OSError) as error:
            event = {"event": "tickets_not_kept", "detail": str(error)}
            self._owner.tell(event, f"session ticket keys do not outlive this process: {error}")
        self._safe.since = now
