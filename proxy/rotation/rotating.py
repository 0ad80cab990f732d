"""Keeps the certificates of a running proxy fresh: plans, rotates what is due, logs, looks again.

This is one loop of the parent. It sleeps until a rotation is due, a minute at most. Each issuer has
one call at a time. Certificates come into service only by the two-phase swap.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from cryptography import x509

from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.issuer import FailureKind
from certs.rotation.attempt import RotationStep, Task
from certs.rotation.due import RenewalReason
from certs.rotation.parts import Parts, changed_issuers
from certs.rotation.planning import Instant, Key, Plan, Planner, RotationStatus
from certs.tokens.token_use import KeyPlace
from config.tables.rotation import IssuedCredential
from proxy.api.certificates import CertificateRow, RotationLine
from proxy.net.tasks import Tasks
from proxy.net.waiting import happened
from proxy.observe.events.event import Tell
from proxy.observe.scrape import RotationFacts
from proxy.rotation.clocks import Clocks
from proxy.rotation.fleet_rotation import FleetRotation
from proxy.rotation.housekeeping import Housekeeping
from proxy.rotation.issuer_calls import IssuerCalls
from proxy.rotation.knowledge import Knowledge, KnownCredential
from proxy.rotation.memory.kept import Kept
from proxy.rotation.news import News
from proxy.rotation.running import NotRenewed, Renewed, Run, Swap
from proxy.rotation.steps import GONE, Listeners, busy, last_word, waiting
from proxy.rotation.ways_back import Asked
from proxy.trust.published_lists import PublishedLists

_NOTHING_TO_DO_SECONDS: Final = 3_600.0
_HELD_SECONDS: Final = 5.0
"""This node may join its fleet, or lead it, at any moment."""


class Rotating:
    """Looks after certificates from `follow` on, and rotates them while `run` runs."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tasks: Tasks, swap: Swap, tell: Tell, clocks: Clocks) -> None:
        self._tasks = tasks
        self._swap = swap
        self._clocks = clocks
        self._planner = Planner(0.0, clocks.jitter)
        self._news = News(tell)
        self._kept = Kept(loop, tell)
        self._housekeeping = Housekeeping(loop, tell)
        self._knowledge = Knowledge(loop)
        self._count: Callable[[], Awaitable[Mapping[str, int]]] | None = None
        self._parts: Parts | None = None
        self._plan: Plan | None = None
        self._calls = IssuerCalls(loop, tasks, clocks, self._knowledge, self._news, self._changed)
        self._running: set[Key] = set()
        self._listeners = Listeners()
        self.fleet: Final = FleetRotation(loop, tasks, self._knowledge, self._listeners, self._granted)
        self._wake = self.fleet.news
        self._moved = asyncio.Event()
        self.rotations = {"ok": 0, "failed": 0}
        """Rotations since the start, by outcome."""
        self.is_resting = False
        """Whether nothing new begins."""

    # -- what the parent does with it

    async def follow(self, parts: Parts | None) -> None:
        """Look after the credentials of a configuration from now on."""
        before, self._parts = self._parts, parts
        is_first = before is None
        if parts is not None:
            self._planner.renew_when_left = parts.loaded.config.rotation.renew_when_left
            if is_first:
                await self._housekeeping.recovered(parts)
                await self._kept.take_up(parts.store, self._take_up)
        if before is not None and parts is not None:
            for issuer in changed_issuers(before, parts):
                self._planner.issuer_changed(issuer)
        await self._knowledge.follow(parts)
        self._news.follow(self._knowledge.credentials)
        # rotations in flight tell their own end
        for key in self._listeners.keys - self._knowledge.credentials.keys() - self._running:
            self._listeners.end(key, GONE)
        self._wake.set()

    async def run(self) -> None:
        """Rotate until cancelled."""
        while True:
            self._wake.clear()
            seconds = await self.turn()
            self._moved.set()
            await happened(self._wake, seconds)

    async def first_round(self, seconds: float) -> None:
        """Wait until each missing certificate is there or was tried once, at most `seconds`.

        A node that has not joined its fleet gets none: it is not waited for.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._is_any_to_come:
                    self._moved.clear()
                    await self._moved.wait()

    @property
    def _is_any_to_come(self) -> bool:
        fellows = self._knowledge.fellows
        is_outside = fellows is not None and fellows.is_outside
        return not is_outside and any(key not in self._news.errors for key in self._knowledge.missing)

    def count_by(self, count: Callable[[], Awaitable[Mapping[str, int]]]) -> None:
        """`count` tells the signatures by identity since the start of the process."""
        self._count = count

    def keys_missing(self, missing: Collection[KeyPlace]) -> None:
        """Exactly these keys are missing in tokens that work: see whether they are lost."""
        if self._knowledge.suspect(missing):
            self._tasks.start(self._changed())

    @property
    def lists(self) -> PublishedLists:
        return self._housekeeping.lists

    # -- what commands ask for

    def listing(self) -> list[CertificateRow]:
        """Every issued credential, as a document."""
        return self._knowledge.listing(self.standings, self._news.errors, self._running, self._clocks.wall())

    @property
    def standings(self) -> dict[Key, RotationStatus]:
        known = {} if self._plan is None else self._plan.standings
        return {key: one for key, one in known.items() if key in self._knowledge.credentials}

    def facts(self) -> list[RotationFacts]:
        return self._news.facts(self.standings)

    def keys(self, identity: str, slot: str | None) -> list[Key]:
        return self._knowledge.keys(identity, slot)

    async def rotate(
        self, keys: Sequence[Key], reason: RenewalReason, *, insists: bool = False
    ) -> AsyncIterator[tuple[Key, RotationLine]]:
        """Rotate at once, and tell each step with its credential. The last step of each has `ok`.

        If an issuer asked to wait, its credentials wait, unless an operator `insists` or a key is
        compromised. They are told last. Rotations continue if the caller stops listening. What a
        fleet shares is rotated by the node that leads.
        """
        shared = [key for key in keys if self.fleet.is_shared(key)]
        own = [key for key in keys if key not in shared]
        async for key, step in self._rotate_here(own, reason, insists=insists):
            yield key, step
        parts = self._parts
        assert parts is not None  # there are no credentials without
        for key in shared:
            async for step in self.fleet.rotate(parts, key, reason, insists=insists):
                yield key, step

    async def _granted(self, key: Key, reason: RenewalReason, *, insists: bool) -> AsyncIterator[RotationLine]:
        async for _, step in self._rotate_here([key], reason, insists=insists):
            yield step

    async def _rotate_here(
        self, keys: Sequence[Key], reason: RenewalReason, *, insists: bool
    ) -> AsyncIterator[tuple[Key, RotationLine]]:
        with contextlib.ExitStack() as stack:
            steps = {key: stack.enter_context(self._listeners.listening(key)) for key in keys}
            for key in keys:
                self._planner.ask(key, reason, insists=insists)
            now = self._clocks.now()
            standings = self._planner.plan(self._knowledge.facts, now).standings
            before = {key: self._before(key, now, standings[key].waits_seconds) for key in keys}
            if reason.needs_a_new_key_at_once and self._parts is not None:
                await self._remember(self._parts)  # in case this process ends before it is done
            self._wake.set()
            for key in sorted(keys, key=lambda key: standings[key].waits_seconds > 0):
                for note in before[key]:
                    yield key, note
                async for step in steps[key]:
                    yield key, step

    def _before(self, key: Key, now: Instant, waits: float) -> list[RotationLine]:
        """The steps of a credential that is not tried at once."""
        issuer = self._knowledge.credentials[key].asked.issuer
        if waits > 0:
            return [waiting(issuer, now.wall, waits, self._news.errors.get(key))]
        return [busy(issuer)] if issuer in self._calls.busy else []

    async def roll_back(self, keys: Sequence[Key]) -> Sequence[Renewed | NotRenewed]:
        """Serve by the previous versions again: all of these, or none. Returns each outcome.

        All stay if a key that serves is marked as compromised.
        """
        parts = self._parts
        credentials = [self._knowledge.credentials[key] for key in keys]
        assert parts is not None  # there are no credentials without
        asked = [
            Asked(one.shelf, self._planner.is_compromised(key)) for key, one in zip(keys, credentials, strict=True)
        ]
        self._running.update(keys)  # no command marks them meanwhile
        try:
            outcomes = await self._housekeeping.roll_back(
                parts, asked, self._swap, self._clocks.wall(), partial(self.fleet.share, parts)
            )
        finally:
            self._running.difference_update(keys)
        for key, credential, outcome in zip(keys, credentials, outcomes, strict=True):
            if isinstance(outcome, Renewed):
                self._is_replaced(key, credential.asked, outcome.leaf)
        await self._changed()
        return outcomes

    @property
    def is_busy(self) -> bool:
        """Whether work for a certificate is in progress."""
        return bool(self._calls.busy or self._running)

    def is_running(self, key: Key) -> bool:
        """Whether a credential is being rotated now."""
        return key in self._running

    # -- a turn of the loop

    async def turn(self) -> float:
        """Do what is due now. Returns the seconds until the next look."""
        parts = self._parts
        if parts is None or self.is_resting:
            return 5.0 if self.is_resting else _NOTHING_TO_DO_SECONDS  # a rest is short
        await self._count_uses(parts)
        if self._knowledge.suspects or self.fleet.has_news():
            await self._knowledge.learn()
        now = self._clocks.now()
        if not self._calls.busy:
            await self._housekeeping.look_after(parts, now.wall, now.ticks)
        fellows = self._knowledge.fellows
        renews = fellows is None or fellows.may_issue
        await self.lists.look_after(parts, self._calls.busy, now.ticks, renews=renews)
        if fellows is not None:
            await self.fleet.follow(fellows, parts, self._running)
        facts = self._knowledge.facts
        self._plan = plan = self._planner.plan(facts, now, frozenset(self._calls.busy), self._running)
        held: list[Key] = []
        if fellows is not None:
            held = [key for key, one in plan.standings.items() if one.due.at <= now.wall and facts[key].is_held]
            self._news.held(held, fellows.why_not, now.ticks)
        self._news.standings(plan.standings, now.ticks)
        for key, _ in plan.attempts:
            credential = self._knowledge.credentials[key]
            self._calls.busy.add(credential.asked.issuer)
            self._running.add(key)
            self._tasks.start(self._attempt(parts, key, credential, plan.standings[key]))
        self._calls.begin(parts)
        return min(plan.sleep_seconds, _HELD_SECONDS if held else plan.sleep_seconds)

    async def _attempt(self, parts: Parts, key: Key, credential: KnownCredential, standing: RotationStatus) -> None:
        asked = credential.asked
        issuer = parts.issuers[asked.issuer]
        reason = standing.due.reason
        heeds = standing.heeds_seconds
        task = Task(credential.shelf, asked.key, credential.names, issuer, asked.settings.profile, reason, heeds)
        try:
            self._news.begun(key, reason.value)
            await self._remember(parts)
            outcome = await self._run(parts, key, task, standing.failures)
            self._ended(key, asked, outcome)
            if reason.needs_a_new_key_at_once or reason is RenewalReason.FLEET:
                now = self._clocks.now()
                await self._housekeeping.look_after(parts, now.wall, now.ticks, at_once=True)
                self._calls.revoke_soon()
        except BaseException:
            self._listeners.end(key, {"ok": False, "detail": "internal error, see the log"})
            raise
        finally:
            self._calls.busy.discard(asked.issuer)
            self._running.discard(key)
        await self._remember(parts)
        await self._changed()
        self._listeners.end(key, last_word(outcome))

    async def _run(self, parts: Parts, key: Key, task: Task, failures: int) -> Renewed | NotRenewed:
        """Take what the fleet has, or ask the issuer in the name of the fleet, or alone."""
        fellows = self._knowledge.fellows
        issuer = task.issuer.name

        def run(task: Task) -> Coroutine[Any, Any, Renewed | NotRenewed]:
            made = Run(asyncio.get_running_loop(), task, parts, self._swap, self._clocks.wall)
            return made.run(lambda step: self._listeners.tell(key, step), failures)

        if fellows is not None and task.reason is RenewalReason.FLEET:
            task = replace(task, edition=fellows.edition(key))
        elif fellows is not None and self._knowledge.credentials[key].is_shared:
            task = replace(task, sharing=fellows.sharing(key, parts))
        elif fellows is not None:
            async with fellows.turn(issuer, parts.loaded.config.rotation.issue_seconds) as has_turn:
                if has_turn:
                    return await run(task)
            detail = f"another node of the fleet asks issuer {issuer} now"
            return NotRenewed(RotationStep.ISSUE, FailureKind.TEMPORARY, detail, of_issuer=False)
        return await run(task)

    def _is_replaced(self, key: Key, asked: IssuedCredential, leaf: x509.Certificate) -> None:
        now = self._clocks.now()
        self._planner.succeeded(key, asked.issuer, leaf.not_valid_before_utc, leaf.not_valid_after_utc, now)

    def _ended(self, key: Key, asked: IssuedCredential, outcome: Renewed | NotRenewed) -> None:
        now = self._clocks.now()
        if isinstance(outcome, Renewed):
            self.rotations["ok"] += 1
            self._is_replaced(key, asked, outcome.leaf)
            self._news.renewed(key, outcome)
            return
        self.rotations["failed"] += 1
        if outcome.of_issuer:
            self._planner.issuer_failed(asked.issuer, key, outcome.kind, outcome.retry_after, now)
        else:
            self._planner.credential_failed(key, outcome.kind, now)
        self._news.failed(key, outcome)

    # -- what is counted, kept and told

    async def _count_uses(self, parts: Parts) -> None:
        if self._count is not None and self._knowledge.limits_uses and await self._knowledge.count(await self._count()):
            await self._remember(parts)

    async def _remember(self, parts: Parts) -> None:
        # an internal CA has no limits: after a crash it is asked again at once
        limited = {name for name, issuer in parts.issuers.items() if not isinstance(issuer, InternalAuthority)}
        waits = self._planner.remembered(self._clocks.now(), sorted(limited.intersection(self._calls.busy)))
        await self._kept.keep(parts.store, {"waits": waits, "uses": self._knowledge.uses.as_json()})

    def _take_up(self, document: Any) -> None:
        self._planner.remember(document["waits"], self._clocks.now())
        self._knowledge.uses.take_up(document["uses"])

    async def _changed(self) -> None:
        await self._knowledge.learn()
        self._wake.set()
        self._moved.set()
