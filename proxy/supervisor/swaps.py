"""Changes of secrets alone, by the same two phases as a reload: ticket keys, and issued credentials. No file is read again."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from certs.storage.served import ServedFile
from config.problems import ConfigError
from proxy.in_thread import in_thread
from proxy.supervisor.edition import Edition
from proxy.supervisor.fleet import Fleet
from proxy.supervisor.issued import as_material
from proxy.supervisor.reloading import Prepared, Reloading
from proxy.tls.tickets import TicketSecrets

_HOUR: Final = 3_600.0
# After a rotation that failed: soon enough that tickets do not outlive their secret by much.
_RETRY_SECONDS: Final = 300.0


class Served(Protocol):
    """Who knows what is served."""

    edition: Edition

    def next_number(self) -> int:
        """The number of an edition that has none yet."""

    def served(self, prepared: Prepared) -> None:
        """It serves in all workers."""

    def tell(self, event: dict[str, Any], line: str) -> None:
        """Log something."""


class Swaps:
    """Makes them, each while nobody else edits."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fleet: Fleet, reloading: Reloading, owner: Served) -> None:
        """`owner` is told what serves."""
        self._loop = loop
        self._fleet = fleet
        self._reloading = reloading
        self._owner = owner

    async def tickets_regularly(self) -> None:
        """Rotate the secret of session tickets until cancelled."""
        has_succeeded = True
        while True:
            regular = self._owner.edition.loaded.config.limits.tls_ticket_rotation_hours * _HOUR
            await asyncio.sleep(regular if has_succeeded else min(regular, _RETRY_SECONDS))
            has_succeeded = await self.tickets()

    async def tickets(self) -> bool:
        """Seal tickets by a new secret from now on, and accept those of the one before it, in all workers."""
        owner = self._owner
        async with self._fleet.editing:
            tickets = owner.edition.tickets.rotated(TicketSecrets.fresh().current)
            try:
                prepared = await self._reloading.prepare(owner.edition.with_tickets(owner.next_number(), tickets))
            except ConfigError as error:
                event = {"event": "ticket_rotation_failed", "detail": str(error)}
                owner.tell(event, f"ticket rotation failed: {error}")
                return False
            await self._reloading.commit(prepared)
            owner.served(prepared)
        owner.tell({"event": "tickets_rotated"}, "session ticket keys rotated")
        return True

    async def issued(self, files: Mapping[Path, ServedFile], decide: Callable[[], None]) -> None:
        """Serve by another version of an issued credential; see `rotation.running.Host`."""
        owner = self._owner
        async with self._fleet.editing:
            before, number, material = owner.edition, owner.next_number(), as_material(files)
            edition = await in_thread(self._loop, lambda: before.with_issued(number, material))
            prepared = await self._reloading.prepare(edition)
            try:
                # between the phases: a process that ends before serves by the old one when it starts again, one after by the new one
                await in_thread(self._loop, decide)
            except BaseException:
                await self._reloading.abandon(prepared)
                raise
            await self._reloading.commit(prepared)
            owner.served(prepared)
