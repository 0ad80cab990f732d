"""The versions of one credential, in a directory of their own.

    v000003/           complete: intent.json, key, chain.pem (without `key`: its key was destroyed)
    v000004.pending/   not complete yet; left behind by a process that is gone, it is undone
    ledger.json        which one serves, and what became of the others

A version goes through `begin`, `keep_key`, `keep_chain`, `complete`, and then `serve` or `drop`.
Each is durable when it returns; a process that ends between two of them is found by `recover`.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from certs.audit.entries import Action, Outcome, Told, unheard
from certs.keys.generating import ALGORITHMS
from certs.keys.home import HomeFailed, Homes, KeyHome, KeyName
from certs.storage.disk import NEW, Disk
from certs.storage.intent import Intent, IntentDamaged
from certs.storage.ledger import Ledger, LedgerDamaged, Retirement
from config.tables.rotation import KeySpec, kind_of, parse_key_spec
from config.values.addresses import Refused

_PENDING: Final = ".pending"
_VERSION: Final = re.compile(r"v(\d{6,9})(\.pending)?")
_LEDGER: Final = "ledger.json"
_INTENT: Final = "intent.json"
_KEY: Final = "key"
_CHAIN: Final = "chain.pem"


class ShelfDamaged(Exception):
    """A file of the state directory that another program wrote: `path`, and what was `found`."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(path, found)
        self.path = path
        self.found = found

    def __str__(self) -> str:
        return f"{self.path}: {self.found}"


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A complete version: `number` and its directory."""

    number: int
    directory: Path
    intent: Intent

    @property
    def chain_path(self) -> Path:
        """PEM, leaf first."""
        return self.directory / _CHAIN

    @property
    def kept_path(self) -> Path:
        """What the home of its key wants kept."""
        return self.directory / _KEY

    @property
    def has_key(self) -> bool:
        """Whether its key was not destroyed yet."""
        return self.kept_path.is_file()

    @property
    def spec(self) -> KeySpec:
        return parse_key_spec(self.intent.key)


class Shelf:
    """The versions of the credential `slot` of `identity`.

    Methods raise `OSError`, those that read also `ShelfDamaged`.
    """

    def __init__(self, directory: Path, identity: str, slot: str, disk: Disk, told: Told = unheard) -> None:
        """`directory` is made when something is written; `told` hears of keys made and
        destroyed.
        """
        self.directory: Final = directory
        self.identity: Final = identity
        self.slot: Final = slot
        self._disk = disk
        self._told = told

    # -- what is there

    def ledger(self) -> Ledger:
        path = self.directory / _LEDGER
        try:
            return Ledger.parse(path.read_bytes())
        except FileNotFoundError:
            return Ledger()
        except LedgerDamaged as error:
            raise ShelfDamaged(path, str(error)) from None

    def version(self, number: int) -> StoredVersion | None:
        """A complete version, None where there is none of this number."""
        directory = self.directory / _name(number)
        try:
            return StoredVersion(number, directory, Intent.parse((directory / _INTENT).read_bytes()))
        except FileNotFoundError:
            return None
        except IntentDamaged as error:
            raise ShelfDamaged(directory / _INTENT, str(error)) from None

    def current(self) -> StoredVersion | None:
        number = self.ledger().current
        return None if number is None else self.version(number)

    def candidate(self) -> StoredVersion | None:
        """A complete version about which nothing was decided: its process ended before it
        served.
        """
        decided = self.ledger().decided
        above = [number for number, is_pending in self._numbers() if number > decided and not is_pending]
        return self.version(max(above)) if above else None

    def versions(self) -> list[StoredVersion]:
        """All complete versions, the newest first."""
        numbers = sorted((number for number, is_pending in self._numbers() if not is_pending), reverse=True)
        return [one for number in numbers if (one := self.version(number)) is not None]

    def key_name(self, number: int, spec: KeySpec) -> KeyName:
        """What the key of a version is called at its home."""
        return KeyName(self.identity, ALGORITHMS[spec.algorithm], number)

    # -- the way of a version

    def begin(self, intent: Intent) -> int:
        """Begin one, and answer its number; its key is not made before this has returned."""
        number = max([self.ledger().decided, *(number for number, _ in self._numbers()), *self._of_replicas()]) + 1
        directory = self.directory / f"{_name(number)}{_PENDING}"
        self._disk.make_directory(directory)
        self._disk.write(directory / _INTENT, intent.encode())
        return number

    def keep_key(self, number: int, kept: bytes, action: Action = Action.GENERATE) -> None:
        """Keep what the home of its key wants kept; `action` is how the key came here."""
        pending = self.directory / f"{_name(number)}{_PENDING}"
        self._disk.write(pending / _KEY, kept)
        intent = Intent.parse((pending / _INTENT).read_bytes())
        spec = parse_key_spec(intent.key)
        self._told(action, self._described(number, spec), Outcome.DONE, intent.reason)

    def note(self, version: StoredVersion, numbered: Intent) -> None:
        """Remember the numbers that a fleet gave to a complete version."""
        intent = replace(version.intent, edition=numbered.edition, epoch=numbered.epoch)
        self._disk.write(version.directory / _INTENT, intent.encode())

    def keep_chain(self, number: int, chain_pem: bytes) -> None:
        self._disk.write(self.directory / f"{_name(number)}{_PENDING}" / _CHAIN, chain_pem)

    def complete(self, number: int) -> StoredVersion:
        self._disk.rename(self.directory / f"{_name(number)}{_PENDING}", self.directory / _name(number))
        version = self.version(number)
        assert version is not None  # it was renamed
        return version

    def put(self, number: int, intent: Intent, kept: bytes | None, chain_pem: bytes) -> None:
        """Keep a complete version of another node, by the number that it has there."""
        pending = self.directory / f"{_name(number)}{_PENDING}"
        self._disk.make_directory(pending)
        self._disk.write(pending / _INTENT, intent.encode())
        if kept is not None:
            self.keep_key(number, kept, Action.IMPORT)
        self.keep_chain(number, chain_pem)
        self.complete(number)

    def serve(self, number: int, retirement: Retirement) -> None:
        """Decide that a version serves from now on; the one before goes into retirement.

        One write: all or nothing.
        """
        self._write(self.ledger().serving(number, retirement))

    def decide(self, ledger: Ledger) -> None:
        """What was decided is what `ledger` says: a step from the one that is there, or an earlier
        one that is restored.
        """
        self._write(ledger)

    def unrevoked(self) -> list[StoredVersion]:
        """Compromised versions whose certificates were not taken back yet."""
        retired = self.ledger().retired
        wanted = [number for number, one in sorted(retired.items()) if one.is_compromised and not one.is_revoked]
        return [one for number in wanted if (one := self.version(number)) is not None]

    def drop(self, number: int, homes: Homes) -> None:
        """Undo a version that never served: first its key, then its files.

        Raises `HomeFailed`, and then it is still there.
        """
        complete = self.directory / _name(number)
        pending = self.directory / f"{_name(number)}{_PENDING}"
        if complete.is_dir():
            self._write(self.ledger().refused(number))
            self._disk.rename(complete, pending)
        self._undo(pending, number, homes)

    # -- afterwards

    def destroy_keys(self, now: datetime, homes: Homes) -> list[int]:
        """Destroy the keys of retired versions whose time has come; answers their numbers.

        Raises `HomeFailed`.
        """
        due = {number: one.why for number, one in self.ledger().retired.items() if one.destroy_at <= now}
        destroyed = []
        for number, why in due.items():
            version = self.version(number)
            if version is None or not version.has_key:
                continue
            self._destroy(number, version.spec, homes)
            self._disk.remove(version.kept_path)
            self._told(Action.DESTROY, self._described(number, version.spec), Outcome.DONE, f"retired: {why}")
            destroyed.append(number)
        return destroyed

    def forget(self, keep: int) -> list[int]:
        """Forget all but the newest `keep` retired versions without keys; answers their numbers."""
        ledger = self.ledger()
        waiting = {one.number for one in self.unrevoked()}
        gone = [
            number
            for number in ledger.retired
            if number not in waiting and ((one := self.version(number)) is None or not one.has_key)
        ]
        forgotten = sorted(gone)[: max(0, len(gone) - keep)]
        for number in forgotten:
            directory = self.directory / _name(number)
            pending = directory.with_name(f"{directory.name}{_PENDING}")
            if directory.is_dir():
                self._disk.rename(directory, pending)  # else a crash would leave a complete version without its files
            self._disk.remove_directory(pending)
            ledger = ledger.without(number)
            self._write(ledger)
        return forgotten

    def recover(self, homes: Homes) -> list[int]:
        """Undo what a process left behind that is gone; answers the numbers of versions that were
        undone. Raises `HomeFailed`.

        A complete version stays: it is the `candidate`, whose certificate need not be asked for
        again.
        """
        if not self.directory.is_dir():
            return []
        for path in sorted(self.directory.glob(f"*{NEW}")):
            self._disk.remove(path)
        ledger = self.ledger()
        undone = []
        for number, is_pending in self._numbers():
            if is_pending:
                self._undo(self.directory / f"{_name(number)}{_PENDING}", number, homes)
                undone.append(number)
            elif number <= ledger.decided and number != ledger.current and number not in ledger.retired:
                self.drop(number, homes)  # it was refused, and its process ended before it was gone
                undone.append(number)
        return undone

    def _undo(self, pending: Path, number: int, homes: Homes) -> None:
        try:
            spec = parse_key_spec(Intent.parse((pending / _INTENT).read_bytes()).key)
        except (FileNotFoundError, IntentDamaged, Refused):
            spec = None  # begun, and ended before its key was made; or undone but for its files
        if spec is not None:
            self._destroy(number, spec, homes)
        had_key = (pending / _KEY).is_file()
        self._disk.remove_directory(pending)
        if spec is not None and had_key:
            self._told(Action.DESTROY, self._described(number, spec), Outcome.DONE, "it never served")

    def _destroy(self, number: int, spec: KeySpec, homes: Homes) -> None:
        try:
            _home(homes, spec).destroy(self.key_name(number, spec))
        except HomeFailed as error:
            self._told(Action.DESTROY, self._described(number, spec), Outcome.FAILED, str(error))
            raise

    def _described(self, number: int, spec: KeySpec) -> str:
        return f"{self.key_name(number, spec)}@{spec.place}"

    def _write(self, ledger: Ledger) -> None:
        self._disk.write(self.directory / _LEDGER, ledger.encode())

    def _of_replicas(self) -> list[int]:
        """The numbers of credentials of the same kind: they may have keys in the same token, which
        have the number in their name.
        """
        places = self.directory.parent.glob(f"{kind_of(self.slot)}*/*")
        return [int(found[1]) for path in places if (found := _VERSION.fullmatch(path.name))]

    def _numbers(self) -> list[tuple[int, bool]]:
        if not self.directory.is_dir():
            return []
        found = (_VERSION.fullmatch(path.name) for path in self.directory.iterdir())
        return sorted((int(one[1]), one[2] is not None) for one in found if one)


def retirement(now: datetime, grace: timedelta, why: str, *, is_compromised: bool = False) -> Retirement:
    """What becomes of the version that serves until now: its key is kept for `grace`, or not at
    all.
    """
    return Retirement(now, now if is_compromised else now + grace, why, is_compromised)


def _home(homes: Homes, spec: KeySpec) -> KeyHome:
    if spec.place not in homes:
        raise HomeFailed(spec.place, "the configuration has no such place (any more)")
    return homes[spec.place]


def _name(number: int) -> str:
    return f"v{number:06}"
