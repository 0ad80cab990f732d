"""Seals by purpose: what the rest of the program uses of the sealing key and of the hierarchy below
it.

Theory of operation. The sealing key (in a token, or a file) opens the hierarchy once. From the top
key comes a key for each purpose, and these seal, in this process. So a slow or absent token delays
nothing after the start. The key of one purpose cannot open what the key of another has sealed. A
rotation replaces them all, and the callers do not notice. Uses are counted, as random nonces allow
2^32 of them (NIST SP 800-38D 8.3); the store writes the count ahead.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from certs.audit.entries import Action, Outcome, Told
from certs.files.directory import make_directories
from certs.files.file_lock import StillLocked
from certs.hierarchy.hierarchy import Hierarchy, HierarchyError, Transition
from certs.hierarchy.key import DOMAIN, IllegalStep, KeyState, KeyTransition, ManagedKey, QuotaExhausted
from certs.hierarchy.sealed_files import SealedFile
from certs.hierarchy.store import HierarchyStore, StoreDamaged
from certs.sealing.envelope import Purpose
from certs.sealing.errors import KeyAway, KeyUnavailable, OtherKey
from certs.sealing.files import SealedFileUnusable
from certs.sealing.held_key import HeldKey, key_id_of
from certs.sealing.master import Master
from certs.sealing.sealer import AeadSealer, Sealer, SealerRing

FILE_NAME: Final = "keys.sealed"
"""Of the hierarchy, in the directory of `[sealing]`."""

_QUOTA: Final = 2**32
# A token that hangs is not waited for once for each of many keys that are to open now, each time up
# to a deadline.
_AWAY: Final = timedelta(seconds=1)
_PURPOSES: Final = {
    Purpose.TICKET_KEYS: "tickets",
    Purpose.CREDENTIAL_KEY: "credentials",
    Purpose.PAYLOAD_KEYRING: "payload",
    Purpose.ACME_ACCOUNT: "acme",
}
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
        self._master = master
        self._directory = directory
        self._store = HierarchyStore(directory / FILE_NAME, master)
        self._clock = clock
        self._told = told
        self._needing = needing
        self._lock = threading.RLock()
        self._rings: dict[str, tuple[str, SealerRing]] = {}
        """By purpose, the id of the key that seals, and the sealers of all that open."""
        self._away: str | None = None
        """Why the sealing key could not be asked last, at this time."""
        self._away_at = clock()

    @staticmethod
    def has_keys_for(purpose: Purpose) -> bool:
        return purpose in _PURPOSES

    def sealer(self, purpose: Purpose) -> Sealer:
        return _PurposeSealer(self, _PURPOSES[purpose])

    def read(self) -> Hierarchy:
        """All keys, without their secrets; raises `KeyUnavailable`, which is `NoKeys` where there
        are none: a look makes nothing.
        """
        with self._lock, self._explained():
            self._require_keys()
            with self._master.at_hand():
                self._rings.clear()
                return self._store.read()

    def rotate(self) -> Hierarchy:
        """Retire the top key and the keys that come from it, and seal by new ones from now on;
        raises as `read`.
        """
        return self._change(lambda keys: keys.rotated(self._clock()))

    def destroy(self, version: int) -> Hierarchy:
        """Destroy a retired version of all keys: what it has sealed opens by older copies of the
        file alone.

        Raises as `read`, and `VersionRefused`.
        """
        return self._change(lambda keys: _destroyed(keys, version, self._clock()))

    def key_ids(self, version: int) -> frozenset[bytes]:
        """What envelopes call the keys of a retired version. Raises as `destroy` would."""
        with self._lock, self._explained():
            self._require_keys()
            with self._master.at_hand():
                self._rings.clear()
                keys, secrets = self._store.opened()
        parent = _retired(keys, version).id
        return frozenset(key_id_of(secret) for key_id, secret in secrets.items() if keys[key_id].parent == parent)

    def _change(self, change: Callable[[Hierarchy], Hierarchy]) -> Hierarchy:
        with self._lock, self._explained():
            self._require_keys()
            with self._master.at_hand():
                self._record(self._store.change(change))
                self._rings.clear()
                return self._store.read()

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
                    # by another process, which has rotated the keys
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
        self._rings = {name: _ring(keys, secrets, name) for name in _PURPOSES.values()}

    def _require_keys(self) -> None:
        if not self._store.exists:
            raise NoKeys(self._directory / FILE_NAME, tuple(self._needing()))

    def _founded(self) -> Hierarchy:
        """The hierarchy, in which every purpose has a key; a new one only where nothing needs an
        earlier one.
        """
        if not self._store.exists and (needing := tuple(self._needing())):
            raise NoKeys(self._directory / FILE_NAME, needing)
        keys = self._store.read()
        if all(keys.versions(purpose) for purpose in _PURPOSES.values()):
            return keys
        make_directories(self._directory)
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
            raise KeyUnavailable(str(error)) from None
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
    if not keys.versions():
        keys = keys.founded(now)
    for purpose in _PURPOSES.values():
        if not keys.versions(purpose):
            keys = keys.with_purpose(purpose, now, quota=_QUOTA)
    return keys


def _retired(keys: Hierarchy, version: int) -> ManagedKey:
    """The top key of this version. Raises `VersionRefused` where that is not retired."""
    versions = {key.version: key for key in keys.versions()}
    key = versions.get(version)
    if key is None or key.state is not KeyState.RETIRED:
        found = "no such version" if key is None else f"one that is {key.state.value}"
        retired = tuple(number for number, one in versions.items() if one.state is KeyState.RETIRED)
        raise VersionRefused(version, found, retired)
    return key


def _destroyed(keys: Hierarchy, version: int, now: datetime) -> Hierarchy:
    above = _retired(keys, version)
    for key in list(keys.keys.values()):
        if key.parent == above.id and key.state is not KeyState.DESTROYED:
            keys = keys.destroyed(key.id, now)
    return keys.destroyed(above.id, now)


def _ring(keys: Hierarchy, secrets: dict[str, bytes], purpose: str) -> tuple[str, SealerRing]:
    def sealer(key: ManagedKey) -> Sealer:
        return AeadSealer(HeldKey(secrets[key.id]))

    active = keys.active(purpose)
    older = (key for key in keys.versions(purpose) if key.opens and key != active)
    return active.id, SealerRing(sealer(active), *map(sealer, older))
