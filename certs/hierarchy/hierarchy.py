"""All keys below the sealing key, and what is done to several of them together.

Each purpose has keys of its own, in versions, each with a random secret. So one can be rotated or
destroyed alone.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from certs.hierarchy.key import KeyState, KeyTransition, ManagedKey


class HierarchyError(Exception):
    """Something that cannot be done to the hierarchy; the text says why."""


@dataclass(frozen=True, slots=True)
class Transition:
    """What has happened to a key: `step`, None for its creation."""

    key_id: str
    step: KeyTransition | None


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The keys by id, in the order of their making; each change answers a new hierarchy."""

    keys: Mapping[str, ManagedKey] = field(default_factory=dict)

    def __getitem__(self, key_id: str) -> ManagedKey:
        """A key; raises `HierarchyError`."""
        try:
            return self.keys[key_id]
        except KeyError:
            raise HierarchyError(f"there is no key {key_id}") from None

    def versions(self, purpose: str) -> tuple[ManagedKey, ...]:
        """All keys of a purpose, oldest first, those that were destroyed too."""
        return tuple(key for key in self.keys.values() if key.purpose == purpose)

    def active(self, purpose: str) -> ManagedKey:
        """The key that protects what is new; raises `HierarchyError`."""
        for key in self.versions(purpose):
            if key.protects:
                return key
        raise HierarchyError(f"there is no active key for {purpose}")

    @property
    def retired(self) -> tuple[ManagedKey, ...]:
        """The keys that open what they sealed and seal nothing new, oldest first."""
        return tuple(key for key in self.keys.values() if key.state is KeyState.RETIRED)

    def due(self, now: datetime, after: timedelta) -> frozenset[str]:
        """The purposes whose key is to be rotated (`ManagedKey.is_due`)."""
        return frozenset(key.purpose for key in self.keys.values() if key.is_due(now, after))

    # -- what is done

    def with_purpose(self, purpose: str, now: datetime, *, quota: int | None = None) -> "Hierarchy":
        """A new purpose with an active key; `quota` is above 0. Raises `HierarchyError`."""
        if self.versions(purpose):
            raise HierarchyError(f"there is a key for {purpose} already")
        return _with(self, ManagedKey(purpose, 1, now, quota).taken(KeyTransition.ACTIVATE, now))

    def rotated(self, now: datetime, purposes: Collection[str]) -> "Hierarchy":
        """A new key of each of these purposes; raises `HierarchyError` for one that has none."""
        result = self
        for purpose in purposes:
            old = self.active(purpose)
            key = ManagedKey(purpose, self.versions(purpose)[-1].version + 1, now, old.quota)
            result = _with(result, old.taken(KeyTransition.RETIRE, now))
            result = _with(result, key.taken(KeyTransition.ACTIVATE, now))
        return result

    def destroyed(self, now: datetime, key_ids: Collection[str]) -> "Hierarchy":
        """Keys of which only the record is left; raises `HierarchyError` or `IllegalStep`."""
        result = self
        for key_id in key_ids:
            result = _with(result, self[key_id].taken(KeyTransition.DESTROY, now))
        return result

    def used(self, key_id: str, times: int = 1) -> "Hierarchy":
        """A key after it has protected something; raises `HierarchyError` or `QuotaExhausted`."""
        return _with(self, self[key_id].used(times))

    # -- what has been done

    def transitions_since(self, before: "Hierarchy") -> tuple[Transition, ...]:
        """Each step that was taken, one after the other for a key that took several."""
        return tuple(one for key in self.keys.values() for one in _steps(before.keys.get(key.id), key))


def _with(keys: Hierarchy, key: ManagedKey) -> Hierarchy:
    return Hierarchy({**keys.keys, key.id: key})


def _steps(before: ManagedKey | None, after: ManagedKey) -> Iterator[Transition]:
    if before is None:
        yield Transition(after.id, None)
    for step, was, is_now in (
        (KeyTransition.ACTIVATE, before and before.activated, after.activated),
        (KeyTransition.RETIRE, before and before.retired, after.retired),
        (KeyTransition.DESTROY, before and before.destroyed, after.destroyed),
    ):
        if was is None and is_now is not None:
            yield Transition(after.id, step)
