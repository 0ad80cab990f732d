"""Reloads: the configuration is read again, and all workers serve by it or none does."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from config.problems import ConfigError
from proxy.admin.contracts import ReloadReport
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.announcements import Announcements
from proxy.supervisor.reloads.changeover import Changeover
from proxy.supervisor.reloads.reloading import Prepared, Reloading, changes_between, report_of, restart_problems
from proxy.supervisor.shared_log import SharedLog
from proxy.supervisor.tokens.tokens import ParentTokens

if TYPE_CHECKING:
    from config.diff import Change

Reread = Callable[[], Awaitable[Edition]]
"""Reads the configuration again, as the next edition. Raises `ConfigError`."""


class Takeover(Protocol):
    """The part of an upgrade that a start waits for."""

    @property
    def wants_reload(self) -> bool:
        """Whether a reload was asked for meanwhile."""

    async def take(self) -> None:
        """All workers are ready. Wait until they may serve beside those of the older process."""

    async def prove(self) -> None:
        """All workers serve. Wait until the older process is no longer needed."""


class Reloads:
    """Brings the configuration to the workers at the start and with each reload."""

    def __init__(  # noqa: PLR0913 - the steps of a reload
        self,
        served: ServedEdition,
        tokens: ParentTokens,
        reloading: Reloading,
        changeover: Changeover,
        log: SharedLog,
        announcements: Announcements,
        reread: Reread,
        followed: Callable[[Edition], Awaitable[None]],
    ) -> None:
        """`followed` is called after an edition with changed files has come into service."""
        self._served = served
        self._tokens = tokens
        self._reloading = reloading
        self._changeover = changeover
        self._log = log
        self._announcements = announcements
        self._reread = reread
        self._followed = followed

    async def start(self, takeover: Takeover | None = None) -> None:
        """Serve by the first edition, perhaps in the place of an older process.

        Raises `ConfigError` after it has ended all workers.
        """
        async with self._reloading.editing:
            edition = self._served.edition
            await self._tokens.begin(edition)
            prepared = await self._reloading.prepare_first(edition, lambda: self._tokens.leave_module(edition.tokens))
            if takeover is not None:
                await self._take(takeover, prepared)
            await self._changeover.commit(prepared)
        if takeover is not None:
            await takeover.prove()
            await self._complete(edition)
        await self._followed(edition)

    async def _take(self, takeover: Takeover, prepared: Prepared) -> None:
        try:
            await takeover.take()
        except BaseException:
            await self._reloading.abandon(prepared)
            raise

    async def _complete(self, edition: Edition) -> None:
        """Make the sockets that were left out while an older process accepted beside this one."""
        if not self._reloading.lacks_sockets(edition):
            return
        try:
            async with self._reloading.changing():
                complete = replace(edition, number=self._served.next_number())
                await self._changeover.renew(await self._reloading.prepare(complete))
        except ConfigError as error:  # the sockets that are there serve
            self._changeover.warn(error.problems)

    async def reload_by(self, cause: str) -> None:
        """Reload without a command. The log has the `cause` and the result."""
        self._announcements.begun(cause)
        self._reloading.standstill.reloads += 1
        try:
            await self.reload(dry_run=False)
        finally:
            self._reloading.standstill.reloads -= 1

    async def reload(self, *, dry_run: bool) -> ReloadReport:
        """Read the configuration again and serve by it. A dry run only reports what would change.

        If the reload fails, the old edition goes on serving.
        """
        changes: Sequence[Change] = ()
        announced = contextlib.nullcontext() if dry_run else self._announcements.to_service_manager()
        async with self._reloading.changing():
            with announced:
                try:
                    edition = await self._reread()
                    changes = changes_between(self._served.edition, edition)
                    problems = restart_problems(changes, edition)
                    if problems:
                        raise ConfigError([*edition.warnings, *problems])  # noqa: TRY301 - reported as all others are
                    async with self._tokens.changing_to(edition):
                        await self._bring(edition, dry_run=dry_run)
                except ConfigError as error:
                    if not dry_run:
                        self._announcements.failed(error)
                    return report_of(self._served.edition, changes, error.problems, ok=False)
        if not dry_run:
            await self._followed(edition)
            self._announcements.succeeded(edition, changes)
        return report_of(self._served.edition, changes, edition.warnings, ok=True)

    async def _bring(self, edition: Edition, *, dry_run: bool) -> None:
        place = self._log.prepare(edition.loaded.file, edition.loaded.config.log)
        try:
            prepared = await self._reloading.prepare(edition)
            if dry_run:
                await self._reloading.abandon(prepared)
                return
            await self._changeover.commit(prepared)
            await self._log.use(place)
        finally:
            place.close()
