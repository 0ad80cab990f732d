"""Revokes the certificates of compromised keys; asks their issuers again until they have agreed."""

from datetime import datetime

from certs.issuing.issuer import IssueFailed, Issuers, Revoker
from certs.rotation.facts import leaf_of
from certs.storage.shelf import Shelf, StoredVersion


def revoke_compromised(shelf: Shelf, issuers: Issuers, now: datetime) -> list[str]:
    """Ask for all pending revocations; return the failures. Raises `OSError`, `ShelfDamaged`."""
    faults: list[str] = []
    for version in shelf.unrevoked():
        fault = None if leaf_of(version).not_valid_after_utc <= now else _fault(version, issuers)
        if fault is None:
            shelf.decide(shelf.ledger().revoked(version.number))
        else:
            faults.append(f"the certificate of version {version.number} could not be revoked: {fault}")
    return faults


def _fault(version: StoredVersion, issuers: Issuers) -> str | None:
    issuer = issuers.get(version.intent.issuer)
    if not isinstance(issuer, Revoker):
        return f"its issuer {version.intent.issuer} is not in the configuration any more, or cannot revoke"
    try:
        issuer.revoke(leaf_of(version))
    except IssueFailed as error:
        return error.detail
    return None
