"""An edition of the same files with other secrets, brought to all workers."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from proxy.net.in_thread import in_thread
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.reloads.reloading import Prepared, Reloading
from proxy.supervisor.workers.fleet import Fleet


class EditionOwner(Protocol):
    """Whoever knows what is served."""

    @property
    def edition(self) -> Edition:
        """What is served."""

    def next_number(self) -> int:
        """The number of an edition that has none yet."""

    def served(self, prepared: Prepared) -> None:
        """An edition that differs in secrets only serves in all workers."""


class Renewal:
    """Prepares, keeps, commits."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fleet: Fleet, reloading: Reloading, owner: EditionOwner
    ) -> None:
        """Nothing is done yet."""
        self._loop = loop
        self._fleet = fleet
        self._reloading = reloading
        self._owner = owner

    async def __call__(self, change: Callable[[Edition, int], Edition], keep: Callable[[Edition], None]) -> None:
        """Serve by what `change` makes of the edition, after `keep` has written what must not be lost; both run in a thread.

        Raises `ConfigError`, or what these raise: nothing has changed then.
        """
        async with self._fleet.editing:
            before, number = self._owner.edition, self._owner.next_number()
            edition = await in_thread(self._loop, lambda: change(before, number))
            prepared = await self._reloading.prepare(edition)
            try:
                await in_thread(self._loop, lambda: keep(edition))
            except BaseException:
                await self._reloading.abandon(prepared)
                raise
            await self._reloading.commit(prepared)
            self._owner.served(prepared)
