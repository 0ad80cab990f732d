"""The hierarchy on a disk: one sealed file, which is replaced as a whole, and a lock for those who change it.

Uses are counted ahead: a process takes `block` of them at a time and writes that before it uses the first. So the count on disk is
never too low, whatever crashes, and the file is not written for each use. What a process took and did not use counts as used.
"""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from certs.files.file_lock import locked
from certs.hierarchy.derivation import DOMAIN_SECRET_BYTES, KEY_BYTES, NONCE_BYTES, derived, unwrap, wrap
from certs.hierarchy.document import Document, DocumentUnreadable
from certs.hierarchy.hierarchy import Hierarchy, HierarchyError, Transition
from certs.hierarchy.key import KeyState, KeyTransition, ManagedKey, SecretOrigin
from certs.sealing.envelope import Purpose
from certs.sealing.files import read_sealed, write_sealed
from certs.sealing.sealer import Sealer

LABEL: Final = Purpose.KEY_HIERARCHY.label("domains")
"""Of the sealed file."""


class StoreDamaged(Exception):
    """A store whose content cannot be used although it opens: it was written by another version, or by mistake."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f'key hierarchy "{self.path}" cannot be read: {self.reason}'


class HierarchyStore:
    """The keys of all domains. Every method blocks as long as the sealing key takes: not for the event loop.

    All raise `SealedFileUnusable`, `StoreDamaged` and, where they change something, `StillLocked`.
    """

    def __init__(self, path: Path, sealer: Sealer, *, lock_seconds: float = 10.0, block: int = 1_000) -> None:
        """Keep the keys in `path`, which need not be there yet."""
        self._path = path
        self._sealer = sealer
        self._lock_seconds = lock_seconds
        self._block = block
        self._taken: dict[str, int] = {}
        self._seen: tuple[int, int] | None = None

    @property
    def exists(self) -> bool:
        """Whether there are any keys."""
        return self._path.exists()

    @property
    def is_changed(self) -> bool:
        """Whether somebody else has written since this one has read or written. Needs no key."""
        return self._stamp() != self._seen

    def read(self) -> Hierarchy:
        """The hierarchy as it is now."""
        return self._read().hierarchy

    def change(self, change: Callable[[Hierarchy], Hierarchy]) -> tuple[Transition, ...]:
        """Apply a change (`lambda keys: keys.rotated("chat", now)`) and write it; what it did to which key, for the audit log.

        Secrets of new domains are made, those of destroyed keys are left out of the new file. Raises what the change raises; then
        nothing was written.
        """
        return self._change(change, {})

    def add_wrapped(self, domain: str, purpose: str, secret: bytes, now: datetime) -> tuple[Transition, ...]:
        """Take a secret that was made elsewhere (an ML-DSA key) into a domain, encrypted under its key, for a new purpose.

        For a purpose that has such a key already the new one replaces it. Raises `HierarchyError` too.
        """

        def change(keys: Hierarchy) -> Hierarchy:
            old = keys.versions(domain, purpose)
            if not old:
                return keys.with_purpose(domain, purpose, now, origin=SecretOrigin.WRAPPED)
            if old[-1].origin is not SecretOrigin.WRAPPED:
                raise HierarchyError(f"the key for {domain}/{purpose} is derived: it cannot be replaced by a given one")
            if old[-1].protects:
                keys = keys.retired(old[-1].id, now)
            new = ManagedKey(domain, purpose, old[-1].version + 1, SecretOrigin.WRAPPED, keys.active(domain).id, now)
            return Hierarchy({**keys.keys, new.id: new.taken(KeyTransition.ACTIVATE, now)})

        return self._change(change, {(domain, purpose): secret})

    def secret(self, key_id: str, length: int = KEY_BYTES) -> bytes:
        """The secret of a key of a purpose, `length` bytes of it where it is derived. Raises `HierarchyError` where there is none (any more)."""
        return self._secret(self._read(), key_id, length)

    def opened(self, domain: str) -> tuple[Hierarchy, dict[str, bytes]]:
        """The hierarchy, and the secrets of all keys of a domain's purposes that still open something: by one look at the file."""
        document = self._read()
        keys = document.hierarchy
        opening = [key.id for key in keys.keys.values() if key.domain == domain and key.purpose and key.opens]
        return keys, {key_id: self._secret(document, key_id, KEY_BYTES) for key_id in opening}

    def _secret(self, document: Document, key_id: str, length: int) -> bytes:
        key = document.hierarchy[key_id]
        if not key.purpose:
            raise HierarchyError(f"key {key_id} is of a domain: its secret stays in the store")
        if key.state is KeyState.DESTROYED:
            raise HierarchyError(f"key {key_id} is destroyed")
        above = self._domain_secret(document, key)
        if key.origin is SecretOrigin.DERIVED:
            return derived(above, key, length)
        return unwrap(above, key, self._kept(document, key_id))

    def use(self, key_id: str) -> None:
        """Count one use of a key before it is used; raises `QuotaExhausted` and `HierarchyError`. Writes once for many uses."""
        if not self._taken.get(key_id):
            self._taken[key_id] = self._take(key_id)
        self._taken[key_id] -= 1

    def _take(self, key_id: str) -> int:
        taken = 0

        def change(keys: Hierarchy) -> Hierarchy:
            nonlocal taken
            key = keys[key_id]
            left = self._block if key.quota is None else key.quota - key.uses
            taken = max(1, min(self._block, left))  # 1: so that an exhausted one is refused by its own rule
            return keys.used(key_id, taken)

        self.change(change)
        return taken

    def _change(
        self, change: Callable[[Hierarchy], Hierarchy], given: dict[tuple[str, str], bytes]
    ) -> tuple[Transition, ...]:
        with locked(self._path.with_name(f"{self._path.name}.lock"), self._lock_seconds):
            before = self._read()
            after = change(before.hierarchy)
            secrets = {
                key_id: secret
                for key_id, secret in before.secrets.items()
                if after.keys[key_id].state is not KeyState.DESTROYED
            }
            document = Document(after, secrets)
            for key in after.keys.values():
                if key.id in before.hierarchy.keys:
                    continue
                if key.origin is SecretOrigin.RANDOM:
                    secrets[key.id] = os.urandom(DOMAIN_SECRET_BYTES)
                elif key.origin is SecretOrigin.WRAPPED:
                    above = self._domain_secret(document, key)
                    secrets[key.id] = wrap(above, key, given[key.domain, key.purpose], os.urandom(NONCE_BYTES))
            write_sealed(self._path, document.encode(), LABEL, self._sealer)
            self._seen = self._stamp()
        return after.transitions_since(before.hierarchy)

    def _domain_secret(self, document: Document, key: ManagedKey) -> bytes:
        return self._kept(document, key.parent)

    def _kept(self, document: Document, key_id: str) -> bytes:
        try:
            return document.secrets[key_id]
        except KeyError:
            raise StoreDamaged(self._path, f"the secret of key {key_id} is missing") from None

    def _stamp(self) -> tuple[int, int] | None:
        """Tells one file of this name from the next, as each is a new one."""
        try:
            facts = self._path.stat()
        except FileNotFoundError:
            return None
        return facts.st_ino, facts.st_mtime_ns

    def _read(self) -> Document:
        self._seen = self._stamp()  # before: what is replaced meanwhile is only read once more
        try:
            content = read_sealed(self._path, LABEL, self._sealer)
        except FileNotFoundError:
            return Document()
        try:
            return Document.parse(content)
        except DocumentUnreadable as error:
            raise StoreDamaged(self._path, str(error)) from None
