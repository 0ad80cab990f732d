"""The rotation's exchange with the fleet of this node: offers, and what operators ask for."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Collection
from typing import Final, Protocol

from certs.issuing.issuer import NotShared
from certs.keys.home import HomeFailed
from certs.rotation.attempt import offer
from certs.rotation.due import RenewalReason
from certs.rotation.parts import Parts
from certs.rotation.planning import Key
from certs.rotation.sharing import SharedEdition
from certs.storage.shelf import Shelf, ShelfDamaged, StoredVersion
from proxy.api.certificates import RotationLine
from proxy.net.in_thread import in_thread
from proxy.net.tasks import Tasks
from proxy.rotation.fellows import Answer, Fellows, Wish
from proxy.rotation.knowledge import Knowledge
from proxy.rotation.running import LOCAL_SECONDS
from proxy.rotation.steps import GONE, Listeners


class RotateHere(Protocol):
    """Rotates one credential on this node, and tells the steps."""

    def __call__(self, key: Key, reason: RenewalReason, *, insists: bool) -> AsyncIterator[RotationLine]: ...


class FleetRotation:
    """Does nothing by itself on a node that is alone."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        knowledge: Knowledge,
        listeners: Listeners,
        rotate_here: RotateHere,
    ) -> None:
        self._loop = loop
        self._tasks = tasks
        self._knowledge = knowledge
        self._listeners = listeners
        self._rotate_here = rotate_here
        self._granted: set[str] = set()
        """Wishes: who can write into the store could bring each one back repeatedly."""
        self._has_news = False
        self.news: Final = asyncio.Event()
        """Set when the fleet has changed."""

    def join(self, fellows: Fellows) -> None:
        """This node has a fleet. To be called before the first configuration is followed."""
        self._knowledge.fellows = fellows

    def heard(self) -> None:
        """The fleet, or what this node has of it, has changed."""
        self._has_news = True
        self.news.set()

    def has_news(self) -> bool:
        """Whether something has changed since the last question."""
        found, self._has_news = self._has_news, False
        return found

    def is_shared(self, key: Key) -> bool:
        """Whether the node that leads rotates a credential for all."""
        return self._knowledge.credentials[key].is_shared

    async def rotate(
        self, parts: Parts, key: Key, reason: RenewalReason, *, insists: bool
    ) -> AsyncIterator[RotationLine]:
        """Have the leader rotate, until this node serves by what comes out of it."""
        fellows = self._knowledge.fellows
        assert fellows is not None  # of a shared credential
        before = fellows.edition(key)
        wish = Wish(secrets.token_hex(8), key, reason, insists)
        seconds = 2 * parts.loaded.config.rotation.issue_seconds
        asking = self._tasks.start_to_cancel(self._ask(fellows, wish, seconds))
        is_over = False
        try:
            with self._listeners.listening(key) as steps:
                while not is_over:
                    async for step in steps:
                        # else the end of a rotation before this one
                        is_over = not step.get("ok") or self._serves_another(key, before)
                        if is_over:
                            yield step
        finally:
            asking.cancel()

    def _serves_another(self, key: Key, before: SharedEdition | None) -> bool:
        """Whether this node serves by the newest edition, and that came after `before`."""
        fellows = self._knowledge.fellows
        assert fellows is not None
        edition = fellows.edition(key)
        known = self._knowledge.credentials.get(key)
        if edition is None or edition == before or known is None or known.serving.version is None:
            return False
        return known.serving.version.intent.edition == edition.number

    async def _ask(self, fellows: Fellows, wish: Wish, seconds: float) -> None:
        try:
            answer = await fellows.wish(wish, seconds)
        except NotShared as error:
            answer = Answer(is_fulfilled=False, detail=str(error))
        if not answer.is_fulfilled:
            self._listeners.end(wish.key, {"ok": False, "detail": answer.detail})

    async def follow(self, fellows: Fellows, parts: Parts, running: Collection[Key]) -> None:
        """Exchange what needs no issuer, except for credentials that are `running`."""
        if await fellows.share_authorities(parts):
            self.heard()
        if not fellows.may_issue:
            return
        for key, one in self._knowledge.credentials.items():
            version = one.serving.version
            if not one.is_shared or version is None or key in running or one.serving.imposed is not None:
                continue
            edition = fellows.edition(key)
            if edition is None or edition.number < version.intent.edition:
                await self._offer(parts, one.shelf, version)
        for wish in fellows.wishes:
            if wish.id not in self._granted:
                self._granted.add(wish.id)
                self._tasks.start(self._grant(fellows, wish))

    async def _offer(self, parts: Parts, shelf: Shelf, version: StoredVersion) -> None:
        """Let the fleet have what this node serves by: it founds it, or the store has lost it."""
        failures = (HomeFailed, NotShared, OSError, ShelfDamaged, TimeoutError)
        with contextlib.suppress(*failures):  # the next turn tries again
            async with asyncio.timeout(LOCAL_SECONDS):
                await in_thread(self._loop, lambda: self.share(parts, shelf, version))
            self.heard()

    def share(self, parts: Parts, shelf: Shelf, version: StoredVersion) -> None:
        """Let the fleet serve by a version, if there is one. Blocks. Raises as `offer`."""
        key = shelf.identity, shelf.slot
        fellows = self._knowledge.fellows
        if fellows is not None and self.is_shared(key):
            if not fellows.may_issue:
                raise NotShared(fellows.why_not)
            offer(shelf, version, parts.homes, fellows.sharing(key, parts))

    async def _grant(self, fellows: Fellows, wish: Wish) -> None:
        """Rotate what an operator has asked for on some node. The new edition is the answer: who
        writes it removes the wish.
        """
        try:
            before = fellows.edition(wish.key)
            # else a rotation before this one has ended, or others have brought the wish back
            while wish in fellows.wishes and fellows.edition(wish.key) == before:
                last: RotationLine = GONE
                if wish.key in self._knowledge.credentials:
                    async for step in self._rotate_here(wish.key, wish.reason, insists=wish.insists):
                        last = step if "ok" in step else last
                if not last["ok"]:
                    await fellows.answer(wish, Answer(is_fulfilled=False, detail=last["detail"]))
                    break
        except NotShared:  # the next leader tries it
            self._granted.discard(wish.id)
        except BaseException:
            self._granted.discard(wish.id)
            raise
