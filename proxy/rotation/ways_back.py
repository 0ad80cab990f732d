"""Rollbacks: the version that a credential can go back to, or why there is none.

Several credentials go back together, or none of them does. All functions block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from certs.rotation.checks import ChainUnusable, read_chain_pem
from certs.storage.ledger import Ledger, Retirement
from certs.storage.shelf import Shelf, StoredVersion
from config.tables.rotation import rotate_command


@dataclass(frozen=True, slots=True)
class NoWayBack:
    """A credential that stays as it is, and why."""

    detail: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A credential that is to go back; `is_bound_to_go`: its key is compromised."""

    shelf: Shelf
    is_bound_to_go: bool


def ways_back(asked: Sequence[Asked], now: datetime) -> list[StoredVersion | NoWayBack]:
    """The versions to go back to. If a credential has none: the reasons, for all that stay.

    Raises `OSError` or `ShelfDamaged`.
    """
    ways = [_way_back(one, now) for one in asked]
    stuck = [one.shelf.slot for one, way in zip(asked, ways, strict=True) if isinstance(way, NoWayBack)]
    if not stuck:
        return ways
    return [
        way if isinstance(way, NoWayBack) else _held_back(one.shelf, stuck)
        for one, way in zip(asked, ways, strict=True)
    ]


def _way_back(asked: Asked, now: datetime) -> StoredVersion | NoWayBack:
    if asked.is_bound_to_go:
        return NoWayBack(_bound_to_go(asked.shelf))
    return former(asked.shelf, now) or NoWayBack(_no_former(asked.shelf))


def _held_back(shelf: Shelf, stuck: Sequence[str]) -> NoWayBack:
    return NoWayBack(
        f"left as it is, because {' and '.join(stuck)} cannot go back: plexigate certs rollback {shelf.identity} "
        f"--credential {shelf.slot} rolls this one back alone"
    )


def serve_former(chosen: Sequence[tuple[Shelf, StoredVersion]], retired: Retirement) -> None:
    """Let all of these versions serve from now on, or none. Raises `OSError` or `ShelfDamaged`."""
    before: list[tuple[Shelf, Ledger]] = []
    try:
        for shelf, version in chosen:
            ledger = shelf.ledger()
            shelf.serve(version.number, retired)
            before.append((shelf, ledger))
    except BaseException:
        for shelf, ledger in before:
            shelf.decide(ledger)
        raise


def former(shelf: Shelf, now: datetime) -> StoredVersion | None:
    """The version to go back to: the newest previous one that can serve.

    Its key exists and is not compromised, and its chain is valid.
    """
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


def _no_former(shelf: Shelf) -> str:
    if any(one.is_compromised for one in shelf.ledger().retired.values()):
        return (
            "the key of a previous version is compromised, which never serves again, and there is no other one that could: "
            f"{rotate_command(shelf.identity, shelf.slot)} makes a new one"
        )
    return "there is no previous version whose key is still there and whose certificate is valid"


def _bound_to_go(shelf: Shelf) -> str:
    """Why a credential with a compromised key does not go back, and what to do instead.

    A rollback would retire the key as a good one: it would be kept for its grace, and its
    certificate would not be revoked.
    """
    return (
        "its key is marked as compromised, and a rollback would take that back: another key takes its place as soon as "
        f"the issuer gives a certificate for it; {rotate_command(shelf.identity, shelf.slot)} --compromised tries it now"
    )
