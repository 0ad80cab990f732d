"""All keys of the hierarchy, and what is done to several of them together.

The sealing key (in the token) seals the keys of the domains; from the key of a domain come those of its purposes. A rotation of a
domain is prepared first (new keys are made and can be handed out), then activated: so nobody meets something that is protected by
a key they do not have yet. A key of a domain is not destroyed while one that comes from it could still open something.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from certs.hierarchy.key import KeyState, KeyTransition, ManagedKey, SecretOrigin

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class HierarchyError(Exception):
    """Something that cannot be done to the hierarchy; the text says why."""


@dataclass(frozen=True, slots=True)
class Transition:
    """What has happened to a key: `step`, None for its creation."""

    key_id: str
    step: KeyTransition | None


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The keys by id, in the order in which they were made. Every method that changes something answers a new hierarchy."""

    keys: Mapping[str, ManagedKey] = field(default_factory=dict)

    def __getitem__(self, key_id: str) -> ManagedKey:
        """A key; raises `HierarchyError`."""
        try:
            return self.keys[key_id]
        except KeyError:
            raise HierarchyError(f"there is no key {key_id}") from None

    def versions(self, domain: str, purpose: str = "") -> tuple[ManagedKey, ...]:
        """All keys of a purpose (or of the domain itself), oldest first."""
        return tuple(key for key in self.keys.values() if (key.domain, key.purpose) == (domain, purpose))

    def active(self, domain: str, purpose: str = "") -> ManagedKey:
        """The key that protects what is new; raises `HierarchyError`."""
        key = self._in_state(domain, purpose, KeyState.ACTIVE)
        if key is None:
            raise HierarchyError(f"there is no active key for {_named(domain, purpose)}")
        return key

    # -- what is done

    def with_domain(self, domain: str, now: datetime) -> "Hierarchy":
        """A new domain, its key active; raises `HierarchyError`."""
        _check(domain)
        if self.versions(domain):
            raise HierarchyError(f"there is a domain {domain} already")
        key = ManagedKey(domain, "", 1, SecretOrigin.RANDOM, "", now)
        return _with(self, key.taken(KeyTransition.ACTIVATE, now))

    def with_purpose(
        self,
        domain: str,
        purpose: str,
        now: datetime,
        *,
        quota: int | None = None,
        origin: SecretOrigin = SecretOrigin.DERIVED,
    ) -> "Hierarchy":
        """A new purpose in a domain, its key active; raises `HierarchyError`."""
        _check(purpose)
        if self.versions(domain, purpose):
            raise HierarchyError(f"there is a key for {_named(domain, purpose)} already")
        if self._in_state(domain, "", KeyState.CREATED) is not None:
            # it would come from the key that is about to be retired
            raise HierarchyError(f"a rotation of {domain} is prepared: activate it first")
        if origin is SecretOrigin.RANDOM or (quota is not None and quota < 1):
            raise HierarchyError(
                f"the key for {_named(domain, purpose)} must be derived or wrapped, with a quota above 0"
            )
        key = ManagedKey(domain, purpose, 1, origin, self.active(domain).id, now, quota)
        return _with(self, key.taken(KeyTransition.ACTIVATE, now))

    def prepared(self, domain: str, now: datetime) -> "Hierarchy":
        """The first half of a rotation: new keys for a domain and each of its derived purposes, not active yet.

        Wrapped keys stay what they are: only whoever gave them can replace them. Raises `HierarchyError` if a rotation is prepared.
        """
        self.active(domain)  # there is something to rotate
        if self._in_state(domain, "", KeyState.CREATED) is not None:
            raise HierarchyError(f"a rotation of {domain} is prepared already")
        new = ManagedKey(domain, "", self.versions(domain)[-1].version + 1, SecretOrigin.RANDOM, "", now)
        result = _with(self, new)
        for key in self._active_below(domain):
            if key.origin is SecretOrigin.DERIVED:
                version = self.versions(domain, key.purpose)[-1].version + 1
                result = _with(
                    result, ManagedKey(domain, key.purpose, version, SecretOrigin.DERIVED, new.id, now, key.quota)
                )
        return result

    def activated(self, domain: str, now: datetime) -> "Hierarchy":
        """The second half: what was prepared becomes active, what was active is retired. Raises `HierarchyError`."""
        result = self
        for key in self._prepared(domain):
            before = self._in_state(domain, key.purpose, KeyState.ACTIVE)
            if before is not None:
                result = _with(result, before.taken(KeyTransition.RETIRE, now))
            result = _with(result, key.taken(KeyTransition.ACTIVATE, now))
        return result

    def abandoned(self, domain: str, now: datetime) -> "Hierarchy":
        """A rotation that was prepared and is given up: all of its keys are destroyed. Raises `HierarchyError`."""
        result = self
        for key in self._prepared(domain):
            result = _with(result, key.taken(KeyTransition.DESTROY, now))
        return result

    def rotated(self, domain: str, now: datetime) -> "Hierarchy":
        """Both halves at once, for a domain whose keys one process uses alone."""
        return self.prepared(domain, now).activated(domain, now)

    def retired(self, key_id: str, now: datetime) -> "Hierarchy":
        """A key of a purpose without a successor; raises `HierarchyError` or `IllegalStep`."""
        key = self[key_id]
        if not key.purpose and any(self._active_below(key.domain)):
            raise HierarchyError(f"key {key_id} is the parent of active keys: rotate {key.domain} in its place")
        return _with(self, key.taken(KeyTransition.RETIRE, now))

    def destroyed(self, key_id: str, now: datetime) -> "Hierarchy":
        """A key of which only the record is left; raises `HierarchyError` or `IllegalStep`."""
        if self[key_id].state is KeyState.CREATED:
            # alone it would leave the old one active below a parent that is retired
            raise HierarchyError(f"key {key_id} is part of a rotation: abandon that")
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

    def _in_state(self, domain: str, purpose: str, state: KeyState) -> ManagedKey | None:
        return next((key for key in self.versions(domain, purpose) if key.state is state), None)

    def _prepared(self, domain: str) -> tuple[ManagedKey, ...]:
        keys = tuple(key for key in self.keys.values() if key.domain == domain and key.state is KeyState.CREATED)
        if not keys:
            raise HierarchyError(f"no rotation of {domain} is prepared")
        return keys

    def _active_below(self, domain: str) -> Iterator[ManagedKey]:
        return (key for key in self.keys.values() if key.domain == domain and key.purpose and key.protects)


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


def _named(domain: str, purpose: str) -> str:
    return f"{domain}/{purpose}" if purpose else domain


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise HierarchyError("a name has 1 to 63 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit")
