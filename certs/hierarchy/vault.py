"""Seals by purpose: what the rest of the program uses of the sealing key and of the hierarchy below
it.

Theory of operation. The sealing key (in a token, or a file) opens the hierarchy once. It has a key
for each purpose, and these seal, in this process. So a slow or absent token delays nothing after
the start. The key of one purpose cannot open what the key of another has sealed. A rotation
replaces one of them or all, or the sealing key, and the callers do not notice. Uses are counted, as
random nonces allow 2^32 of them (NIST SP 800-38D 8.3); the store writes the count ahead, and a key
that has no uses left is rotated.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from certs.audit.entries import Action, Outcome, Told
from certs.files.directory import make_directories
from certs.files.file_lock import StillLocked
from certs.hierarchy.document import Document, SealingKeyRecord
from certs.hierarchy.file_sealer import sealing_key_ids
from certs.hierarchy.hierarchy import Hierarchy, HierarchyError, Transition
from certs.hierarchy.key import DOMAIN, IllegalStep, KeyTransition, ManagedKey, QuotaExhausted
from certs.hierarchy.purposes import PURPOSES
from certs.hierarchy.sealed_files import SealedFile
from certs.hierarchy.store import HierarchyStore, StoreDamaged
from certs.sealing.envelope import Purpose
from certs.sealing.errors import KeyAway, KeyUnavailable, NotSealed, OtherKey
from certs.sealing.files import SealedFileUnusable
from certs.sealing.held_key import HeldKey, key_id_of
from certs.sealing.master import Master
from certs.sealing.sealer import AeadSealer, Sealer, SealerRing, SealingKey

FILE_NAME: Final = "keys.sealed"
"""Of the hierarchy, in the directory of `[sealing]`."""

_QUOTA: Final = 2**32
# A token that hangs is not waited for once for each of many keys that are to open now, each time up
# to a deadline.
_AWAY: Final = timedelta(seconds=1)
_NAMES: Final = tuple(one.name for one in PURPOSES.values())
_SEALING_KEY: Final = "sealing key"
_ACTIONS: Final = {
    None: Action.GENERATE,
    KeyTransition.ACTIVATE: Action.ACTIVATE,
    KeyTransition.RETIRE: Action.RETIRE,
    KeyTransition.DESTROY: Action.DESTROY,
}


class VersionRefused(Exception):
    """A version that is not destroyed: what it is (`found`), which could be (`retired`)."""

    def __init__(self, version: int, found: str, retired: tuple[int, ...]) -> None:
        super().__init__(version, found, retired)
        self.version = version
        self.found = found
        self.retired = retired

    def __str__(self) -> str:
        there = ", ".join(map(str, self.retired)) or "there is none (--rotate retires the active one)"
        return f"version {self.version}: found {self.found}; allowed: a retired version: {there}"


class NoKeys(KeyUnavailable):
    """There is no hierarchy; `needing` are files that were sealed by one."""

    def __init__(self, path: Path, needing: tuple[SealedFile, ...]) -> None:
        if needing:
            files = ", ".join(map(str, needing))
            super().__init__(
                f'there is no "{path}", by whose keys these were sealed: {files}; restore it from a backup, or remove them to start again'
            )
        else:
            super().__init__(f'"{path}" has no keys yet; the first sealed document makes them')


class Vault:
    """The keys below a sealing key, for any thread but an event loop's: it blocks."""

    def __init__(
        self,
        master: Master,
        directory: Path,
        clock: Callable[[], datetime],
        told: Told,
        needing: Callable[[], Iterable[SealedFile]],
    ) -> None:
        """Keep the hierarchy in a directory, which is made when it is first needed.

        `needing` finds files that were sealed by an earlier hierarchy: no other one is made beside
        them.
        """
        self.path: Final = directory / FILE_NAME
        self._master = master
        self._store = HierarchyStore(self.path, master, master.name, clock)
        self._clock = clock
        self._told = told
        self._needing = needing
        self._lock = threading.RLock()
        self._rings: dict[str, tuple[str, SealerRing]] = {}
        """By purpose, the id of the key that seals, and the sealers of all that open."""
        self._away: str | None = None
        """Why the sealing key could not be asked last, at this time."""
        self._away_at = clock()

    @property
    def exists(self) -> bool:
        return self._store.exists

    def is_by(self, record: SealingKeyRecord) -> bool:
        """Whether that is the sealing key by which it was read last."""
        return record.id == self._store.read_by

    def sealer(self, purpose: Purpose) -> Sealer:
        return _PurposeSealer(self, PURPOSES[purpose].name)

    def read(self) -> Document:
        """All keys and sealing keys, without their secrets; raises `KeyUnavailable`, which is
        `NoKeys` where there are none: a look makes nothing.
        """
        with self._reading():
            self._store.read()
            return self._store.known

    def known(self) -> Document | None:
        """The same as it was read last, or now if it was changed since; None if there are none.

        Raises `KeyUnavailable`.
        """
        with self._lock, self._explained():
            if not self._store.exists:
                return None
            return self.read() if self._store.is_changed else self._store.known

    def look(self) -> None:
        """Ask for the sealing key, where it has nothing to open. Raises `KeyUnavailable`."""
        with self._lock, self._explained(), self._master.at_hand():
            pass

    @property
    def opening_ids(self) -> tuple[bytes, ...]:
        """What envelopes call the sealing keys that open all of this, the newest first. Needs no
        key. Raises `NotSealed` and `OSError`.
        """
        return sealing_key_ids(self.path.read_bytes())

    def namesake(self) -> str | None:
        """A key beside the sealing key, in its token or directory, that opens the keys below it:
        its name. None where there is none, or where that cannot be told.
        """
        with suppress(OSError, NotSealed, KeyUnavailable):
            return self._master.beside(self.opening_ids)
        return None

    def rotate(self, purposes: Collection[str] = _NAMES) -> Document:
        """Seal by new keys of these purposes from now on, and retire the present ones; raises as
        `read`.
        """
        return self._change(lambda keys: keys.rotated(self._clock(), purposes))

    def destroy(self, key_ids: Collection[str]) -> Document:
        """Destroy retired keys: what they have sealed opens by older copies of the file alone.

        Raises as `read`.
        """
        return self._change(lambda keys: keys.destroyed(self._clock(), key_ids))

    def names_in_envelopes(self) -> Mapping[bytes, ManagedKey]:
        """The keys that open something, by what envelopes call them. Raises as `read`."""
        with self._reading():
            keys, secrets = self._store.opened()
        return {key_id_of(secret): keys[key_id] for key_id, secret in secrets.items()}

    def succeed(self, newest: SealingKey, name: str, until: datetime) -> tuple[SealingKeyRecord, ...]:
        """Have another sealing key open all of this, and the present one `until` then; answers the
        record of that, and those before it, which open nothing any more.

        Raises as `read`.
        """
        with self._reading():
            previous, *ended = self._store.succeed(newest, name, until)
        detail = f"{name} in place of {previous.name}, which opens until {until:%Y-%m-%d %H:%M} UTC"
        self._told(Action.ROTATE, _SEALING_KEY, Outcome.DONE, detail)
        self._tell_ended(ended)
        return previous, *ended

    def end_previous(self) -> tuple[SealingKeyRecord, ...]:
        """Have the newest sealing key alone open all of this; answers the previous ones. Raises as
        `read`.
        """
        with self._reading():
            ended = self._store.end_previous()
        self._tell_ended(ended)
        return ended

    def _tell_ended(self, ended: Iterable[SealingKeyRecord]) -> None:
        for one in ended:
            self._told(Action.RETIRE, _SEALING_KEY, Outcome.DONE, f"{one.name} opens nothing any more")

    def _change(self, change: Callable[[Hierarchy], Hierarchy]) -> Document:
        with self._reading():
            self._record(self._store.change(change))
            return self._store.known

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """For a block that reads the file: sealers that were made of an earlier one do not survive
        it.
        """
        with self._lock, self._explained():
            self._require_keys()
            with self._master.at_hand():
                self._rings.clear()
                yield

    # -- what sealers do

    def ring(self, purpose: str) -> SealerRing:
        """The sealers of a purpose; raises `KeyUnavailable`."""
        with self._lock, self._explained():
            return self._loaded(purpose)[1]

    def seal(self, purpose: str, plain: bytes, label: str) -> bytes:
        """Count a use, and seal; raises `KeyUnavailable`."""
        with self._lock, self._explained():
            # perhaps rotated: a retired key may be destroyed, with all that it has sealed since
            is_changed = self._store.is_changed
            # log in once for the first seal, which reads and writes the hierarchy; later ones
            # mostly do neither
            with self._at_hand() if is_changed or purpose not in self._rings else nullcontext():
                if is_changed:
                    self._load()
                key_id, ring = self._loaded(purpose)
                try:
                    self._store.use(key_id)
                except QuotaExhausted:
                    # perhaps by another process, which has rotated the keys
                    self._load()
                    if key_id == self._loaded(purpose)[0]:
                        self._record(self._store.change(lambda keys: keys.rotated(self._clock(), (purpose,))))
                        self._load()
                    key_id, ring = self._loaded(purpose)
                    self._store.use(key_id)
            return ring.seal(plain, label)

    def open(self, purpose: str, sealed: bytes, label: str) -> bytes:
        """Open with the key that the envelope names; raises a `SealingError`."""
        with self._lock, self._explained():
            self._require_keys()
            try:
                return self._loaded(purpose)[1].open(sealed, label)
            except OtherKey:
                self._load()  # perhaps one that another process has made since
                return self._loaded(purpose)[1].open(sealed, label)

    # -- the hierarchy, under the lock

    @contextmanager
    def _at_hand(self) -> Iterator[None]:
        if self._away is not None and abs(self._clock() - self._away_at) < _AWAY:
            raise KeyAway(self._away)
        try:
            with self._master.at_hand():
                yield
        except KeyAway as error:
            self._away = error.why
            self._away_at = self._clock()
            raise

    def _loaded(self, purpose: str) -> tuple[str, SealerRing]:
        if purpose not in self._rings:
            self._load()
        return self._rings[purpose]

    def _load(self) -> None:
        """Read all again. Without the sealing key, what was read before still opens."""
        with self._at_hand():
            self._founded()
            keys, secrets = self._store.opened()
        self._told(Action.OPEN, str(self._master.place), Outcome.DONE, f"the keys of {DOMAIN}")
        self._rings = {name: _ring(keys, secrets, name) for name in _NAMES}

    def _require_keys(self) -> None:
        if not self._store.exists:
            raise NoKeys(self.path, tuple(self._needing()))

    def _founded(self) -> Hierarchy:
        """The hierarchy, in which every purpose has a key; a new one only where nothing needs an
        earlier one.
        """
        if not self._store.exists and (needing := tuple(self._needing())):
            raise NoKeys(self.path, needing)
        keys = self._store.read()
        if all(keys.versions(purpose) for purpose in _NAMES):
            return keys
        make_directories(self.path.parent)
        self._record(self._store.change(lambda keys: _with_all_purposes(keys, self._clock())))
        return self._store.read()

    def _record(self, transitions: tuple[Transition, ...]) -> None:
        for one in transitions:
            self._told(_ACTIONS[one.step], one.key_id, Outcome.DONE, "")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (
            HierarchyError, IllegalStep, OSError, QuotaExhausted, SealedFileUnusable, StillLocked, StoreDamaged,
        ) as error:  # fmt: skip
            self._told(Action.OPEN, str(self._master.place), Outcome.FAILED, str(error))
            raise KeyUnavailable(str(error), error.cause if isinstance(error, SealedFileUnusable) else None) from None
        except KeyUnavailable as error:
            self._told(Action.OPEN, str(self._master.place), Outcome.FAILED, error.reason)
            raise


