"""What is done beside rotations: what a process left behind is undone, old keys are destroyed, old versions forgotten, or taken up again."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.issuer import FailureKind, IssueFailed
from certs.keys.home import HomeFailed
from certs.rotation.attempt import Step
from certs.rotation.checks import ChainUnusable, read_chain_pem
from certs.rotation.parts import Parts
from certs.storage.served import served_version
from certs.storage.shelf import Shelf, ShelfDamaged, StoredVersion, retirement
from config.problems import ConfigError
from proxy.in_thread import in_thread
from proxy.rotation.running import LOCAL_SECONDS, Host, NotRenewed, Renewed

INTERVAL_SECONDS: Final = 300.0
"""How often old keys are looked after: their grace is hours or days."""

Tell = Callable[[dict[str, Any], str], None]


def recover(parts: Parts) -> list[str]:
    """Undo what a process left behind that is gone; answers what there is to tell. Blocks."""
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
    """Retire what the configuration does not want any more, destroy keys whose grace is over, and forget what is older than remembered.

    Answers what there is to tell. Blocks.
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
    for identity, _, _, shelf in parts.store.of_config(parts.loaded.config):
        wanted.setdefault(identity, set()).add(shelf.slot)
    return wanted


def _retired(parts: Parts, shelf: Shelf, wanted: dict[str, set[str]], now: datetime) -> list[str]:
    """Let a credential that nobody wants serve no more, unless it stands in for one that was not issued yet."""
    slots = wanted.get(shelf.identity, set())
    if shelf.slot in slots or shelf.current() is None:
        return []
    if any(parts.store.shelf(shelf.identity, slot).current() is None for slot in slots):
        return []
    shelf.retire(retirement(now, parts.loaded.config.rotation.grace, "not in the configuration any more"))
    return [
        f"the {shelf.slot} credential of {shelf.identity} is not in the configuration any more: its key goes with its grace"
    ]


def former(shelf: Shelf, now: datetime) -> StoredVersion | None:
    """The version to go back to: the newest former one whose key is there, not compromised, and whose chain is valid."""
    ledger = shelf.ledger()
    for version in shelf.versions():
        retired = ledger.retired.get(version.number)
        if retired is None or retired.is_compromised or retired.destroy_at <= now or not version.has_key:
            continue
        try:
            chain = read_chain_pem(version.chain_path.read_bytes())
        except (ChainUnusable, OSError):
            continue
        if all(one.not_valid_before_utc <= now < one.not_valid_after_utc for one in chain):
            return version
    return None


def no_way_back(shelf: Shelf) -> str:
    """Why there is no version to go back to, and what to do instead."""
    if any(one.is_compromised for one in shelf.ledger().retired.values()):
        return (
            "the key of a former version is compromised, which never serves again, and there is no other one that could: "
            f"plexigate certs rotate {shelf.identity} makes a new one"
        )
    return "there is no former version whose key is still there and whose certificate is valid"


def bound_to_go(shelf: Shelf) -> str:
    """Why nothing goes back while the key that serves is marked as compromised, and what to do instead.

    It would be retired as if nothing had happened: kept for its grace, and its certificate not revoked.
    """
    return (
        "its key is marked as compromised, and a rollback would take that back: another key takes its place as soon as "
        f"the issuer gives a certificate for it; plexigate certs rotate {shelf.identity} --compromised --wait tries it now"
    )


class Housekeeping:
    """Does it in threads, one thing at a time, with a deadline."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Tell) -> None:
        """`tell` logs an event with its line."""
        self._loop = loop
        self._tell = tell
        self._again_at = 0.0

    async def recovered(self, parts: Parts) -> None:
        """Undo what was left behind."""
        await self._do(lambda: recover(parts))

    async def look_after(self, parts: Parts, now: datetime, ticks: float, *, at_once: bool = False) -> None:
        """Clean up, if it was not done a moment ago; nobody rotates meanwhile."""
        if at_once or ticks >= self._again_at:
            self._again_at = ticks + INTERVAL_SECONDS
            await self._do(lambda: clean_up(parts, now))

    async def roll_back(self, parts: Parts, shelf: Shelf, host: Host, now: datetime) -> Renewed | NotRenewed:
        """Serve by the version before again; the one that serves keeps its key for the usual grace."""
        try:
            async with asyncio.timeout(LOCAL_SECONDS):
                version = await in_thread(self._loop, lambda: former(shelf, now))
                if version is None:
                    detail = await in_thread(self._loop, lambda: no_way_back(shelf))
                    return NotRenewed(Step.STORE, FailureKind.PERMANENT, detail, of_issuer=False)
                place = parts.store.directory
                files = await in_thread(self._loop, lambda: served_version(shelf, version, parts.homes, place))
            retired = retirement(now, parts.loaded.config.rotation.grace, "rolled back")
            await host.swap_issued(files, lambda: shelf.serve(version.number, retired))
            return Renewed(version.number, read_chain_pem(version.chain_path.read_bytes())[0])
        except (ConfigError, HomeFailed, ShelfDamaged, OSError, TimeoutError) as error:
            detail = str(error) or f"it took longer than {LOCAL_SECONDS:g} s"
            return NotRenewed(Step.SWAP, FailureKind.TEMPORARY, detail, of_issuer=False)

    async def _do(self, work: Callable[[], list[str]]) -> None:
        try:
            async with asyncio.timeout(LOCAL_SECONDS):
                told = await in_thread(self._loop, work)
        except TimeoutError:
            told = [f"old keys could not be looked after within {LOCAL_SECONDS:g} s"]
        for line in told:
            self._tell({"event": "keys", "detail": line}, line)
