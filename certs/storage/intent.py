"""The intent of a version: reason and settings, written before its key is made, so that a crash can
be undone. Pure.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_FORMAT: Final = 1


class IntentDamaged(ValueError):
    """The file is none that this program wrote."""

    def __str__(self) -> str:
        return "not a record of a rotation that Plexigate wrote"


@dataclass(frozen=True, slots=True)
class Intent:
    """`key` is the specification of the key (`ec-p256@file`), `issuer` the NAME of the issuer,
    `begun_at` the key's birth. `edition` is the number that a fleet gave it (0: none), `epoch` that
    of the fleet when the key was made.
    """

    key: str
    issuer: str
    names: tuple[str, ...]
    reason: str
    begun_at: datetime
    edition: int = 0
    epoch: int = 0

    def encode(self) -> bytes:
        document = {
            "format": _FORMAT,
            "key": self.key,
            "issuer": self.issuer,
            "names": list(self.names),
            "reason": self.reason,
            "begun_at": self.begun_at.isoformat(),
            "edition": self.edition,
            "epoch": self.epoch,
        }
        return json.dumps(document, indent=2).encode() + b"\n"

    @classmethod
    def parse(cls, content: bytes) -> "Intent":
        try:
            facts = json.loads(content)
            begun_at = datetime.fromisoformat(facts["begun_at"])
            if facts["format"] != _FORMAT or begun_at.tzinfo is None:
                raise IntentDamaged
            return cls(
                key=str(facts["key"]),
                issuer=str(facts["issuer"]),
                names=tuple(map(str, facts["names"])),
                reason=str(facts["reason"]),
                begun_at=begun_at,
                # a fleet began later than the shelf
                edition=int(facts.get("edition", 0)),
                epoch=int(facts.get("epoch", 0)),
            )
        except (KeyError, TypeError, ValueError):
            raise IntentDamaged from None
