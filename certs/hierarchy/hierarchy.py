"""All keys of the hierarchy, and what is done to several of them together.

The sealing key (in the token) seals the top key; the key of each purpose comes from the top key. A
rotation replaces all of them at once. A top key is not destroyed while a key that comes from it
could still open something.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

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

    def versions(self, purpose: str = "") -> tuple[ManagedKey, ...]:
        """All keys of a purpose (or all top keys), oldest first."""
        return tuple(key for key in self.keys.values() if key.purpose == purpose)

    def active(self, purpose: str = "") -> ManagedKey:
        """The key that protects what is new; raises `HierarchyError`."""
        for key in self.versions(purpose):
            if key.protects:
                return key
        raise HierarchyError(f"there is no active key{_for(purpose)}")

    # -- what is done

    def founded(self, now: datetime) -> "Hierarchy":
        """The first top key, active; raises `HierarchyError` if there is one."""
        if self.versions():
            raise HierarchyError("there is a top key already")
        return _with(self, ManagedKey("", 1, "", now).taken(KeyTransition.ACTIVATE, now))

    def with_purpose(self, purpose: str, now: datetime, *, quota: int | None = None) -> "Hierarchy":
        """A new purpose with an active key; `quota` is above 0. Raises `HierarchyError`."""
        if self.versions(purpose):
            raise HierarchyError(f"there is a key{_for(purpose)} already")
        key = ManagedKey(purpose, 1, self.active().id, now, quota)
        return _with(self, key.taken(KeyTransition.ACTIVATE, now))

    def rotated(self, now: datetime) -> "Hierarchy":
        """A new top key, and one of each purpose; raises `HierarchyError` if there is none yet."""
        before = (self.active(), *(key for key in self.keys.values() if key.purpose and key.protects))
        result = self
        parent = ""
        for old in before:
            key = ManagedKey(old.purpose, self.versions(old.purpose)[-1].version + 1, parent, now, old.quota)
            parent = parent or key.id
            result = _with(result, old.taken(KeyTransition.RETIRE, now))
            result = _with(result, key.taken(KeyTransition.ACTIVATE, now))
        return result

    def destroyed(self, key_id: str, now: datetime) -> "Hierarchy":
        """A key of which only the record is left; raises `HierarchyError` or `IllegalStep`."""
        living = [key.id for key in self.keys.values() if key.parent == key_id and key.state is not KeyState.DESTROYED]
        if living:
            raise HierarchyError(f"key {key_id} is the parent of {', '.join(living)}: destroy them first")
        return _with(self, self[key_id].taken(KeyTransition.DESTROY, now))

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


def _for(purpose: str) -> str:
    return f" for {purpose}" if purpose else ""
