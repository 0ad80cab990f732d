"""Replaces the secret of session tickets at regular times, in all workers and on disk.

In a fleet the nodes have agreed on the secrets, and the membership says which ones serve.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from certs.sealing.files import SealedFileUnusable
from config.values.problems import ConfigError
from proxy.observe.events.event import Tell
from proxy.observe.events.secrets import TicketRotationFailed, TicketsNotKept, TicketsRotated
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.changeover import Renew
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from proxy.tls.openssl.tickets import TicketSecrets

_HOUR: Final = 3_600.0
# After a failed rotation: short enough that a secret is used only a little too long.
_RETRY_SECONDS: Final = 300.0


class TicketRotation:
    """Runs for as long as the parent does."""

    def __init__(
        self, renew: Renew, safe: Safe, served: ServedEdition, tell: Tell, rotated: Callable[[], None]
    ) -> None:
        """Rotations begin with `run`. `safe` keeps secrets; `rotated` is called after each."""
        self._renew = renew
        self._safe = safe
        self._served = served
        self._tell = tell
        self._rotated = rotated
        self._follows = False

    async def run(self) -> None:
        """Rotate when it is time. A secret of an earlier process serves the rest of its time.

        It ends when secrets of a fleet are followed.
        """
        has_succeeded = True
        while True:
            hours = self._served.edition.loaded.config.limits.tls_ticket_rotation_hours
            regular = self._safe.seconds_to_rotation(hours)
            await asyncio.sleep(regular if has_succeeded else min(hours * _HOUR, _RETRY_SECONDS))
            if self._follows:
                return
            has_succeeded = await self.rotate()

    @property
    def period_seconds(self) -> float:
        """How long a secret seals, by the configuration."""
        return self._served.edition.loaded.config.limits.tls_ticket_rotation_hours * _HOUR

    @property
    def present(self) -> tuple[bytes, float]:
        """The secret that seals now, and since when, in UNIX seconds."""
        return self._served.edition.tickets.current, self._safe.since.timestamp()

    async def follow(self, tickets: TicketSecrets, since: float) -> bool:
        """Serve by the secrets of a fleet from now on, and rotate no more by itself.

        Returns whether all workers do.
        """
        self._follows = True
        before = self._served.edition.tickets
        if tickets == before:
            return True
        began = datetime.fromtimestamp(since, UTC)
        return await self._serve_by(lambda _: tickets, began, is_rotated=tickets.current != before.current)

    async def rotate(self) -> bool:
        """Seal session tickets with a new secret in all workers.

        They still accept the tickets that the previous secret has sealed.
        """
        new = TicketSecrets.fresh().current
        return await self._serve_by(lambda before: before.rotated(new), now_in_utc(), is_rotated=True)

    async def _serve_by(
        self, change: Callable[[TicketSecrets], TicketSecrets], since: datetime, *, is_rotated: bool
    ) -> bool:
        losses: list[Exception] = []

        def keep(edition: Edition) -> None:
            try:
                self._safe.keep(edition.loaded, edition.tickets, since)
            except (SealedFileUnusable, ConfigError, OSError) as error:
                losses.append(error)  # the new secret serves without a copy on disk

        try:
            await self._renew(lambda edition, number: edition.with_tickets(number, change(edition.tickets)), keep)
        except ConfigError as error:
            self._tell(TicketRotationFailed(str(error)))
            return False
        self._safe.since = since
        for loss in losses:
            self._tell(TicketsNotKept(str(loss)))
        if is_rotated:
            self._rotated()
            self._tell(TicketsRotated())
        return True
