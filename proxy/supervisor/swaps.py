"""Changes of issued credentials, by the same two phases as a reload. No file is read again."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from certs.storage.served import ServedFile
from proxy.in_thread import in_thread
from proxy.supervisor.edition import Edition
from proxy.supervisor.fleet import Fleet
from proxy.supervisor.issued import as_material
from proxy.supervisor.reloading import Prepared, Reloading


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
