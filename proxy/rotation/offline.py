"""Certificates without a running proxy: the same store and the same steps, without workers.

The caller holds the lock of the directory.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from certs.audit.actors import command_line_actor
from certs.audit.configured import audit_log_of
from certs.audit.entries import Action, KeyOperation, Outcome
from certs.audit.journal import NoteJournal, SyslogJournal
from certs.audit.tail import LogDamaged
from certs.files.file_lock import StillLocked
from certs.issuing.issuer import IssueFailed
from certs.keys.home import HomeFailed
from certs.rotation.attempt import Attempt, RotationStep, Task, resumed
from certs.rotation.checks import ChainUnusable
from certs.rotation.due import RenewalReason
from certs.rotation.facts import current_of, leaf_of, wanted_of
from certs.rotation.parts import Parts, parts_of
from certs.rotation.planning import CredentialFacts, Planner
from certs.rotation.revoking import revoke_compromised
from certs.storage.lock import hold
from certs.storage.shelf import Shelf, ShelfDamaged, StoredVersion, retirement
from config.loading.loader import load
from config.tables.rotation import IssuedCredential
from config.values.problems import ConfigError, Problem
from proxy.api.certificates import CertificateRow, RollbackRow, RotationLine
from proxy.rotation.clocks import Clocks
from proxy.rotation.housekeeping import recover
from proxy.rotation.listing import Row, document
from proxy.rotation.memory.kept import drop_mark, kept
from proxy.rotation.running import leaf_facts
from proxy.rotation.ways_back import Asked, NoWayBack, serve_former, ways_back

if TYPE_CHECKING:
    from certs.audit.log import AuditLog

Found = tuple[str, IssuedCredential, Shelf]


class Offline:
    """The certificates of a configuration."""

    def __init__(self, file: Path, clocks: Clocks) -> None:
        """Read the configuration. Raises `ConfigError`."""
        loaded = load(file)
        self._log: AuditLog | None = None
        parts = parts_of(loaded, clocks.wall, told=self._told)
        if parts is None:
            found = "not set"
            allowed = "a directory; this command works on credentials with an issuer, which need it"
            raise ConfigError([Problem(str(file), "rotation.state", found, allowed)])
        self.parts: Parts = parts
        self._clocks = clocks

    def credentials(self, identity: str | None, slot: str | None = None) -> list[Found]:
        """The issued credentials, or those of an identity."""
        return [
            (name, asked, shelf)
            for name, asked, shelf in self.parts.store.of_config(self.parts.loaded.config)
            if identity in (None, name) and slot in (None, shelf.slot)
        ]

    def shelves(self, identity: str) -> list[Shelf]:
        """The versions of its credentials, also of those that the configuration had before."""
        store = self.parts.store
        slots = {shelf.slot for _, _, shelf in self.credentials(identity)} | set(store.slots(identity))
        return [store.shelf(identity, slot) for slot in sorted(slots)]

    def listing(self) -> list[CertificateRow]:
        """The document of `GET /certificates`, with the waits that the last proxy has kept.

        Raises `OSError` or `ShelfDamaged`.
        """
        now = self._clocks.now()
        try:
            planner = self._planner()
        except ShelfDamaged:  # a proxy starts without it, too
            planner = Planner(self.parts.loaded.config.rotation.renew_when_left, self._clocks.jitter)
        rows = []
        for name, asked, shelf in self.credentials(None):
            version = shelf.current()
            current = None if version is None else current_of(version)
            wanted = wanted_of(self.parts.loaded.config.identity[name].names, asked)
            key = (name, shelf.slot)
            standing = planner.plan({key: CredentialFacts(wanted, current)}, now).standings[key]
            serial = None if version is None else f"{leaf_of(version).serial_number:x}"
            number = None if version is None else version.number
            rows.append(document(Row(key, wanted, current, standing, number, serial), now.wall))
        return rows

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the state directory, and write the operations on keys to the audit log.

        Raises `StateInUse`, `OSError`, or `ConfigError`: for a node of a fleet, or for an audit log
        that cannot be used.
        """
        loaded = self.parts.loaded
        if loaded.config.fleet.etcd:
            found = "set: the nodes of a fleet change certificates together"
            raise ConfigError([loaded.file.error(("fleet", "etcd"), found, "this command on a member that runs")])
        with hold(self.parts.store.directory, self.parts.store.disk), self._recording():
            recover(self.parts)
            yield

    @contextmanager
    def _recording(self) -> Iterator[None]:
        loaded = self.parts.loaded
        log = audit_log_of(loaded.file, loaded.config.audit, loaded.config.hsm, SyslogJournal(fallback=NoteJournal()))
        if log is None:
            yield
            return
        try:
            try:
                log.open(self._clocks.wall())
            except (OSError, StillLocked, LogDamaged) as error:
                found = f"{log.path}, which cannot be written: {error}"
                allowed = "a file that this user may append to"
                raise ConfigError([loaded.file.error(("audit", "file"), found, allowed)]) from None
            self._log = log
            yield
        finally:
            self._log = None
            log.close()

    def _told(self, action: Action, key: str, outcome: Outcome, detail: str) -> None:
        if self._log is None:
            return  # without the directory there is nothing to make or to destroy
        try:
            self._log.record(KeyOperation(command_line_actor(), action, key, outcome, detail), self._clocks.wall())
        except (StillLocked, LogDamaged) as error:
            raise OSError(f"audit log {self._log.path}: {error}") from None

    def rotate(self, found: Found, reason: RenewalReason) -> Iterator[RotationLine]:
        """Rotate, and yield the steps as a running proxy tells them.

        A key that was marked as compromised in a running proxy is replaced as compromised.
        """
        name, asked, shelf = found
        about: RotationLine = {"identity": name, "credential": shelf.slot}
        is_marked = False
        try:
            is_marked = self._planner().is_compromised((name, shelf.slot))
        except (ShelfDamaged, OSError) as error:
            yield {**about, "note": str(error)}  # no reason to keep the key that serves
        reason = RenewalReason.COMPROMISED if is_marked else reason
        yield {**about, "step": "begun", "reason": reason.value}
        task = Task(
            shelf,
            asked.key,
            self.parts.loaded.config.identity[name].names,
            self.parts.issuers[asked.issuer],
            asked.settings.profile,
            reason,
        )
        step = RotationStep.STORE
        attempt = None
        try:
            version = resumed(task, self.parts.homes, self._clocks.wall())
            if version is None:
                attempt = Attempt(task, self.parts.homes, self._clocks.wall)
                step = RotationStep.KEY
                attempt.make_key()
                yield {**about, "step": step.value, "key": str(asked.key)}
                step = RotationStep.ISSUE
                issued = attempt.issue()
                yield {**about, "step": step.value, "issuer": asked.issuer}
                step = RotationStep.CHECK
                leaf = attempt.check(issued)
                yield {**about, "step": step.value, **leaf_facts(leaf)}
                step = RotationStep.STORE
                version = attempt.store(issued)
            yield {**about, "step": RotationStep.STORE.value, "version": version.number}
            step = RotationStep.SWAP
            self._serve(shelf, version, reason)
            for note in self._revoked(shelf, reason):
                yield {**about, "note": note}
            if is_marked:
                drop_mark(
                    self.parts.store, (name, shelf.slot)
                )  # last: before that the next start replaces it once more
        except (IssueFailed, HomeFailed, ShelfDamaged, ChainUnusable, OSError) as error:
            if attempt is not None and step is not RotationStep.SWAP:
                attempt.undo()
            yield {**about, "rotated": False, "step": step.value, "detail": str(error)}
        else:
            yield {**about, "rotated": True, "version": version.number, "serial": f"{leaf_of(version).serial_number:x}"}

    def _revoked(self, shelf: Shelf, reason: RenewalReason) -> list[str]:
        """Revoke the previous certificate of a compromised key, and tell how that went."""
        if not reason.needs_a_new_key_at_once:
            return []
        return revoke_compromised(shelf, self.parts.issuers, self._clocks.wall()) or [
            "the previous certificate was revoked"
        ]

    def roll_back(self, found: Sequence[Found]) -> list[RollbackRow]:
        """Let the previous versions serve from the next start on: all of them, or none.

        Raises `OSError` or `ShelfDamaged`.
        """
        now = self._clocks.wall()
        planner = self._planner()
        asked = [Asked(shelf, planner.is_compromised((name, shelf.slot))) for name, _, shelf in found]
        ways = ways_back(asked, now)
        chosen = [(one.shelf, way) for one, way in zip(asked, ways, strict=True) if isinstance(way, StoredVersion)]
        serve_former(chosen, retirement(now, self.parts.loaded.config.rotation.grace, "rolled back"))
        return [_rolled(one.shelf, way) for one, way in zip(asked, ways, strict=True)]

    def _planner(self) -> Planner:
        """A planner that knows what the last proxy has kept: waits and compromised keys.

        Raises `OSError` or `ShelfDamaged`.
        """
        planner = Planner(self.parts.loaded.config.rotation.renew_when_left, self._clocks.jitter)
        try:
            if (document := kept(self.parts.store)) is not None:
                planner.remember(document["waits"], self._clocks.now())
        except (KeyError, TypeError, ValueError) as error:
            found = f"what rotations wait for cannot be read: {error}"
            raise ShelfDamaged(self.parts.store.directory, found) from None
        return planner

    def _serve(self, shelf: Shelf, version: StoredVersion, reason: RenewalReason) -> None:
        now = self._clocks.wall()
        grace = self.parts.loaded.config.rotation.grace
        compromised = reason.needs_a_new_key_at_once
        shelf.serve(version.number, retirement(now, grace, reason.value, is_compromised=compromised))
        shelf.destroy_keys(now, self.parts.homes)


def _rolled(shelf: Shelf, way: StoredVersion | NoWayBack) -> RollbackRow:
    row: RollbackRow = {"identity": shelf.identity, "credential": shelf.slot, "ok": isinstance(way, StoredVersion)}
    if isinstance(way, NoWayBack):
        return {**row, "step": RotationStep.STORE.value, "detail": way.detail}
    return {**row, "version": way.number, "serial": f"{leaf_of(way).serial_number:x}"}
