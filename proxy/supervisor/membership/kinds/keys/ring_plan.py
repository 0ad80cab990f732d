"""The keys of a ring of payload encryption in a fleet, each with the time from which it encrypts.
Pure.

One key is always planned ahead. A node decrypts by it as soon as it has heard of it, and encrypts
by it from its time on, by its own clock. So each node decrypts what any other one encrypts, also
during a rotation and while clocks differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypedDict

from proxy.payload.keys.keyring import SIGNING_BYTES, Keyring, PayloadKeyState, RingKey, RingPolicy, ending

NOTICE_SECONDS: Final = 600.0
"""The least time between the writing of a key and its use: twice the five minutes by which clocks
may differ.
"""
_ENDED_KEPT: Final = 8
"""Keys before those that are valid, of which a node tells that they have ended."""
_OWN_VERSIONS: Final = 1_000_000
"""Added to the version of a node's own key, where the fleet has another key of that version."""


class PlannedRow(TypedDict):
    version: int
    begins: float
    secret: str
    ended: float | None
    is_revoked: bool


class RingDocument(TypedDict):
    epoch: int
    variant: str
    keys: list[PlannedRow]


@dataclass(frozen=True, slots=True)
class PlannedRingKey:
    """`begins` is when it begins to encrypt, in UNIX seconds; `ended` when an operator ended it."""

    version: int
    begins: float
    secret: bytes = field(repr=False)
    ended: float | None = None
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class RingPlan:
    """The keys in the order in which they begin; one at least has not ended. A node that was
    expelled in a later epoch than `epoch` knows them.
    """

    keys: tuple[PlannedRingKey, ...]
    epoch: int
    variant: str

    @classmethod
    def begun(cls, ring: Keyring, epoch: int) -> "RingPlan":
        """A plan that goes on with the keys of one node."""
        keys = sorted((one for one in ring.readable if one.created <= ring.active.created), key=lambda one: one.created)
        planned = tuple(PlannedRingKey(one.version, one.created, one.secret) for one in keys)
        return cls(planned, epoch, ring.variant)

    def active(self, now: float) -> PlannedRingKey:
        """The key that encrypts now: the first one, if the clock is before all of them."""
        usable = [one for one in self.keys if one.ended is None]
        return next((one for one in reversed(usable) if one.begins <= now), usable[0])

    def until_change(self, now: float) -> float | None:
        """The seconds until another key encrypts; None if none is planned."""
        return next((one.begins - now for one in self.keys if one.begins > now), None)

    def needs_key(self, now: float) -> bool:
        """Whether no key is planned that does not encrypt yet."""
        return self.keys[-1].begins <= now or self.keys[-1].ended is not None

    def extended(self, now: float, policy: RingPolicy, secret: bytes) -> "RingPlan":
        """The same with a further key. Of those that are over, only what tells so is kept."""
        begins = max(self.keys[-1].begins + policy.rotate_seconds, now + NOTICE_SECONDS)
        version = max(one.version for one in self.keys) + 1
        over = {one.version for one in self._over(policy, now)}
        kept = [
            replace(one, ended=one.ended or now, secret=ending(one.secret)) if one.version in over else one
            for one in self.keys[-(policy.overlap + 1 + _ENDED_KEPT) :]
        ]
        return replace(self, keys=(*kept, PlannedRingKey(version, begins, secret)))

    def renewed(self, now: float, policy: RingPolicy, secret: bytes, epoch: int) -> "RingPlan":
        """The same with a fresh key in place of the next one, which an expelled node knows."""
        known = [one for one in self.keys if one.begins <= now] or self.keys[:1]
        plan = replace(self, keys=tuple(known), epoch=epoch).extended(now, policy, secret)
        return plan.rotated(now)

    def _over(self, policy: RingPolicy, now: float) -> list[PlannedRingKey]:
        active = self.active(now)
        before = [one for one in self.keys if one.ended is None and one.begins < active.begins]
        return before[: -policy.overlap]

    def rotated(self, now: float) -> "RingPlan":
        """The same, whose next key begins as soon as all nodes know it."""
        last = self.keys[-1]
        soon = replace(last, begins=min(last.begins, now + NOTICE_SECONDS))
        return replace(self, keys=(*self.keys[:-1], soon))

    def at_once(self, now: float) -> "RingPlan":
        """The same, whose next key begins now: nodes that have not heard yet refuse what it
        encrypts.
        """
        last = self.keys[-1]
        return replace(self, keys=(*self.keys[:-1], replace(last, begins=min(last.begins, now))))

    def without(self, version: int, now: float, *, is_revoked: bool) -> "RingPlan":
        """The same with one key ended, at a time in UNIX seconds."""
        keys = [replace(one, ended=now, is_revoked=is_revoked) if one.version == version else one for one in self.keys]
        return replace(self, keys=tuple(keys))

    def ring(self, own: Keyring, policy: RingPolicy, now: float) -> Keyring:
        """The ring by which a node serves now. A key that it had before it joined decrypts for as
        long as it would have otherwise.
        """
        active = self.active(now)
        uses = {one.secret[:SIGNING_BYTES]: one.uses for one in own.keys}
        over = self._over(policy, now)
        keys = []
        for one in reversed(self.keys):
            if one is active:
                state = PayloadKeyState.ACTIVE
            elif one.begins > active.begins:
                state = PayloadKeyState.PENDING
            else:
                state = PayloadKeyState.VALID
            ended = active.begins if one in over else one.ended
            if ended is not None:
                state = PayloadKeyState.REVOKED if one.is_revoked else PayloadKeyState.RETIRED
            secret = one.secret if ended is None else ending(one.secret)
            count = uses.get(one.secret[:SIGNING_BYTES], 0)
            keys.append(RingKey(one.version, state, one.begins, secret, count, ended))
        return Keyring(own.name, (*keys, *self._own(own, policy, now)), self.variant)

    def _own(self, own: Keyring, policy: RingPolicy, now: float) -> list[RingKey]:
        """The keys of the node itself: those that are of no plan."""
        secrets = {one.secret[:SIGNING_BYTES] for one in self.keys}
        versions = {one.version for one in self.keys}
        lasts = policy.rotate_seconds * (policy.overlap + 1)
        return [
            replace(one, state=PayloadKeyState.VALID, version=one.version + _OWN_VERSIONS * (one.version in versions))
            for one in own.readable
            if one.secret[:SIGNING_BYTES] not in secrets and now < one.created + lasts
        ] + [one for one in own.ended if one.version not in versions]

    def as_json(self) -> RingDocument:
        keys: list[PlannedRow] = [
            {
                "version": one.version,
                "begins": one.begins,
                "secret": one.secret.hex(),
                "ended": one.ended,
                "is_revoked": one.is_revoked,
            }
            for one in self.keys
        ]
        return {"epoch": self.epoch, "variant": self.variant, "keys": keys}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "RingPlan":
        """What `as_json` wrote. Raises `KeyError`, `TypeError` or `ValueError` otherwise."""
        keys = tuple(
            PlannedRingKey(
                int(row["version"]),
                float(row["begins"]),
                bytes.fromhex(row["secret"]),
                None if row["ended"] is None else float(row["ended"]),
                bool(row["is_revoked"]),
            )
            for row in document["keys"]
        )
        times = [one.begins for one in keys]
        versions = {one.version for one in keys}
        if times != sorted(times) or len(versions) != len(keys) or all(one.ended is not None for one in keys):
            raise ValueError
        return cls(keys, int(document["epoch"]), str(document["variant"]))
