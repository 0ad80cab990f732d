"""What issuers are asked beside new certificates: to revoke compromised ones, and when to renew
(ARI).

Each issuer has one call at a time, those of rotations included.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from certs.issuing.issuer import IssueFailed
from certs.rotation.facts import leaf_of
from certs.rotation.parts import Parts
from certs.rotation.planning import Key
from certs.rotation.revoking import revoke_compromised
from certs.storage.shelf import ShelfDamaged, StoredVersion
from proxy.net.in_thread import in_thread
from proxy.net.tasks import Tasks
from proxy.rotation.clocks import Clocks
from proxy.rotation.knowledge import Knowledge, KnownCredential
from proxy.rotation.news import News
from proxy.rotation.running import LOCAL_SECONDS

_REVOKE_AGAIN_SECONDS: Final = 600.0


class IssuerCalls:
    """The calls to issuers that are not rotations, and which issuers have a call in progress."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        clocks: Clocks,
        knowledge: Knowledge,
        news: News,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._loop = loop
        self._tasks = tasks
        self._clocks = clocks
        self._knowledge = knowledge
        self._news = news
        self._changed = changed
        self._revoke_at = 0.0
        self.busy: Final[set[str]] = set()
        """Issuers with a call in progress."""

    def begin(self, parts: Parts) -> None:
        now = self._clocks.now().ticks
        if now >= self._revoke_at and self._revoke_what_is_left(parts):
            self._revoke_at = now + _REVOKE_AGAIN_SECONDS
        self._ask_for_windows(parts)

    def revoke_soon(self) -> None:
        """A compromised key was replaced: revoke with the next calls."""
        self._revoke_at = 0.0

    def _revoke_what_is_left(self, parts: Parts) -> bool:
        """Begin to revoke. Tells whether all could begin: each issuer has one call at a time."""
        left = [
            (key, one)
            for key, one in self._knowledge.credentials.items()
            if one.serving.is_unrevoked and not one.facts(self._knowledge.fellows).is_held
        ]
        for key, credential in left:
            issuer = credential.asked.issuer
            if issuer in self.busy:
                return False
            self.busy.add(issuer)
            self._tasks.start(self._revoke(parts, key, credential))
        return True

    async def _revoke(self, parts: Parts, key: Key, credential: KnownCredential) -> None:
        seconds = parts.loaded.config.rotation.issue_seconds
        try:
            async with asyncio.timeout(seconds):
                faults = await in_thread(
                    self._loop, lambda: revoke_compromised(credential.shelf, parts.issuers, self._clocks.wall())
                )
        except (ShelfDamaged, OSError, TimeoutError) as error:
            faults = [str(error) or f"it took longer than {seconds:g} s"]
        finally:
            self.busy.discard(credential.asked.issuer)
        self._news.revoked(key, faults)
        await self._changed()

    def _ask_for_windows(self, parts: Parts) -> None:
        serials = self._knowledge.serials
        for key in self._knowledge.windows.to_ask(serials, self._clocks.now()):
            credential = self._knowledge.credentials[key]
            issuer = credential.asked.issuer
            version = credential.serving.version
            if version is None or issuer in self.busy or version.intent.issuer != issuer:
                continue
            if credential.facts(self._knowledge.fellows).is_held:
                continue
            self.busy.add(issuer)
            self._tasks.start(self._ask_for_window(parts, key, issuer, version, serials[key]))

    async def _ask_for_window(self, parts: Parts, key: Key, issuer: str, version: StoredVersion, serial: str) -> None:
        windows = self._knowledge.windows
        try:
            async with asyncio.timeout(LOCAL_SECONDS):
                window = await in_thread(self._loop, lambda: parts.issuers[issuer].renewal_window(leaf_of(version)))
        except (IssueFailed, ShelfDamaged, TimeoutError) as error:
            windows.failed(key, serial, self._clocks.now())
            self._news.window_unknown(issuer, str(error))
        else:
            windows.said(key, serial, window, self._clocks.now())
        finally:
            self.busy.discard(issuer)
        await self._changed()