class _PurposeSealer:
    """A `Sealer`."""

    def __init__(self, vault: Vault, purpose: str) -> None:
        self._vault = vault
        self._purpose = purpose

    @property
    def key_id(self) -> bytes:
        return self._vault.ring(self._purpose).key_id

    def seal(self, plain: bytes, label: str) -> bytes:
        return self._vault.seal(self._purpose, plain, label)

    def open(self, sealed: bytes, label: str) -> bytes:
        return self._vault.open(self._purpose, sealed, label)


def _with_all_purposes(keys: Hierarchy, now: datetime) -> Hierarchy:
    for purpose in _NAMES:
        if not keys.versions(purpose):
            keys = keys.with_purpose(purpose, now, quota=_QUOTA)
    return keys


def retired(keys: Hierarchy, version: int, purpose: str | None = None) -> tuple[ManagedKey, ...]:
    """The keys of this version, of every purpose (None) or of one. Raises `VersionRefused` where
    one of them still seals, and where none opens anything.
    """
    of_purpose = [key for key in keys.keys.values() if purpose in (None, key.purpose)]
    meant = [key for key in of_purpose if key.version == version]
    living = [key for key in meant if key.opens]
    refused = [key for key in living if key.protects] or ([] if living else meant)
    if refused or not living:
        found = f"one that is {refused[0].state.value}" if refused else "no such version"
        others = dict.fromkeys(key.version for key in keys.retired if key in of_purpose)
        raise VersionRefused(version, found, tuple(others))
    return tuple(living)


def _ring(keys: Hierarchy, secrets: Mapping[str, bytes], purpose: str) -> tuple[str, SealerRing]:
    def sealer(key: ManagedKey) -> Sealer:
        return AeadSealer(HeldKey(secrets[key.id]))

    active = keys.active(purpose)
    older = (key for key in keys.versions(purpose) if key.opens and key != active)
    return active.id, SealerRing(sealer(active), *map(sealer, older))
