"""Renews the keys below the sealing key, and what they have sealed, while the proxy runs."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from certs.hierarchy.configured import files_of
from certs.hierarchy.upkeep import Upkeep
from certs.hierarchy.vault import Vault
from certs.sealing.errors import KeyUnavailable
from config.loading.loaded import LoadedConfig
from config.values.problems import ConfigError
from proxy.net.in_thread import in_thread
from proxy.net.waiting import happened
from proxy.observe.events.event import Tell
from proxy.observe.events.secrets import SealingNotRenewed, SealingRenewed
from proxy.observe.scrape import SealingFacts
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.secrets.safe import Safe

LOOK_SECONDS: Final = 60.0
# All files of the state are looked at when keys were rotated, and then that often while retired
# keys are left: once more in an hour if a file could not be sealed again.
_SCAN: Final = timedelta(days=1)
_SCAN_AFTER_FAULT: Final = timedelta(hours=1)
# Between two batches a reload may come.
_BATCH: Final = 50


class SealingRenewal:
    """Runs for as long as the parent does."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        changing: Callable[[], AbstractAsyncContextManager[None]],
        safe: Safe,
        served: ServedEdition,
        tell: Tell,
        clock: Callable[[], datetime],
    ) -> None:
        """`changing` is held while files are written that others could write too."""
        self._loop = loop
        self._changing = changing
        self._safe = safe
        self._served = served
        self._tell = tell
        self._clock = clock
        self._scanned: tuple[frozenset[str], datetime] | None = None
        """The retired keys whose files were sealed again last, and when."""
        self._unsealed: list[str] = []
        """The faults of that time."""
        self._said: str | None = None
        self.facts: SealingFacts | None = None
        """What the last look has found; None without a sealing key, or if nothing is sealed."""

    async def run(self) -> None:
        while True:
            self._served.changed.clear()  # a reload may change the sealing key
            await self.look()
            await happened(self._served.changed, LOOK_SECONDS)

    async def look(self) -> None:
        """Do everything that is due. What fails is tried again with the next look."""
        loaded = self._served.edition.loaded
        key = loaded.config.sealing.key
        if key is None:
            self.facts = None
            return
        errors: list[str] = []
        try:
            vault = await in_thread(self._loop, lambda: self._safe.vault(loaded))
            assert vault is not None  # there is a key
            self.facts = await self._renewed(loaded, vault, errors)
        except (ConfigError, KeyUnavailable, OSError) as error:
            errors.append(str(error))
            self.facts = self.facts or SealingFacts(str(key))
        reason = "; ".join(errors) or None
        self.facts = self.facts and replace(self.facts, error=reason)
        if reason is not None and reason != self._said:
            self._tell(SealingNotRenewed(reason))
        self._said = reason

    async def _renewed(self, loaded: LoadedConfig, vault: Vault, errors: list[str]) -> SealingFacts | None:
        """Raises `ConfigError`, `KeyUnavailable` and `OSError`."""
        now = self._clock()
        told = self._safe.trail.operation
        work = Upkeep(vault, loaded.config.sealing.rotate_after, lambda: files_of(loaded), now, told)
        try:
            document = await in_thread(self._loop, work.renew)
            retired = frozenset(key.id for key in document.hierarchy.retired) if document is not None else frozenset()
            if retired and not self._is_scanned(retired, now):
                await self._scan(work)
                self._scanned = retired, now
                self._unsealed = work.errors
            errors += self._unsealed if retired else ()
            return await in_thread(self._loop, lambda: _facts(vault))
        finally:
            if work.done:
                self._tell(SealingRenewed(work.done))

    def _is_scanned(self, retired: frozenset[str], now: datetime) -> bool:
        pause = _SCAN_AFTER_FAULT if self._unsealed else _SCAN
        return self._scanned is not None and self._scanned[0] == retired and now - self._scanned[1] < pause

    async def _scan(self, work: Upkeep) -> None:
        stale = await in_thread(self._loop, work.stale)
        for start in range(0, len(stale), _BATCH):
            async with self._changing():
                await in_thread(self._loop, partial(work.reseal, stale[start : start + _BATCH]))
        await in_thread(self._loop, work.destroy)


def _facts(vault: Vault) -> SealingFacts | None:
    """The state of the keys, None if there are none. Raises `KeyUnavailable`."""
    document = vault.known()
    if document is None:
        return None
    newest, *previous = document.sealing_keys
    until = next((one.until for one in previous if one.until is not None), None)
    return SealingFacts(
        newest.name,
        None if newest.since is None else newest.since.timestamp(),
        None if until is None else until.timestamp(),
        is_previous=not vault.is_by(newest),
        keys_since={
            key.purpose: key.activated.timestamp()
            for key in document.hierarchy.keys.values()
            if key.protects and key.activated is not None
        },
    )
