"""Work beside rotations: cleaning up after an ended process, old keys and versions, revocation
lists, rollbacks.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.issuer import FailureKind, IssueFailed, NotShared
from certs.keys.home import HomeFailed
from certs.rotation.attempt import RotationStep
from certs.rotation.checks import read_chain_pem
from certs.rotation.parts import Parts
from certs.storage.served import ServedFile, served_version
from certs.storage.shelf import Shelf, ShelfDamaged, StoredVersion, retirement
from config.tables.rotation import kind_of
from config.values.problems import ConfigError
from proxy.net.in_thread import in_thread
from proxy.observe.events.certificates import KeysCleaned
from proxy.observe.events.event import Tell
from proxy.rotation.running import LOCAL_SECONDS, NotRenewed, Renewed, Swap
from proxy.rotation.ways_back import Asked, NoWayBack, serve_former, ways_back
from proxy.trust.published_lists import PublishedLists

INTERVAL_SECONDS: Final = 300.0
"""How often old keys are cleaned up. Their grace is hours or days."""


def recover(parts: Parts) -> list[str]:
    """Undo the unfinished steps of an ended process. Returns lines for the log. Blocks."""
    told: list[str] = []
    for shelf in parts.store.shelves():
        try:
            undone = shelf.recover(parts.homes)
        except (HomeFailed, ShelfDamaged, OSError) as error:
            told.append(f"the {shelf.slot} credential of {shelf.identity} could not be recovered yet: {error}")
        else:
            told += [
                f"a rotation of the {shelf.slot} credential of {shelf.identity} was undone: its process ended in the middle"
            ] * bool(undone)
    for issuer in parts.issuers.values():
        if isinstance(issuer, InternalAuthority):
            try:
                issuer.recover()
            except IssueFailed as error:
                told.append(f"issuer {issuer.name} could not be recovered yet: {error}")
    return told


def clean_up(parts: Parts, now: datetime) -> list[str]:
    """Retire unwanted credentials, destroy keys after their grace, and forget the oldest versions.

    Returns lines for the log. Blocks.
    """
    told: list[str] = []
    wanted = _wanted(parts)
    for shelf in parts.store.shelves():
        try:
            told += _retired(parts, shelf, wanted, now)
            told += [
                f"the key of version {number} of the {shelf.slot} credential of {shelf.identity} was destroyed"
                for number in shelf.destroy_keys(now, parts.homes)
            ]
            shelf.forget(parts.loaded.config.rotation.former)
        except (HomeFailed, ShelfDamaged, OSError) as error:
            told.append(
                f"old keys of the {shelf.slot} credential of {shelf.identity} could not be destroyed yet: {error}"
            )
    return told


def _wanted(parts: Parts) -> dict[str, set[str]]:
    wanted: dict[str, set[str]] = {}
    for identity, _, shelf in parts.store.of_config(parts.loaded.config):
        wanted.setdefault(identity, set()).add(shelf.slot)
    return wanted


def _retired(parts: Parts, shelf: Shelf, wanted: dict[str, set[str]], now: datetime) -> list[str]:
    """Retire a credential that is not in the configuration any more.

    It stays while it stands in for a kind of credential that is not issued yet.
    """
    slots = wanted.get(shelf.identity, set())
    if shelf.slot in slots or shelf.current() is None:
        return []
    issued = {kind_of(slot) for slot in slots if parts.store.shelf(shelf.identity, slot).current() is not None}
    if not issued.issuperset(map(kind_of, slots)):
        return []
    retired = retirement(now, parts.loaded.config.rotation.grace, "not in the configuration any more")
    shelf.decide(shelf.ledger().retiring(retired))
    return [
        f"the {shelf.slot} credential of {shelf.identity} is not in the configuration any more: its key goes with its grace"
    ]


Share = Callable[[Shelf, StoredVersion], None]


def _kept_here(_shelf: Shelf, _version: StoredVersion) -> None:
    pass


class Housekeeping:
    """Does this work in threads, one piece at a time, with a deadline."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Tell) -> None:
        """The first look is at the first call of `look_after`."""
        self._loop = loop
        self._tell = tell
        self._again_at = 0.0
        self.lists: Final = PublishedLists(loop, tell)

    async def recovered(self, parts: Parts) -> None:
        """Undo the unfinished steps of an ended process."""
        await self._do(lambda: recover(parts))

    async def look_after(self, parts: Parts, now: datetime, ticks: float, *, at_once: bool = False) -> None:
        """Clean up, unless that was done a moment ago. No rotation may run meanwhile."""
        if at_once or ticks >= self._again_at:
            self._again_at = ticks + INTERVAL_SECONDS
            await self._do(lambda: clean_up(parts, now))

    async def roll_back(
        self, parts: Parts, asked: Sequence[Asked], swap: Swap, now: datetime, share: Share = _kept_here
    ) -> Sequence[Renewed | NotRenewed]:
        """Serve by the previous versions again: all credentials in one swap, or none.

        Returns the outcome of each. The keys that served are kept for the usual grace. `share` lets
        a fleet serve by a version; it blocks, before this node serves by it.
        """
        retired = retirement(now, parts.loaded.config.rotation.grace, "rolled back")
        try:
            async with asyncio.timeout(LOCAL_SECONDS):
                ways = await in_thread(self._loop, lambda: ways_back(asked, now))
                stuck = [one for one in ways if isinstance(one, NoWayBack)]
                if stuck:
                    kind = FailureKind.PERMANENT
                    return [NotRenewed(RotationStep.STORE, kind, one.detail, of_issuer=False) for one in stuck]
                chosen = [
                    (one.shelf, way) for one, way in zip(asked, ways, strict=True) if isinstance(way, StoredVersion)
                ]
                files = await in_thread(self._loop, lambda: _served(parts, chosen))
                for shelf, way in chosen:
                    await in_thread(self._loop, partial(share, shelf, way))
            await swap(files, lambda: serve_former(chosen, retired))
            return [Renewed(way.number, read_chain_pem(way.chain_path.read_bytes())[0]) for _, way in chosen]
        except (ConfigError, HomeFailed, NotShared, ShelfDamaged, OSError, TimeoutError) as error:
            detail = str(error) or f"it took longer than {LOCAL_SECONDS:g} s"
            return [NotRenewed(RotationStep.SWAP, FailureKind.TEMPORARY, detail, of_issuer=False) for _ in asked]

    async def _do(self, work: Callable[[], list[str]]) -> None:
        try:
            async with asyncio.timeout(LOCAL_SECONDS):
                told = await in_thread(self._loop, work)
        except TimeoutError:
            told = [f"old keys could not be cleaned up within {LOCAL_SECONDS:g} s"]
        for line in told:
            self._tell(KeysCleaned(line))


def _served(parts: Parts, chosen: Sequence[tuple[Shelf, StoredVersion]]) -> dict[Path, ServedFile]:
    place = parts.store.directory
    return {
        path: file
        for shelf, version in chosen
        for path, file in served_version(shelf, version, parts.homes, place).items()
    }
