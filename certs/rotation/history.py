"""The history of a credential's versions, from its shelf. The proxy may run or not."""

from typing import TypedDict

from certs.rotation.facts import leaf_of
from certs.storage.ledger import Ledger
from certs.storage.shelf import Shelf, ShelfDamaged, StoredVersion


class Retired(TypedDict):
    """When a version ended, and why."""

    at: str
    why: str


class VersionRow(TypedDict):
    """One version of a credential, for `plexigate certs history --json`."""

    identity: str
    credential: str
    version: int
    state: str
    since: str | None
    retired: Retired | None
    reason: str
    issuer: str
    key: str
    has_key: bool
    key_until: str | None
    serial: str | None
    not_after: str | None


def history(shelf: Shelf) -> list[VersionRow]:
    """The remembered versions, the newest first. Raises `OSError` or `ShelfDamaged`."""
    ledger = shelf.ledger()
    return [_entry(shelf, one, ledger) for one in shelf.versions()]


def _entry(shelf: Shelf, version: StoredVersion, ledger: Ledger) -> VersionRow:
    number = version.number
    retired = ledger.retired.get(number)
    try:
        leaf = leaf_of(version)
    except ShelfDamaged:
        leaf = None
    since = ledger.served_since.get(number)
    return {
        "identity": shelf.identity,
        "credential": shelf.slot,
        "version": number,
        "state": _state(number, ledger),
        "since": None if since is None else since.isoformat(),
        "retired": None if retired is None else {"at": retired.at.isoformat(), "why": retired.why},
        "reason": version.intent.reason,
        "issuer": version.intent.issuer,
        "key": version.intent.key,
        "has_key": version.has_key,
        "key_until": None if retired is None else retired.destroy_at.isoformat(),
        "serial": None if leaf is None else f"{leaf.serial_number:x}",
        "not_after": None if leaf is None else leaf.not_valid_after_utc.isoformat(),
    }


def _state(number: int, ledger: Ledger) -> str:
    if number == ledger.current:
        return "serves"
    retired = ledger.retired.get(number)
    if retired is None:
        return "stored, never served"
    return "compromised" if retired.is_compromised else "retired"
