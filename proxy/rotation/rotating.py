"""Keeps the certificates of a running proxy fresh: plans, runs what is due, tells, and looks again.

One loop of the parent. It sleeps until something is due, a minute at most; has one call at a time for each issuer; and never touches
what serves but through the two-phase swap. A reload hands it other parts, by which it goes on with what it knows.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from certs.issuing.issuer import IssueFailed
from certs.rotation.attempt import Task
from certs.rotation.due import Current, Reason
from certs.rotation.facts import current_of, leaf_of, wanted_of
from certs.rotation.parts import Parts
from certs.rotation.planning import Facts, Key, Plan, Planner, Standing
from certs.storage.shelf import Shelf, ShelfDamaged, StoredVersion
from config.rotation import IssuedCredentialConfig
from proxy.in_thread import in_thread
from proxy.rotation.clocks import Clocks
from proxy.rotation.housekeeping import Housekeeping
from proxy.rotation.listing import Row, document
from proxy.rotation.news import News
from proxy.rotation.running import LOCAL_SECONDS, Host, NotRenewed, Renewed, Run
from proxy.rotation.waits import WaitsFile
from proxy.rotation.windows import Windows
from proxy.tasks import Tasks

_NOTHING_TO_DO_SECONDS: Final = 3_600.0
_END: Final[dict[str, Any]] = {}


class RotationOwner(Host, Protocol):
    """What the loop needs of the parent around it."""

    def tell(self, event: dict[str, Any], line: str) -> None:
        """Log something."""


@dataclass(frozen=True, slots=True)
class _Serving:
    """What serves of one credential, as far as it can be read (`fault`)."""

    version: StoredVersion | None = None
    current: Current | None = None
    serial: str | None = None
    fault: str | None = None


@dataclass(slots=True)
class _Credential:
    """One credential of the configuration."""

    settings: IssuedCredentialConfig
    names: tuple[str, ...]
    shelf: Shelf
    serving: _Serving = _Serving()

    @property
    def facts(self) -> Facts:
        """The planner's view of it."""
        wanted = wanted_of(self.names, self.settings)
        return Facts(wanted, self.serving.current, is_unusable=self.serving.fault is not None)


