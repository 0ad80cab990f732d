"""The seam between rotations and a fleet: what nodes share of one credential. Pure.

The node that leads rotates. Its key is shared before something is ordered for it, and so is the
address of an order before it is used: when the node ends, the next leader goes on with both. The
other nodes take the edition that comes out of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from certs.issuing.issuer import OrderMemory
from certs.storage.intent import Intent


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A private key in PEM that a rotation has made for `intent`."""

    intent: Intent
    key_pem: bytes = field(repr=False)

    def as_json(self) -> dict[str, object]:
        """Everything, with the key. The caller seals it."""
        one = self.intent
        return {
            "key": one.key,
            "issuer": one.issuer,
            "names": list(one.names),
            "reason": one.reason,
            "begun_at": one.begun_at.isoformat(),
            "edition": one.edition,
            "epoch": one.epoch,
            "private": self.key_pem.decode(),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "SharedKey":
        """What `as_json` wrote. Raises `KeyError`, `TypeError` or `ValueError`."""
        begun_at = datetime.fromisoformat(row["begun_at"])
        names = tuple(map(str, row["names"]))
        key, issuer, reason = (str(row[name]) for name in ("key", "issuer", "reason"))
        intent = Intent(key, issuer, names, reason, begun_at, int(row["edition"]), int(row["epoch"]))
        return cls(intent, str(row["private"]).encode())


@dataclass(frozen=True, slots=True)
class SharedEdition:
    """A key with its chain in PEM. Keys of editions below `sound_from` must never serve again."""

    key: SharedKey
    chain_pem: bytes = field(repr=False)
    sound_from: int = 0

    @property
    def number(self) -> int:
        """Of a fleet, for this credential, from 1 on."""
        return self.key.intent.edition


class Sharing(Protocol):
    """One rotation in a fleet. All methods block, and raise `NotShared` if this node may not rotate
    (any more).
    """

    def begun(self) -> SharedKey | None:
        """A key that another leader has made, and has not come to use."""

    def begin(self, key: SharedKey) -> None:
        """Share a key before something is ordered for it."""

    @property
    def order(self) -> OrderMemory:
        """Keeps the address of the order for this key."""

    def publish(self, key: SharedKey, chain_pem: bytes) -> Intent:
        """Let all nodes serve by it; answers the intent with the numbers that the fleet gave it."""

    def end(self) -> None:
        """Forget a key that led to nothing: the next leader makes another one."""
