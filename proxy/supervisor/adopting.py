"""Keeps the days of `observe.adoption` over restarts: the parent takes the workers' counts every
few minutes, and at the end.

A file that cannot be read or written is told, and is never an obstacle to a start.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from config.loading.loaded import LoadedConfig
from proxy.api.adoption import AdoptionDocument
from proxy.net.in_thread import in_thread
from proxy.observe.adoption import Adoption, parse_adoption, taken
from proxy.observe.adoption_store import AdoptionStore, AdoptionUnreadable
from proxy.observe.counts.merging import Retained, merge
from proxy.observe.events.adoption import AdoptionNotKept, AdoptionSetAside
from proxy.observe.events.event import Tell
from proxy.observe.scrape import ListenerFacts
from proxy.supervisor.workers.contracts import CountedWorker

# A crash of the parent loses the counts of so long. A take is one question to each worker.
_SECONDS: Final = 300.0
_SCRAPE_SECONDS: Final = 2.0


class Adopting:
    """Runs for as long as the parent does."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        scrape: Callable[[float], Awaitable[Iterable[CountedWorker]]],
        ended: Retained,
        tell: Tell,
        clock: Callable[[], float],
    ) -> None:
        """`restore` comes next.

        `scrape` asks all workers for their figures, for up to the seconds that it is given.
        `ended` has the counts of workers that ended. `clock` gives UNIX seconds.
        """
        self._loop = loop
        self._scrape = scrape
        self._ended = ended
        self._listeners: Callable[[], Iterable[ListenerFacts]]
        self._tell = tell
        self._clock = clock
        self._store: AdoptionStore
        self._adoption = Adoption()
        self._writer: Final = secrets.token_hex(8)
        self._is_failing = False
        self._is_changed = False
        self._is_followed = False

    def restore(self, loaded: LoadedConfig, listeners: Callable[[], Iterable[ListenerFacts]]) -> None:
        """Begin with what an earlier process kept. A file that is damaged is set aside.

        `listeners` are those of the served configuration.
        """
        self._listeners = listeners
        self._store = AdoptionStore.of(loaded)
        try:
            self._adoption = self._store.read()
        except AdoptionUnreadable as error:
            self._set_aside(error.found)
        except OSError as error:
            self._not_kept(error)

    def take_over(self, document: object) -> None:
        """Begin with what an older process counted until now. Raises `AdoptionMalformed`."""
        self._adoption = parse_adoption(document)
        self._is_changed = True

    def _set_aside(self, found: str) -> None:
        path = str(self._store.path)
        try:
            self._tell(AdoptionSetAside(path, found, str(self._store.set_aside())))
        except OSError as error:
            self._not_kept(error)

    async def document(self) -> AdoptionDocument:
        """The document of `GET /adoption`, with the counts of this moment."""
        await self._take()
        return self._document()

    async def run(self) -> None:
        """Take and keep the counts from time to time."""
        while True:
            await asyncio.sleep(_SECONDS)
            await self.keep()

    async def keep(self) -> None:
        """Take the counts, and write them if they have changed."""
        await self._take()
        if self._is_changed and not self._is_followed:
            document = self._document()
            self._is_changed = False
            try:
                await in_thread(self._loop, lambda: self._write(document))
                self._is_failing = False
            except OSError as error:
                self._not_kept(error)

    def finish(self) -> None:
        """Keep the counts of all workers. They have ended."""
        self._take_from([])
        if self._is_changed and not self._is_followed:
            try:
                self._write(self._document())
            except OSError as error:
                self._not_kept(error)

    def _document(self) -> AdoptionDocument:
        return self._adoption.document(self._clock(), self._writer)

    async def _take(self) -> None:
        self._take_from(await self._scrape(_SCRAPE_SECONDS))

    def _take_from(self, workers: Iterable[CountedWorker]) -> None:
        live = [worker.last.snapshot for worker in workers if worker.last is not None]
        # an older process has kept its counts itself
        counted = merge([taken(one) for one in (self._ended.own, *live)])
        is_new = self._adoption.take(self._clock(), counted, list(self._listeners()))
        self._is_changed = self._is_changed or is_new

    def _write(self, document: AdoptionDocument) -> None:
        """Write, unless a later process has the file: it began with what this one had written."""
        try:
            writer = self._store.read().writer
        except (AdoptionUnreadable, OSError):
            writer = ""
        self._is_followed = writer not in {"", self._adoption.writer, self._writer}
        if not self._is_followed:
            self._store.write(document)

    def _not_kept(self, error: OSError) -> None:
        """Tell it once, and try again at the next time."""
        self._is_changed = True
        if not self._is_failing:
            self._is_failing = True
            self._tell(AdoptionNotKept(str(self._store.path), error.strerror or "an error"))