class Rotating:
    """Looks after certificates from `follow` on, and rotates them while `run` runs."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tasks: Tasks, owner: RotationOwner, clocks: Clocks) -> None:
        """Nothing is read or written yet."""
        self._loop = loop
        self._tasks = tasks
        self._owner = owner
        self._clocks = clocks
        self._planner = Planner(0.0, clocks.jitter)
        self._news = News(loop, tasks, owner.tell)
        self._waits = WaitsFile(loop, owner.tell)
        self._housekeeping = Housekeeping(loop, owner.tell)
        self._windows = Windows()
        self._parts: Parts | None = None
        self._credentials: dict[Key, _Credential] = {}
        self._busy: set[str] = set()
        self._running: set[Key] = set()
        self._errors: dict[Key, str] = {}
        self._listeners: dict[Key, list[asyncio.Queue[dict[str, Any]]]] = {}
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self.plan: Plan | None = None
        """The last one."""
        self.rotations = {"ok": 0, "failed": 0}
        """How many have ended how, since the start."""

    # -- what the parent does with it

    async def follow(self, parts: Parts | None) -> None:
        """Look after the credentials of a configuration from now on."""
        is_first, self._parts = self._parts is None, parts
        made: dict[Key, _Credential] = {}
        if parts is not None:
            config = parts.loaded.config
            self._planner.renew_when_left = config.rotation.renew_when_left
            for name, _, settings, shelf in parts.store.of_config(config):
                made[name, shelf.slot] = _Credential(settings, config.identity[name].names, shelf)
            if is_first:
                await self._housekeeping.recovered(parts)
                await self._waits.take_up(parts.store, self._planner, self._clocks.now())
        self._credentials = made
        self._errors = {key: error for key, error in self._errors.items() if key in made}
        await self._changed()

    async def run(self) -> None:
        """Rotate until cancelled."""
        while True:
            self._wake.clear()
            seconds = await self._turn()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()

    async def first_round(self, seconds: float) -> None:
        """Wait until everything that was missing is there or was tried once, for `seconds` at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._untried:
                    self._moved.clear()
                    await self._moved.wait()

    @property
    def _untried(self) -> bool:
        missing = (key for key, one in self._credentials.items() if one.serving.version is None)
        return any(key not in self._errors for key in missing)

    # -- what commands ask for

    def listing(self) -> list[dict[str, Any]]:
        """Every issued credential, as a document."""
        now = self._clocks.wall()
        standings = self.standings
        return [
            document(
                Row(
                    key,
                    wanted_of(one.names, one.settings),
                    one.serving.current,
                    standings.get(key),
                    None if one.serving.version is None else one.serving.version.number,
                    one.serving.serial,
                    self._errors.get(key),
                    key in self._running,
                ),
                now,
            )
            for key, one in sorted(self._credentials.items())
        ]

    @property
    def standings(self) -> dict[Key, Standing]:
        """Where each credential is."""
        return (
            {}
            if self.plan is None
            else {key: one for key, one in self.plan.standings.items() if key in self._credentials}
        )

    def keys(self, identity: str, slot: str | None) -> list[Key]:
        """The credentials of an identity, or one of them."""
        return [key for key in sorted(self._credentials) if key[0] == identity and slot in (None, key[1])]

    async def rotate(self, key: Key, reason: Reason) -> AsyncIterator[dict[str, Any]]:
        """Rotate one credential as soon as its issuer may be asked, and tell each step; the last one has `ok`.

        Whoever stops listening stops nothing.
        """
        with self._listening(key) as steps:
            self._planner.ask(key, reason)
            plan = self._planner.plan(self._facts(), self._clocks.now(), frozenset(self._busy))
            waits = plan.standings[key].waits_seconds
            issuer = self._credentials[key].settings.issuer
            if waits > 0:
                yield {
                    "step": "waiting",
                    "seconds": round(waits, 1),
                    "detail": f"{issuer} failed, and is left alone for now",
                }
            self._wake.set()
            while (step := await steps.get()) is not _END:
                yield step

    async def roll_back(self, key: Key) -> Renewed | NotRenewed:
        """Serve by the version before again."""
        parts, credential = self._parts, self._credentials[key]
        assert parts is not None  # there are no credentials without
        outcome = await self._housekeeping.roll_back(parts, credential.shelf, self._owner, self._clocks.wall())
        if isinstance(outcome, Renewed):
            lifetime = outcome.leaf.not_valid_after_utc - outcome.leaf.not_valid_before_utc
            self._planner.succeeded(key, credential.settings.issuer, lifetime, self._clocks.now())
        await self._changed()
        return outcome

    def is_running(self, key: Key) -> bool:
        """Whether a credential is being rotated at this moment."""
        return key in self._running

    # -- a turn of the loop

    async def _turn(self) -> float:
        parts = self._parts
        if parts is None:
            return _NOTHING_TO_DO_SECONDS
        now = self._clocks.now()
        if not self._busy:
            await self._housekeeping.look_after(parts, now.wall, now.ticks)
        self.plan = plan = self._planner.plan(self._facts(), now, frozenset(self._busy))
        errors = {key: self._errors.get(key) for key in plan.standings}
        self._news.standings(plan.standings, errors, parts.loaded.config.rotation)
        for key, reason in plan.attempts:
            self._busy.add(self._credentials[key].settings.issuer)
            self._running.add(key)
            self._tasks.start(self._attempt(parts, key, self._credentials[key], reason))
        self._ask_for_windows(parts)
        return plan.sleep_seconds

    async def _attempt(self, parts: Parts, key: Key, credential: _Credential, reason: Reason) -> None:
        settings = credential.settings
        task = Task(
            credential.shelf, settings.key, credential.names, parts.issuers[settings.issuer], settings.profile, reason
        )
        failures = self.standings[key].failures
        try:
            self._news.begun(key, reason.value)
            await self._waits.keep(parts.store, self._planner, self._clocks.now(), sorted(self._busy))
            run = Run(self._loop, task, parts, self._owner, self._clocks.wall)
            outcome = await run.run(lambda step: self._told(key, step), failures)
            self._ended(parts, key, settings, outcome)
            if reason.needs_a_new_key_at_once:
                now = self._clocks.now()
                await self._housekeeping.look_after(parts, now.wall, now.ticks, at_once=True)
        finally:
            self._busy.discard(settings.issuer)
            self._running.discard(key)
        await self._waits.keep(parts.store, self._planner, self._clocks.now(), sorted(self._busy))
        await self._changed()
        self._told(key, _last_word(outcome))
        self._told(key, _END)

    def _ended(self, parts: Parts, key: Key, settings: IssuedCredentialConfig, outcome: Renewed | NotRenewed) -> None:
        now = self._clocks.now()
        if isinstance(outcome, Renewed):
            self.rotations["ok"] += 1
            self._errors.pop(key, None)
            lifetime = outcome.leaf.not_valid_after_utc - outcome.leaf.not_valid_before_utc
            self._planner.succeeded(key, settings.issuer, lifetime, now)
            self._news.renewed(key, outcome)
            return
        self.rotations["failed"] += 1
        self._errors[key] = f"{outcome.step}: {outcome.detail}"
        if outcome.of_issuer:
            self._planner.issuer_failed(settings.issuer, key, outcome.kind, outcome.retry_after, now)
        else:
            self._planner.credential_failed(key, outcome.kind, now)
        self._news.failed(key, outcome, parts.loaded.config.rotation)

    # -- windows of issuers

    def _ask_for_windows(self, parts: Parts) -> None:
        serials = {key: one.serving.serial for key, one in self._credentials.items() if one.serving.serial is not None}
        for key in self._windows.to_ask(serials, self._clocks.now()):
            credential = self._credentials[key]
            issuer, version = credential.serving.version and credential.settings.issuer, credential.serving.version
            if issuer is None or version is None or issuer in self._busy or version.intent.issuer != issuer:
                continue
            self._busy.add(issuer)
            self._tasks.start(self._ask_for_window(parts, key, issuer, version, serials[key]))

    async def _ask_for_window(self, parts: Parts, key: Key, issuer: str, version: StoredVersion, serial: str) -> None:
        try:
            async with asyncio.timeout(LOCAL_SECONDS):
                window = await in_thread(self._loop, lambda: parts.issuers[issuer].renewal_window(leaf_of(version)))
        except (IssueFailed, ShelfDamaged, TimeoutError) as error:
            self._windows.failed(key, serial, self._clocks.now())
            event = {"event": "window_unknown", "issuer": issuer, "detail": str(error)}
            self._owner.tell(event, f"{issuer} did not say when it wants certificates renewed: {error}")
        else:
            self._windows.said(key, serial, window, self._clocks.now())
        finally:
            self._busy.discard(issuer)
        await self._changed()

    # -- small parts

    def _facts(self) -> dict[Key, Facts]:
        return {key: one.facts for key, one in self._credentials.items()}

    async def _changed(self) -> None:
        """Learn anew what serves, and plan by it."""
        credentials = list(self._credentials.items())
        read = await in_thread(self._loop, lambda: [self._read(key, one.shelf) for key, one in credentials])
        for (_, credential), serving in zip(credentials, read, strict=True):
            credential.serving = serving
        self._wake.set()
        self._moved.set()

    def _read(self, key: Key, shelf: Shelf) -> _Serving:
        try:
            version = shelf.current()
            if version is None:
                return _Serving()
            serial = f"{leaf_of(version).serial_number:x}"
            return _Serving(version, current_of(version, self._windows.of(key, serial)), serial)
        except (ShelfDamaged, OSError) as error:
            return _Serving(fault=str(error))

    @contextlib.contextmanager
    def _listening(self, key: Key) -> Iterator[asyncio.Queue[dict[str, Any]]]:
        steps: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        listeners = self._listeners.setdefault(key, [])
        listeners.append(steps)
        try:
            yield steps
        finally:
            listeners.remove(steps)

    def _told(self, key: Key, step: dict[str, Any]) -> None:
        for listener in self._listeners.get(key, ()):
            listener.put_nowait(step)


def _last_word(outcome: Renewed | NotRenewed) -> dict[str, Any]:
    if isinstance(outcome, Renewed):
        return {"ok": True, "version": outcome.version, "serial": f"{outcome.leaf.serial_number:x}"}
    return {"ok": False, "step": outcome.step.value, "kind": outcome.kind.value, "detail": outcome.detail}
