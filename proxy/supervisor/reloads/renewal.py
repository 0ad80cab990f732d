"""Other secrets for the same configuration: all workers serve by them, or none does."""

import asyncio
from collections.abc import Awaitable, Callable

from proxy.net.in_thread import in_thread
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.reloading import Prepared, Reloading


class Renewal:
    """Lets workers prepare, writes the new secrets to disk, and commits."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        reloading: Reloading,
        served: ServedEdition,
        commit: Callable[[Prepared], Awaitable[None]],
    ) -> None:
        """`commit` brings a prepared edition into service (`Changeover.renew`)."""
        self._loop = loop
        self._reloading = reloading
        self._served = served
        self._commit = commit

    async def __call__(self, change: Callable[[Edition, int], Edition], keep: Callable[[Edition], None]) -> None:
        """Serve by the edition that `change` makes, after `keep` has written its secrets to disk.

        Both run in a thread. Raises `ConfigError`, or what `change` and `keep` raise. The old
        edition then goes on serving.
        """
        async with self._reloading.changing():
            before, number = self._served.edition, self._served.next_number()
            edition = await in_thread(self._loop, lambda: change(before, number))
            prepared = await self._reloading.prepare(edition)
            try:
                await in_thread(self._loop, lambda: keep(edition))
            except BaseException:
                await self._reloading.abandon(prepared)
                raise
            await self._commit(prepared)
