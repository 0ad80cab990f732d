"""The two ceremonies in which a sealing key is outside a token: it is made and split, or rebuilt
from shares.

The order matters. The memory is protected before there is a key. The place for the key is checked
before the first share is written down. The shares are proven to rebuild the key before they are
shown. The key is put in its place only when every holder has confirmed their share, or when it
opens what was sealed before. It is tried there, against the key in memory, before it is used. The
audit log has an end for everything that was begun, also after an interruption.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from certs.audit.entries import Action, Outcome
from certs.recovery.buffers import random_buffer, wipe
from certs.recovery.sealed_before import SealedBefore
from certs.recovery.shares import KEY_BYTES, NotRebuilt, Share, ShareCollector, ShareRefused, SharingScheme, split
from certs.sealing.errors import SealingError
from certs.sealing.held_key import key_id_of
from certs.sealing.importing import ImportRefused, KeyImporter
from certs.sealing.sealer import AeadKey, SealingKey

Record = Callable[[Action, Outcome, str], None]
"""Writes an operation on the sealing key to the audit log: action, outcome, and a detail."""

_PROBE: Final = b"plexigate sealing key probe"
_LABEL: Final = "sealing key probe"


class Aborted(Exception):
    """The operator has ended the ceremony. The key was not stored."""


class Terminal(Protocol):
    def say(self, text: str) -> None:
        """Print a text that is not secret."""

    def show(self, share: Share, scheme: SharingScheme) -> None: ...

    def is_written_down(self, share: Share) -> bool:
        """Ask the holder; False ends the ceremony."""

    def hide(self) -> None: ...

    def ask_share(self, question: str) -> str:
        """Ask for the words of a share without echo; empty to end."""


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What both occasions need: the place for the key, the people, the protection of the memory,
    and the audit log.

    `before` is what a sealing key has sealed already, where that is known.
    """

    importer: KeyImporter
    terminal: Terminal
    harden: Callable[[], None]
    record: Record
    before: SealedBefore | None = None

    def init(self, scheme: SharingScheme) -> AeadKey:
        """Make a sealing key outside, split it, and put it in its place.

        Raises `NotHardened`, `ImportRefused`, `NotRebuilt` or `Aborted`; then there is no key, and
        shares that were shown are worthless.
        """
        self.harden()
        self.importer.require_import()
        self._require_place_for_new()
        secret = random_buffer(KEY_BYTES)
        try:
            shares = split(secret, scheme)
            self.record(Action.SPLIT, Outcome.DONE, f"{scheme} shares, check value {_check_value(secret)}")
            self._hand_out(shares, scheme)
            key = self._put(secret)
            self.terminal.say(_born_outside(scheme, self.importer, _check_value(secret)))
            return key
        finally:
            wipe(secret)

    def generate(self) -> SealingKey:
        """Make a sealing key without shares, which cannot be recovered. Raises `ImportRefused`."""
        self._require_place_for_new()
        with self._ending(Action.GENERATE):
            key = self.importer.generate()
            _require_right(lambda: key.open(key.seal(_PROBE, _LABEL), _LABEL))
        self.record(Action.GENERATE, Outcome.DONE, f"without recovery, in {self.importer.place}")
        self.terminal.say(
            f"The sealing key was made in {self.importer.place} (id {key.key_id.hex()}). It has no recovery shares: if it is lost, "
            "everything that it has sealed is lost."
        )
        return key

    def recover(self, check_value: str | None = None) -> AeadKey:
        """Bring a sealing key back from its shares, and put it in a new place.

        `check_value` is what `init` said, to be sure that it is the right key. Raises as `init`
        does.
        """
        self.harden()
        self.importer.require_import()
        self.importer.require_free()
        collector = ShareCollector()
        self._collect(collector)
        try:
            secret = collector.rebuild()
        except NotRebuilt as error:
            self.record(Action.RECOVER, Outcome.FAILED, str(error))
            raise
        try:
            found = _check_value(secret)
            if check_value is not None and check_value.lower() != found:
                self.record(Action.RECOVER, Outcome.REFUSED, f"check value {found}, expected another")
                raise ImportRefused(f"these shares give the key with the check value {found}, not {check_value}")
            self._require_opened(secret)
            key = self._put(secret)
            self.record(Action.RECOVER, Outcome.DONE, f"{collector.count} shares, check value {found}")
            self.terminal.say(
                f"The sealing key with the check value {found} is in {self.importer.place} again (id {key.key_id.hex()}). During the "
                "recovery it was in the memory of this process. The shares stay valid."
            )
            return key
        finally:
            wipe(secret)

    def _require_place_for_new(self) -> None:
        self.importer.require_free()
        if self.before is not None:
            self.before.require_none()

    def _require_opened(self, secret: bytearray) -> None:
        if self.before is None:
            return
        try:
            self.before.require_opened(secret, self.importer.envelope_id)
        except ImportRefused as error:
            self.record(Action.RECOVER, Outcome.REFUSED, str(error))
            raise

    def _hand_out(self, shares: tuple[Share, ...], scheme: SharingScheme) -> None:
        for share in shares:
            self.terminal.show(share, scheme)
            try:
                if not self.terminal.is_written_down(share):
                    self.record(Action.SPLIT, Outcome.REFUSED, f"ended at share {share.number}")
                    raise Aborted("ended: the key was not stored; destroy the shares that were written down")
            except (KeyboardInterrupt, EOFError):
                self.record(Action.SPLIT, Outcome.GIVEN_UP, f"interrupted at share {share.number} of {scheme.count}")
                raise
            finally:
                self.terminal.hide()

    def _collect(self, collector: ShareCollector) -> None:
        refused = 0
        try:
            while not collector.is_complete:
                refused += not self._take(collector)
        except (Aborted, KeyboardInterrupt, EOFError) as error:
            how = "ended" if isinstance(error, Aborted) else "interrupted"
            rest = f"; {refused} {'was' if refused == 1 else 'were'} refused" if refused else ""
            self.record(Action.RECOVER, Outcome.GIVEN_UP, f"{how} with {_shares(collector.count)}{rest}")
            raise

    def _take(self, collector: ShareCollector) -> bool:
        of = f" of {collector.needed}" if collector.needed else ""
        text = self.terminal.ask_share(f"Share {collector.count + 1}{of}")
        if not text.strip():
            raise Aborted(f"ended with {_shares(collector.count)}: the key was not stored")
        try:
            number = collector.add(text)
        except ShareRefused as error:
            self.terminal.say(f"Refused: {error}.")
            return False
        self.terminal.say(f"Accepted share number {number}: {collector.count} of {collector.needed}.")
        return True

    def _put(self, secret: bytearray) -> AeadKey:
        with self._ending(Action.IMPORT):
            key = self.importer.import_key(secret)
            _require_right(lambda: _opened_by_both(key, secret))
        self.record(
            Action.IMPORT, Outcome.DONE, f"into {self.importer.place}, id {key.key_id.hex()}; it was outside once"
        )
        return key

    @contextmanager
    def _ending(self, action: Action) -> Iterator[None]:
        """Record the outcome if the place refuses the key, or the ceremony is interrupted."""
        try:
            yield
        except ImportRefused as error:
            self.record(action, Outcome.FAILED, str(error))
            raise
        except KeyboardInterrupt:
            detail = f"interrupted: unknown whether the key is in {self.importer.place}"
            self.record(action, Outcome.GIVEN_UP, detail)
            raise


