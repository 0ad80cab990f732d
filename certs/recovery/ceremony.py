"""The two occasions on which a sealing key is outside of a token: when it is made and split, and when people bring it back.

The order matters. The memory is protected before there is a key; the place is looked at before anybody writes anything down; the
shares are proven to bring the key back before they are shown; the key is put in its place only when every holder has said that
they have their share; and it is tried there, against the key outside, before it counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from certs.audit.entries import Action, Outcome
from certs.recovery.buffers import random_buffer, wipe
from certs.recovery.importing import ImportRefused, KeyImporter
from certs.recovery.shares import KEY_BYTES, Scheme, Share, ShareCollector, ShareRefused, split
from certs.sealing.errors import SealingError
from certs.sealing.held_key import key_id_of
from certs.sealing.sealer import AeadKey

Record = Callable[[Action, Outcome, str], None]
"""Writes an operation on the sealing key to the audit log: what, what came of it, and a detail for a person."""

_PROBE: Final = b"plexigate sealing key probe"


class Aborted(Exception):
    """Somebody has ended the ceremony; nothing was put anywhere."""


class Terminal(Protocol):
    """The people in front of it."""

    def say(self, text: str) -> None:
        """Tell something that is no secret."""

    def show(self, share: Share, scheme: Scheme) -> None:
        """Show a share to its holder alone."""

    def is_written_down(self, share: Share) -> bool:
        """Ask the holder; False ends the ceremony."""

    def hide(self) -> None:
        """Take the share from the screen."""

    def ask_share(self, question: str) -> str:
        """Ask for the words of a share, which are not shown while they are typed; empty where nobody has one."""


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What both occasions need: the place for the key, the people, the protection of the memory, and the audit log."""

    importer: KeyImporter
    terminal: Terminal
    harden: Callable[[], None]
    record: Record

    def init(self, scheme: Scheme) -> AeadKey:
        """Make a sealing key outside, split it, and put it in its place.

        Raises `NotHardened`, `ImportRefused`, `NotRebuilt` or `Aborted`; then there is no key, and shares that were shown are worthless.
        """
        self.harden()
        self.importer.require_free()
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

    def generate(self) -> AeadKey:
        """Make a sealing key in its place, so that nobody can ever bring it back. Raises `ImportRefused`."""
        self.importer.require_free()
        try:
            key = self.importer.generate()
            _try(key, None)
        except ImportRefused as error:
            self.record(Action.GENERATE, Outcome.FAILED, str(error))
            raise
        self.record(Action.GENERATE, Outcome.DONE, f"without recovery, in {self.importer.place}")
        self.terminal.say(
            f"The sealing key was made in {self.importer.place} (id {key.key_id.hex()}). There are no shares of it: if it is lost, "
            "everything that it has sealed is lost."
        )
        return key

    def recover(self, check_value: str | None = None) -> AeadKey:
        """Bring a sealing key back from its shares, and put it in a new place.

        `check_value` is what `init` said, to be sure that it is the right key. Raises as `init` does.
        """
        self.harden()
        self.importer.require_free()
        collector = ShareCollector()
        while not collector.is_complete:
            self._take(collector)
        secret = collector.rebuild()
        try:
            found = _check_value(secret)
            if check_value is not None and check_value.lower() != found:
                self.record(Action.RECOVER, Outcome.REFUSED, f"check value {found}, expected another")
                raise ImportRefused(f"these shares give the key with the check value {found}, not {check_value}")
            key = self._put(secret)
            self.record(Action.RECOVER, Outcome.DONE, f"{collector.count} shares, check value {found}")
            self.terminal.say(
                f"The sealing key with the check value {found} is in {self.importer.place} again (id {key.key_id.hex()}). It was outside "
                "for this moment; the shares stay valid."
            )
            return key
        finally:
            wipe(secret)

    def _hand_out(self, shares: tuple[Share, ...], scheme: Scheme) -> None:
        for share in shares:
            self.terminal.show(share, scheme)
            try:
                if not self.terminal.is_written_down(share):
                    self.record(Action.SPLIT, Outcome.REFUSED, f"ended at share {share.number}")
                    raise Aborted("ended: no key was put anywhere; destroy the shares that were written down")
            finally:
                self.terminal.hide()

    def _take(self, collector: ShareCollector) -> None:
        of = f" of {collector.needed}" if collector.needed else ""
        text = self.terminal.ask_share(f"Share {collector.count + 1}{of}")
        if not text.strip():
            raise Aborted(f"ended with {collector.count} shares: no key was put anywhere")
        try:
            number = collector.add(text)
        except ShareRefused as error:
            self.terminal.say(f"Not taken: {error}.")
            return
        self.terminal.say(f"Taken: share number {number}; {collector.count} of {collector.needed}.")

    def _put(self, secret: bytearray) -> AeadKey:
        try:
            key = self.importer.import_key(secret)
            _try(key, secret)
        except ImportRefused as error:
            self.record(Action.IMPORT, Outcome.FAILED, str(error))
            raise
        self.record(
            Action.IMPORT, Outcome.DONE, f"into {self.importer.place}, id {key.key_id.hex()}; it was outside once"
        )
        return key


def _check_value(secret: bytearray) -> str:
    return key_id_of(secret).hex()[:16]


def _try(key: AeadKey, secret: bytearray | None) -> None:
    """Seal with the key in its place and open that: with the key outside if there is one, so that both are the same."""
    try:
        nonce, sealed = key.encrypt(_PROBE, b"")
        found = key.decrypt(nonce, sealed, b"")
        if secret is not None and found == _PROBE:
            found = AESGCM(secret).decrypt(nonce, sealed, b"")
    except (SealingError, InvalidTag):
        found = b""
    if found != _PROBE:
        raise ImportRefused("the key that is in its place now does not open what it has sealed: remove it")


def _born_outside(scheme: Scheme, importer: KeyImporter, check_value: str) -> str:
    exposed = " and can be read there" if importer.is_outside_again else ", sensitive and not extractable"
    return (
        f"The sealing key is in {importer.place}{exposed}. Check value: {check_value}; keep it with the shares, it is no secret.\n"
        f"This one key was once outside: it was made in the memory of this process, to be split. Any {scheme.threshold} holders together "
        f"can have it again; fewer than that know nothing of it.\nEvery other key is made in its token and never leaves it."
    )
