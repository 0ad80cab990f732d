"""The secrets of session tickets in a fleet, each with the time from which it seals. Pure.

The leader plans a day ahead. So all nodes change over by their own clocks, also while the store
does not answer. A node whose clock is behind opens what the next secret has sealed.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

from proxy.tls.openssl.tickets import SECRET_BYTES, TicketSecrets

AHEAD_SECONDS: Final = 86_400.0
_MOST: Final = 100
"""Keys of a plan; an hour each is four days."""
NOTICE_SECONDS: Final = 60.0
"""The least time between the writing of a key and its use: all nodes have it by then."""
_KEPT: Final = 2
"""Keys before the present one. Nodes use one; one whose clock is behind uses the other."""


class PlanRow(TypedDict):
    secret: str
    begins: float


class PlanDocument(TypedDict):
    epoch: int
    keys: list[PlanRow]


@dataclass(frozen=True, slots=True)
class PlannedKey:
    """A secret, and when it begins to seal, in UNIX seconds."""

    secret: bytes = field(repr=False)
    begins: float


@dataclass(frozen=True, slots=True)
class TicketPlan:
    """The keys in the order in which they begin; there is one at least. They were made in an epoch
    of the fleet: a node that was expelled since knows them.
    """

    keys: tuple[PlannedKey, ...]
    epoch: int

    @classmethod
    def begun(cls, secret: bytes, since: float, epoch: int) -> "TicketPlan":
        """A plan that begins with this secret, at a time in UNIX seconds."""
        return cls((PlannedKey(secret, since),), epoch)

    @property
    def until(self) -> float:
        """When its last key begins: after that, nothing is planned."""
        return self.keys[-1].begins

    def at(self, now: float) -> tuple[TicketSecrets, float]:
        """The secrets of this moment, and since when the current one seals."""
        index = self._index(now)
        previous = self.keys[index - 1].secret if index else None
        following = self.keys[index + 1].secret if index + 1 < len(self.keys) else None
        return TicketSecrets(self.keys[index].secret, previous, following), self.keys[index].begins

    def until_change(self, now: float) -> float:
        """The seconds until other secrets hold; infinite if none are planned."""
        return next((one.begins - now for one in self.keys if one.begins > now), math.inf)

    def extended(self, now: float, period: float, secret: Callable[[], bytes]) -> "TicketPlan":
        """The same with further keys, each for `period` seconds, so that a day is planned; without
        those that are over. It is this very plan if nothing is due.
        """
        keys = list(self.keys)
        while keys[-1].begins <= now + AHEAD_SECONDS and len(keys) - self._index(now) < _MOST:
            keys.append(PlannedKey(secret(), max(keys[-1].begins + period, now + NOTICE_SECONDS)))
        if len(keys) == len(self.keys):
            return self
        return TicketPlan(tuple(keys[max(self._index(now) - _KEPT, 0) :]), self.epoch)

    def as_json(self) -> PlanDocument:
        return {"epoch": self.epoch, "keys": [{"secret": one.secret.hex(), "begins": one.begins} for one in self.keys]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "TicketPlan":
        """What `as_json` wrote. Raises `KeyError`, `TypeError` or `ValueError` otherwise."""
        keys = tuple(PlannedKey(bytes.fromhex(row["secret"]), float(row["begins"])) for row in document["keys"])
        times = [one.begins for one in keys]
        if not keys or {len(one.secret) for one in keys} != {SECRET_BYTES} or times != sorted(set(times)):
            raise ValueError
        return cls(keys, int(document["epoch"]))

    def _index(self, now: float) -> int:
        """Of the key that seals now: the first one, if the clock is before all of them."""
        begun = [index for index, one in enumerate(self.keys) if one.begins <= now]
        return begun[-1] if begun else 0