def _shares(count: int) -> str:
    return "1 share" if count == 1 else f"{count} shares"


def _check_value(secret: bytearray) -> str:
    return key_id_of(secret).hex()[:16]


def _opened_by_both(key: AeadKey, secret: bytearray) -> bytes:
    """Seal with the key in its place, and open that with it and with the key outside: are they the
    same?
    """
    nonce, sealed = key.encrypt(_PROBE, b"")
    found = key.decrypt(nonce, sealed, b"")
    return AESGCM(secret).decrypt(nonce, sealed, b"") if found == _PROBE else found


def _require_right(opened: Callable[[], bytes]) -> None:
    try:
        found = opened()
    except (SealingError, InvalidTag):
        found = b""
    if found != _PROBE:
        raise ImportRefused("the stored key does not open what it has sealed; remove it")


def _born_outside(scheme: SharingScheme, importer: KeyImporter, check_value: str) -> str:
    exposed = " and can be read there" if importer.is_outside_again else ", sensitive and not extractable"
    return (
        f"The sealing key is in {importer.place}{exposed}. Check value: {check_value}. It is not secret; keep it with the shares.\n"
        f"To be split, this key was made in the memory of this process. Any {scheme.threshold} holders together can recover it; "
        f"fewer holders learn nothing about it.\nEvery other key is made in its token and never leaves it."
    )
