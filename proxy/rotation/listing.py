"""The certificates of the proxy as documents: for the admin socket, tables and exit codes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from certs.rotation.due import Current, Wanted
from certs.rotation.planning import Key, RotationStatus
from certs.rotation.urgency import Urgency
from proxy.api.certificates import CertificateRow, NextTry


@dataclass(frozen=True, slots=True)
class Row:
    """One issued credential. `serial` is in hexadecimal, as `openssl x509` writes it."""

    key: Key
    wanted: Wanted
    current: Current | None
    standing: RotationStatus | None
    version: int | None = None
    serial: str | None = None
    last_error: str | None = None
    is_running: bool = False


def document(row: Row, now: datetime) -> CertificateRow:
    """One entry of `GET /certificates`. Times are in ISO 8601, durations in seconds."""
    identity, slot = row.key
    current = row.current
    standing = row.standing
    algorithm, _, place = (current.key if current else row.wanted.key).partition("@")
    return {
        "identity": identity,
        "credential": slot,
        "names": list(current.names if current else row.wanted.names),
        "issuer": current.issuer if current else row.wanted.issuer,
        "key": {"algorithm": algorithm, "place": place},
        "version": row.version,
        "serial": row.serial,
        "not_before": current.not_before.isoformat() if current else None,
        "not_after": current.not_after.isoformat() if current else None,
        "seconds_left": (current.not_after - now).total_seconds() if current else None,
        "next": None if standing is None else _next(standing, now),
        "last_error": row.last_error,
        "running": row.is_running,
    }


def _next(standing: RotationStatus, now: datetime) -> NextTry:
    return {
        "at": max(standing.next_try(now), now).isoformat(),
        "due_at": standing.due.at.isoformat(),
        "reason": standing.due.reason.value,
        "urgency": standing.urgency.name.lower(),
        "failures": standing.failures,
        "waits_seconds": round(standing.waits_seconds, 1),
    }


def worst(standings: Mapping[Key, RotationStatus]) -> str:
    """The name of the greatest urgency."""
    return max((one.urgency for one in standings.values()), default=Urgency.CALM).name.lower()
