"""What is told of a rotation while it runs, as documents: the lines of `POST /certificates/NAME/rotate`."""

from datetime import datetime, timedelta
from typing import Any

from proxy.rotation.running import NotRenewed, Renewed


def waiting(issuer: str, now: datetime, seconds: float, last_error: str | None) -> dict[str, Any]:
    """That an issuer has asked to be left alone, until when, and what it said last, if that was about this credential."""
    said = "" if last_error is None else f" ({last_error})"
    detail = f"issuer {issuer} has asked to be left alone{said}; --now asks it all the same"
    until = (now + timedelta(seconds=seconds)).isoformat()
    return {"step": "waiting", "until": until, "seconds": round(seconds, 1), "detail": detail}


def last_word(outcome: Renewed | NotRenewed) -> dict[str, Any]:
    """How it has ended."""
    if isinstance(outcome, Renewed):
        return {"ok": True, "version": outcome.version, "serial": f"{outcome.leaf.serial_number:x}"}
    return {"ok": False, "step": outcome.step.value, "kind": outcome.kind.value, "detail": outcome.detail}
