"""A loaded PKCS#11 module: its tokens, and the login to one.

Only in the process of `token_process`, on its one thread.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

import pkcs11
from pkcs11.attributes import AttributeMapper, handle_ulong
from pkcs11.constants import Attribute

from certs.hsm.access import TokenAccess, TokenChoice
from certs.hsm.errors import (
    CallFailed,
    ModuleUnusable,
    PinFinalTry,
    PinLatched,
    PinRefused,
    TokenAmbiguous,
    TokenMissing,
    TokenSilent,
)
from certs.hsm.facts import PinState, TokenFacts
from certs.hsm.key_kinds import MECHANISMS_THAT_MATTER
from certs.hsm.process.function_table import FunctionTable, text_of
from certs.hsm.process.pin_latch import PinLatch, is_about_pin
from certs.hsm.process.return_codes import name_of_error
from certs.hsm.secret import Secret

# Slots go away and tokens are taken out while a list is made: no reason not to list the others.
_ABSENT: Final = frozenset(
    {"CKR_TOKEN_NOT_PRESENT", "CKR_TOKEN_NOT_RECOGNIZED", "CKR_SLOT_ID_INVALID", "CKR_DEVICE_REMOVED"}
)

# For all calls that a process makes to a token when it loads the module. A device over a network
# needs some round trips.
_SLOT_SECONDS: Final = 3.0

# How python-pkcs11 says that it has no class for a return value.
_UNMAPPED: Final = "Unmapped error code"


def failed(operation: str, error: pkcs11.exceptions.PKCS11Error) -> CallFailed:
    """The error of a call, by the name of its return value."""
    return CallFailed(operation, name_of_error(type(error).__name__, str(error)))


def _why_not_loaded(error: pkcs11.exceptions.PKCS11Error) -> str:
    """The return value of C_Initialize, or the linker's words where it did not come to that."""
    text = str(error)
    is_linker = type(error) is pkcs11.exceptions.PKCS11Error and not text.startswith(_UNMAPPED)
    return text if is_linker else name_of_error(type(error).__name__, text)


