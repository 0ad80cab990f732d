"""Stores of fleets in the memory of a test: one that keeps its promises, and one that fails when it is told to."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from proxy.supervisor.membership.shared import (
    LEADER,
    Conflict,
    Leadership,
    Shared,
    SharedAway,
    StoreChange,
    StoreContent,
    Stored,
)

Result = TypeVar("Result")
_FRUITLESS = 3


class MemoryStore:
    """What all nodes of a test share. Its leases end by `expire` alone."""

    def __init__(self) -> None:
        self.entries: dict[str, Stored] = {}
        self.compacted = 0
        """The changes up to this revision are forgotten."""
        self.history: list[StoreChange] = []
        self.revision = 1
        self.token = 0
        self.given_up: list[int] = []
        """The tokens of those that have given up the lead."""
        self.lasting: dict[str, int] = {}
        self.changed = asyncio.Event()
        self.away: str | None = None
        self.asked = 0
        self.now: Callable[[], float] = time.time  # noqa: TID251 - a test may set another one

    def write(self, writes: Mapping[str, bytes | None]) -> None:
        """One revision for all, as in a transaction."""
        self.revision += 1
        if LEADER in writes and writes[LEADER] is None:
            self.token = 0
        for name, value in writes.items():
            stored = None if value is None else Stored(value, self.revision)
            if stored is not None:
                self.entries[name] = stored
            elif self.entries.pop(name, None) is None:
                continue
            self.history.append(StoreChange(name, stored, self.revision))
        self._tell()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def compact(self) -> None:
        """Forget all changes so far."""
        self.compacted = self.revision
        self._tell()

    def lapse(self) -> None:
        """Let everything go that was not to last."""
        lasting, self.lasting = self.lasting, {}
        self.write(dict.fromkeys(lasting))

    def expire(self) -> None:
        """Let the leader be missed for too long."""
        self.token = 0
        self.write({LEADER: None})

    def fail(self, reason: str | None) -> None:
        """Answer nobody, or (None) everybody again."""
        self.away = reason
        self._tell()


class MemoryShared:
    """A `Shared` of one node."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store

    def _ask(self) -> None:
        self.store.asked += 1
        if self.store.away is not None:
            raise SharedAway(self.store.away)

    async def close(self) -> None:
        """Nothing is open."""

    async def read(self) -> StoreContent:
        self._ask()
        return StoreContent(dict(self.store.entries), self.store.revision, self.store.now())

    async def time(self) -> float:
        self._ask()
        return self.store.now()

    async def watch(self, revision: int) -> AsyncGenerator[Sequence[StoreChange]]:
        while True:
            self._ask()
            if revision <= self.store.compacted:
                raise SharedAway("these changes are forgotten")
            changed = self.store.changed
            news = [one for one in self.store.history if one.revision >= revision]
            if news:
                revision = news[-1].revision + 1
                yield news
            else:
                await changed.wait()

    async def commit(
        self,
        compares: Mapping[str, int],
        writes: Mapping[str, bytes | None],
        token: int | None = None,
        lasts_seconds: int | None = None,
    ) -> None:
        self._ask()
        there = self.store.entries
        if any((there[name].revision if name in there else 0) != wanted for name, wanted in compares.items()):
            raise Conflict
        if token is not None and token != self.store.token:
            raise Conflict
        self.store.write(writes)
        if lasts_seconds is not None:
            self.store.lasting.update({name: lasts_seconds for name, value in writes.items() if value is not None})

    async def lead(self, name: str) -> Leadership | None:
        self._ask()
        if LEADER in self.store.entries:
            return None
        self.store.write({LEADER: name.encode()})
        self.store.token = self.store.revision
        return MemoryLeadership(self, self.store.token)


class MemoryLeadership:
    def __init__(self, shared: MemoryShared, token: int) -> None:
        self._shared = shared
        self.token = token

    async def keep(self) -> bool:
        store = self._shared.store
        if store.away is not None:
            raise SharedAway(store.away)
        return store.token == self.token

    async def give_up(self) -> None:
        store = self._shared.store
        store.given_up.append(self.token)
        if store.away is None and store.token == self.token:
            store.expire()


class FaultyShared(MemoryShared):
    """Fails at the requests whose numbers it is told, from 0 on: in half of them after the store has done what was asked."""

    def __init__(self, store: MemoryStore, failing: Sequence[int]) -> None:
        super().__init__(store)
        self._failing = set(failing)
        self._number = -1

    def _fails(self) -> bool:
        self._number += 1
        return self._number in self._failing

    async def read(self) -> StoreContent:
        if self._fails():
            raise SharedAway("a fault of the test")
        return await super().read()

    async def time(self) -> float:
        if self._fails():
            raise SharedAway("a fault of the test")
        return await super().time()

    async def commit(
        self,
        compares: Mapping[str, int],
        writes: Mapping[str, bytes | None],
        token: int | None = None,
        lasts_seconds: int | None = None,
    ) -> None:
        fails = self._fails()
        if fails and self._number % 2:
            raise SharedAway("a fault before the store has it")
        await super().commit(compares, writes, token, lasts_seconds)
        if fails:
            raise SharedAway("a fault after the store has it")

    async def lead(self, name: str) -> Leadership | None:
        if self._fails():
            raise SharedAway("a fault of the test")
        return await super().lead(name)

    async def watch(self, revision: int) -> AsyncGenerator[Sequence[StoreChange]]:
        async with aclosing(super().watch(revision)) as news:
            async for changes in news:
                yield changes
                if self._fails():
                    raise SharedAway("a watch that the test has cut")


class Insisting:
    """What a node does when the store fails: it looks, and asks again. So it has a store that keeps its promises all the same."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.faults = 0

    async def _again(self, ask: Callable[[], Awaitable[Result]]) -> Result:
        while True:
            try:
                return await ask()
            except SharedAway:
                self.faults += 1

    async def close(self) -> None:
        """Close it."""
        await self._shared.close()

    async def read(self) -> StoreContent:
        return await self._again(self._shared.read)

    async def time(self) -> float:
        return await self._again(self._shared.time)

    async def watch(self, revision: int) -> AsyncGenerator[Sequence[StoreChange]]:
        fruitless = 0
        while True:
            try:
                async with aclosing(self._shared.watch(revision)) as news:
                    async for changes in news:
                        revision = changes[-1].revision + 1
                        fruitless = 0
                        yield changes
            except SharedAway:
                self.faults += 1
                fruitless += 1
                if fruitless > _FRUITLESS:  # no cut: these changes are forgotten
                    raise

    async def commit(
        self,
        compares: Mapping[str, int],
        writes: Mapping[str, bytes | None],
        token: int | None = None,
        lasts_seconds: int | None = None,
    ) -> None:
        before = (await self.read()).revision
        while True:
            try:
                return await self._shared.commit(compares, writes, token, lasts_seconds)
            except SharedAway:
                self.faults += 1
                seen = await self.read()
                if seen.revision > before:
                    assert {name: stored.value for name, stored in seen.entries.items() if name in writes} == {
                        name: value for name, value in writes.items() if value is not None
                    }, "half of it"
                    return None

    async def lead(self, name: str) -> Leadership | None:
        leading = await self._again(lambda: self._shared.lead(name))
        return None if leading is None else InsistingLeadership(leading, self)


@dataclass
class InsistingLeadership:
    _leading: Leadership
    _by: Insisting

    @property
    def token(self) -> int:
        """Of the store."""
        return self._leading.token

    async def keep(self) -> bool:
        return await self._by._again(self._leading.keep)

    async def give_up(self) -> None:
        await self._leading.give_up()
