"""The steps of a rotation as documents: the lines of `POST /certificates/NAME/rotate`."""

from datetime import datetime, timedelta
from typing import Any, Final

from proxy.rotation.running import NotRenewed, Renewed

GONE: Final[dict[str, Any]] = {"ok": False, "detail": "the configuration that is served now has no such credential"}
"""The credential is gone."""


def waiting(issuer: str, now: datetime, seconds: float, last_error: str | None) -> dict[str, Any]:
    """The issuer has asked to wait, and until when.

    `last_error` is what it said last, if that was about this credential.
    """
    said = "" if last_error is None else f" ({last_error})"
    detail = f"issuer {issuer} has asked to be left alone{said}; --now asks it all the same"
    until = (now + timedelta(seconds=seconds)).isoformat()
    return {"step": "waiting", "until": until, "seconds": round(seconds, 1), "detail": detail}


def busy(issuer: str) -> dict[str, Any]:
    """The issuer is being asked for another certificate."""
    return {"note": f"issuer {issuer} is busy with something else, and comes to this next"}


def last_word(outcome: Renewed | NotRenewed) -> dict[str, Any]:
    """The outcome of the rotation."""
    if isinstance(outcome, Renewed):
        return {"ok": True, "version": outcome.version, "serial": f"{outcome.leaf.serial_number:x}"}
    return {"ok": False, "step": outcome.step.value, "kind": outcome.kind.value, "detail": outcome.detail}
