"""The hierarchy on a disk: one sealed file, which is replaced as a whole, and a lock for those who
change it.

Uses are counted ahead: a process takes `block` of them at a time and writes that before it uses the
first. So the count on disk is never too low, also after a crash, and the file is not written for
each use. What a process took and did not use counts as used.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from certs.files.file_lock import locked
from certs.hierarchy.derivation import KEY_BYTES
from certs.hierarchy.document import Document, DocumentUnreadable, SealingKeyRecord
from certs.hierarchy.file_sealer import FileSealer
from certs.hierarchy.hierarchy import Hierarchy, HierarchyError, Transition
from certs.sealing.envelope import Purpose
from certs.sealing.errors import PreviousKey
from certs.sealing.files import SealedFileUnusable, read_sealed, write_sealed
from certs.sealing.sealer import SealingKey

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

    def __init__(
        self,
        path: Path,
        sealing_key: SealingKey,
        name: str,
        clock: Callable[[], datetime],
        *,
        lock_seconds: float = 10.0,
        block: int = 1_000,
    ) -> None:
        """Keep the keys in `path`, which need not be there yet.

        `name` is that of the sealing key, for people.
        """
        self._path = path
        self._sealing_key = sealing_key
        self._sealer = FileSealer(sealing_key)
        self._name = name
        self._clock = clock
        self._lock_seconds = lock_seconds
        self._block = block
        self._taken: dict[str, int] = {}
        self._seen: tuple[int, int] | None = None
        self.known = Document()
        """As it was read or written last, without its secrets."""
        self.read_by = b""
        """What envelopes call the sealing key that read it."""

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
        """Apply a change (`lambda keys: keys.rotated(now, purposes)`) and write it; answer its
        steps, for the audit log.

        A new key gets a secret; the secret of a destroyed one leaves the file. Raises what the
        change raises; then nothing was written.
        """
        with self._changing() as before:
            after = change(before.hierarchy)
            secrets = dict(before.secrets)
            for key in after.keys.values():
                if key.id not in before.hierarchy.keys:
                    secrets[key.id] = os.urandom(KEY_BYTES)
                elif not key.opens:
                    secrets.pop(key.id, None)
            self._write(replace(before, hierarchy=after, secrets=secrets))
        return after.transitions_since(before.hierarchy)

    def succeed(self, newest: SealingKey, name: str, until: datetime) -> tuple[SealingKeyRecord, ...]:
        """Seal by another sealing key from now on. The present one opens the file `until` then.

        Answers the record of the present one, and those before it, which open the file no more.
        Raises `HierarchyError` if the present one is not the newest, or if the other one has sealed
        the file already: it may be known to an attacker.
        """
        with self._changing() as before:
            present = self._newest(before)
            if newest.key_id == present.id:
                raise HierarchyError(f"{name} is the sealing key already")
            if newest.key_id in before.had:
                raise HierarchyError(f"{name} was the sealing key before; allowed: a key that never was")
            previous = replace(present, until=until)
            record = SealingKeyRecord(newest.key_id, name, self._clock(), has_shares=newest.has_shares)
            self._sealer.renew(newest, self._sealing_key)
            self._write(before.sealed_by(record, previous))
        return previous, *before.sealing_keys[1:]

    def end_previous(self) -> tuple[SealingKeyRecord, ...]:
        """Let the newest sealing key alone open the file, by a new file key. Answers the others.

        Raises `HierarchyError` if the present sealing key is not the newest.
        """
        with self._changing() as before:
            newest = self._newest(before)
            self._sealer.renew(self._sealing_key)
            self._write(before.sealed_by(newest))
        return before.sealing_keys[1:]

    def opened(self) -> tuple[Hierarchy, Mapping[str, bytes]]:
        """The hierarchy, and the secrets of the keys that still open something, by one look at the
        file.
        """
        document = self._read()
        return document.hierarchy, document.secrets

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

    def _newest(self, document: Document) -> SealingKeyRecord:
        newest = document.sealing_keys[0]
        if newest.id != self._sealing_key.key_id:
            raise HierarchyError(
                f"{self._name} is the previous sealing key: name {newest.name} as sealing.key of the configuration first"
            )
        return newest

    def _stamp(self) -> tuple[int, int] | None:
        """Tells one file of this name from the next, as each is a new one."""
        try:
            facts = self._path.stat()
        except FileNotFoundError:
            return None
        return facts.st_ino, facts.st_mtime_ns

    @contextmanager
    def _changing(self) -> Iterator[Document]:
        """What is there, while no other process changes it."""
        with locked(self._path.with_name(f"{self._path.name}.lock"), self._lock_seconds):
            yield self._read()

    def _write(self, document: Document) -> None:
        write_sealed(self._path, document.encode(), LABEL, self._sealer)
        self._know(document, self._stamp())

    def _know(self, document: Document, seen: tuple[int, int] | None) -> None:
        self._seen = seen
        self.known = replace(document, secrets={})

    def _read(self) -> Document:
        seen = self._stamp()  # before: what is replaced meanwhile is only read once more
        try:
            content = read_sealed(self._path, LABEL, self._sealer)
        except FileNotFoundError:
            self._sealer = FileSealer(self._sealing_key)
            document = self._signed(Document(), self._clock())
        else:
            try:
                document = self._signed(Document.parse(content), None)
            except DocumentUnreadable as error:
                raise StoreDamaged(self._path, str(error)) from None
        self.read_by = self._sealing_key.key_id
        ours = next((one for one in document.sealing_keys if one.id == self.read_by), None)
        if ours is not None and ours.until is not None and ours.until <= self._clock():
            raise SealedFileUnusable(self._path, PreviousKey(ours.until, document.sealing_keys[0].name))
        self._know(document, seen)
        return document

    def _signed(self, document: Document, since: datetime | None) -> Document:
        """With a record of the sealing key, which a file of before has not, or not in full."""
        ours = SealingKeyRecord(self._sealer.key_id, self._name, since, has_shares=self._sealing_key.has_shares)
        records = (
            replace(one, has_shares=ours.has_shares) if one.id == ours.id and one.has_shares is None else one
            for one in document.sealing_keys or (ours,)
        )
        return replace(document, sealing_keys=tuple(records))