class Module:
    """A module. Raises ModuleUnusable when it cannot be loaded."""

    def __init__(self, path: Path, silent: Collection[int], hangs: Callable[[int], None]) -> None:
        """Leave the `silent` slots alone. `hangs` is called in another thread if the token in a
        slot does not answer; a call that hangs ends only with its process.
        """
        self._silent = frozenset(silent)
        self._hangs = hangs
        self._only: int | None = None
        """The slot that is listed alone, while python-pkcs11 looks: it asks every one."""
        try:
            self._library = pkcs11.lib(str(path))
        except pkcs11.exceptions.PKCS11Error as error:
            raise ModuleUnusable(str(path), _why_not_loaded(error)) from None
        self._table = FunctionTable(path)
        self._table.list_only(lambda slot: slot not in self._silent and self._only in (None, slot))

    def finalize(self) -> None:
        """Give everything back, which ends sessions and logins of this process."""
        self._library.finalize()

    def tokens(self) -> list[TokenFacts]:
        """Every token that is there now, also those that were never set up, and those that do not
        answer.
        """
        facts = [TokenFacts.of_broken(slot, f"no answer within {_SLOT_SECONDS:g} s") for slot in sorted(self._silent)]
        for slot in self._table.slots():
            try:
                facts.append(self._tried(slot))
            except CallFailed as fault:
                if fault.ckr not in _ABSENT:
                    facts.append(TokenFacts.of_broken(slot, fault.ckr))
        return facts

    def find(self, choice: TokenChoice, likely_slot: int | None = None) -> tuple[TokenFacts, list[int] | None]:
        """The one token that is chosen, and all slots that do not answer; None if that was not
        tried.

        Raises TokenMissing, TokenAmbiguous; TokenSilent and CallFailed where it may be one that
        does not answer.

        Where it was before, if that is known, it is looked for first: another token may hang.
        """
        if likely_slot is not None and likely_slot not in self._silent:
            with contextlib.suppress(CallFailed):
                known = self._tried(likely_slot)
                if known.is_initialized and choice.fits(known):
                    return known, None
        present = self.tokens()
        found = [one for one in present if one.is_initialized and choice.fits(one)]
        broken = [one for one in present if one.fault]
        if not found and self._silent:
            raise TokenSilent(str(choice), sorted(self._silent), _SLOT_SECONDS)
        if not found and broken:
            raise CallFailed("describe itself", broken[0].fault)
        if not found:
            raise TokenMissing(str(choice), [str(one) for one in present if one.is_initialized])
        if len(found) > 1:
            raise TokenAmbiguous(str(choice), [str(one) for one in found])
        return found[0], sorted(self._silent)

    def log_in(self, access: TokenAccess, slot: int) -> tuple[TokenFacts, pkcs11.Session]:
        """Open a session in the slot of the token and log in, at most once, and not where a latch
        or the token's flags say that it would do harm.

        Raises TokenMissing if another token is there, PinLatched, PinFinalTry, PinRefused,
        LatchUnusable, CallFailed. The facts are those before the login.
        """
        found = self._facts(slot)
        if not access.token.fits(found):
            raise TokenMissing(str(access.token), [str(found)])
        latch = PinLatch(access.latch_directory, found.label, found.serial)
        with latch.exclusive():
            refusal = latch.read()
            if refusal is not None and refusal.is_about(access.pin):
                raise PinLatched(found.label, refusal.ckr, refusal.at)
            token = self._slot(slot).get_token()  # now: the flags may have changed while others were in there
            facts = self._facts(slot)
            if facts.pin_state is PinState.LOCKED:
                latch.set(access.pin, "CKR_PIN_LOCKED", _now())
                raise PinRefused(facts.label, "CKR_PIN_LOCKED")
            if facts.pin_state is PinState.FINAL_TRY and not access.may_use_final_try:
                raise PinFinalTry(facts.label)
            try:
                session = token.open(rw=True, user_pin=access.pin.reveal(), attribute_mapper=_mapper())
            except pkcs11.exceptions.PKCS11Error as error:
                failure = failed("log in", error)
                if not is_about_pin(failure.ckr):
                    raise failure from None
                latch.set(access.pin, failure.ckr, _now())
                raise PinRefused(facts.label, failure.ckr) from None
            latch.release()
        return facts, session

    def init_token(self, label: str, so_pin: Secret, pin: Secret) -> TokenFacts:
        """Make a new token in a slot that has none yet.

        Raises TokenMissing when every slot has one, CallFailed.
        """
        free = [one for one in self.tokens() if not one.is_initialized and not one.fault]
        if not free:
            raise TokenMissing("nothing in it yet", [str(one) for one in self.tokens()])
        slot = free[0].slot
        self._table.init_token(slot, so_pin, label)
        session = self._slot(slot).get_token().open(rw=True, so_pin=so_pin.reveal())
        try:
            session.init_pin(pin.reveal())
        finally:
            session.close()
        return self._facts(slot)

    def _slot(self, number: int) -> pkcs11.Slot:
        self._only = number
        try:
            for slot in self._library.get_slots(token_present=True):
                if slot.slot_id == number:
                    return slot
        finally:
            self._only = None
        raise TokenMissing(f"slot {number}", [])

    def _tried(self, slot: int) -> TokenFacts:
        """The facts of a token that answers what OpenSSL's provider asks each one while it loads
        the module.
        """
        with in_time(lambda: self._hangs(slot), _SLOT_SECONDS):
            facts = self._facts(slot)
            if facts.is_initialized:
                with contextlib.suppress(CallFailed):
                    self._table.session_state(slot)
            return facts

    def _facts(self, slot: int) -> TokenFacts:
        info = self._table.token_info(slot)
        numbers = self._table.mechanisms(slot)
        return TokenFacts(
            slot=slot,
            label=text_of(info.label),
            serial=text_of(info.serial),
            model=text_of(info.model),
            manufacturer=text_of(info.manufacturer),
            flags=info.flags,
            sessions=info.session_count,
            session_limit=info.session_limit,
            mechanisms=tuple(name for number, name in MECHANISMS_THAT_MATTER.items() if number in numbers),
        )


@contextlib.contextmanager
def in_time(late: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call `late` in another thread if what stands here takes longer.

    What comes afterwards waits for `late`, which may begin the process again: that must not cut an
    answer that is being sent.
    """
    is_taken = threading.Lock()

    def end() -> None:
        if is_taken.acquire(blocking=False):
            late()
            is_taken.release()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        is_taken.acquire()  # for good: it is not late any more


def _mapper() -> AttributeMapper:
    """Attributes as they are: a key type or a label of a vendor's own must not hide the other keys
    from a list.
    """
    mapper = AttributeMapper()
    pack, unpack = handle_ulong
    for attribute in (Attribute.KEY_TYPE, Attribute.KEY_GEN_MECHANISM):
        mapper.register_handler(attribute, lambda value: pack(int(value)), unpack)
    mapper.register_handler(Attribute.LABEL, str.encode, lambda value: value.decode("utf-8", errors="replace"))
    return mapper


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
