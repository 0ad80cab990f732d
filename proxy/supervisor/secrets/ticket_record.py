"""The secret of session tickets as it rests on disk, and what of it a new process takes over.

Pure.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from proxy.tls.tickets import SECRET_BYTES, TicketSecrets

_VERSION: Final = 1


class NoTicketRecord(Exception):
    """Content that is no such record of a version that is known."""

    def __str__(self) -> str:
        return "the kept secret of session tickets is none of this version"


@dataclass(frozen=True, slots=True)
class TicketRecord:
    """`since` is when the current secret began to seal."""

    secrets: TicketSecrets
    since: datetime

    def encode(self) -> bytes:
        """As bytes, to be sealed."""
        previous = None if self.secrets.previous is None else self.secrets.previous.hex()
        document = {"version": _VERSION, "current": self.secrets.current.hex(), "previous": previous}
        return json.dumps({**document, "since": self.since.isoformat()}).encode()

    @classmethod
    def parse(cls, content: bytes) -> "TicketRecord":
        """Read what `encode` wrote; raises `NoTicketRecord`, which shows nothing of it."""
        try:
            document = json.loads(content)
            previous = None if document["previous"] is None else bytes.fromhex(document["previous"])
            secrets = TicketSecrets(bytes.fromhex(document["current"]), previous)
            since = datetime.fromisoformat(document["since"])
            is_known = document["version"] == _VERSION and since.tzinfo is not None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise NoTicketRecord from None
        if not is_known or {len(one) for one in (secrets.current, previous) if one is not None} != {SECRET_BYTES}:
            raise NoTicketRecord
        return cls(secrets, since)


def resumed(kept: TicketRecord | None, new: bytes, now: datetime, age: timedelta) -> TicketRecord:
    """What a process begins with that finds `kept`: it, or its successor `new` where it has sealed
    for `age` already.

    As long as the process had been away, rotations were missed: a secret of twice that age opens
    nothing any more, as it would in a process that ran on.
    """
    if kept is None or now - kept.since >= 2 * age:
        return TicketRecord(TicketSecrets(new), now)
    if now - kept.since >= age:
        return TicketRecord(kept.secrets.rotated(new), now)
    # a clock that was set back must not let it seal for longer
    return TicketRecord(kept.secrets, min(kept.since, now))
