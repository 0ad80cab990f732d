"""The hierarchy on a disk: one sealed file, which is replaced as a whole, and a lock for those who
change it.

Uses are counted ahead: a process takes `block` of them at a time and writes that before it uses the
first. So the count on disk is never too low, also after a crash, and the file is not written for
each use. What a process took and did not use counts as used.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from certs.files.file_lock import locked
from certs.hierarchy.derivation import TOP_SECRET_BYTES, derived
from certs.hierarchy.document import Document, DocumentUnreadable
from certs.hierarchy.hierarchy import Hierarchy, Transition
from certs.hierarchy.key import KeyState
from certs.sealing.envelope import Purpose
from certs.sealing.files import read_sealed, write_sealed
from certs.sealing.sealer import Sealer

LABEL: Final = Purpose.KEY_HIERARCHY.label("domains")
"""Of the sealed file."""


class StoreDamaged(Exception):
    """A store that opens, with content of another version or written by mistake."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f'key hierarchy "{self.path}" cannot be read: {self.reason}'


class HierarchyStore:
    """All keys. Every method blocks as long as the sealing key takes: not for the event loop.

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
        return self._path.exists()

    @property
    def is_changed(self) -> bool:
        """Whether another process has written since the last read or write here. Needs no key."""
        return self._stamp() != self._seen

    def read(self) -> Hierarchy:
        return self._read().hierarchy

    def change(self, change: Callable[[Hierarchy], Hierarchy]) -> tuple[Transition, ...]:
        """Apply a change (`lambda keys: keys.rotated(now)`) and write it; answer its steps, for the
        audit log.

        A new top key gets a secret; the secret of a destroyed one leaves the file. Raises what the
        change raises; then nothing was written.
        """
        with locked(self._path.with_name(f"{self._path.name}.lock"), self._lock_seconds):
            before = self._read()
            after = change(before.hierarchy)
            secrets = {
                key.id: before.secrets.get(key.id) or os.urandom(TOP_SECRET_BYTES)
                for key in after.versions()
                if key.state is not KeyState.DESTROYED
            }
            write_sealed(self._path, Document(after, secrets).encode(), LABEL, self._sealer)
            self._seen = self._stamp()
        return after.transitions_since(before.hierarchy)

    def opened(self) -> tuple[Hierarchy, dict[str, bytes]]:
        """The hierarchy, and the secrets of the keys of purposes that still open something, by one
        look at the file.
        """
        document = self._read()
        keys = document.hierarchy
        return keys, {
            key.id: derived(self._top_secret(document, key.parent), key)
            for key in keys.keys.values()
            if key.purpose and key.opens
        }

    def use(self, key_id: str) -> None:
        """Count one use of a key before it is used; raises `QuotaExhausted` and `HierarchyError`.

        Writes once for many uses.
        """
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

    def _top_secret(self, document: Document, key_id: str) -> bytes:
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
