"""The secret of session tickets on disk, and how a new process takes it over. Pure."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from proxy.tls.openssl.tickets import SECRET_BYTES, TicketSecrets

_VERSION: Final = 1


class NoTicketRecord(Exception):
    """The content is not a record of the known version."""

    def __str__(self) -> str:
        return "the kept secret of session tickets is none of this version"


@dataclass(frozen=True, slots=True)
class TicketRecord:
    """The secrets, and the time (`since`) at which the current one began to seal."""

    secrets: TicketSecrets
    since: datetime

    def encode(self) -> bytes:
        """The record as bytes. The caller seals them."""
        previous = None if self.secrets.previous is None else self.secrets.previous.hex()
        document = {"version": _VERSION, "current": self.secrets.current.hex(), "previous": previous}
        return json.dumps({**document, "since": self.since.isoformat()}).encode()

    @classmethod
    def parse(cls, content: bytes) -> "TicketRecord":
        """Read what `encode` wrote. Raises `NoTicketRecord`, which shows no part of it."""
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
    """The record that a new process begins with, if it finds `kept`.

    If the kept secret has sealed for `age`, `new` seals, and the kept one only opens. If it has
    sealed for twice `age`, it opens no ticket any more, as in a process that had run on.
    """
    if kept is None or now - kept.since >= 2 * age:
        return TicketRecord(TicketSecrets(new), now)
    if now - kept.since >= age:
        return TicketRecord(kept.secrets.rotated(new), now)
    # if the clock was set back, the secret must not seal for longer
    return TicketRecord(kept.secrets, min(kept.since, now))
