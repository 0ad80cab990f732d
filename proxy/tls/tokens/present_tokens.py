"""The tokens of the loaded PKCS#11 module, as far as they can be seen without a login.

OpenSSL's provider tells nothing of them, and sends a PIN to every token that a URI fits. So the
module itself is asked before. pkcs11-provider has initialised it for use by several threads
(PKCS#11 2.40 section 5.4). Nothing is changed here.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certs.hsm.errors import CallFailed, HsmError
from certs.hsm.process.function_table import table_of, text_of
from config.values.pkcs11_uri import Pkcs11Uri

# pkcs11t.h
_CKF_LOGIN_REQUIRED: Final = 0x0004
_CKF_TOKEN_INITIALIZED: Final = 0x0400
_CKF_USER_PIN_COUNT_LOW: Final = 0x1_0000
_CKF_USER_PIN_FINAL_TRY: Final = 0x2_0000
_CKF_USER_PIN_LOCKED: Final = 0x4_0000
_CKS_USER: Final = frozenset({1, 3})  # CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS


@dataclass(frozen=True, slots=True)
class PresentToken:
    """A token that is there and initialised, in the words of CK_TOKEN_INFO."""

    slot: int
    label: str
    serial: str
    manufacturer: str
    model: str
    flags: int

    @property
    def is_locked(self) -> bool:
        """Whether no PIN opens it any more."""
        return bool(self.flags & _CKF_USER_PIN_LOCKED)

    @property
    def was_refused(self) -> bool:
        """Whether the last login, by any process, had a wrong PIN."""
        return bool(self.flags & (_CKF_USER_PIN_COUNT_LOW | _CKF_USER_PIN_FINAL_TRY))

    @property
    def needs_login(self) -> bool:
        """Whether private keys are visible only after a login."""
        return bool(self.flags & _CKF_LOGIN_REQUIRED)

    def fits(self, uri: Pkcs11Uri) -> bool:
        """Whether a URI can mean it (RFC 7512 2.5)."""
        pairs = (
            (uri.token, self.label),
            (uri.serial, self.serial),
            (uri.slot_id, self.slot),
            (uri.manufacturer, self.manufacturer),
            (uri.model, self.model),
        )
        return all(wanted is None or wanted == ours for wanted, ours in pairs)


def tokens_of(path: Path, silent: frozenset[int] = frozenset()) -> tuple[PresentToken, ...]:
    """Check every token of the module at `path`, which OpenSSL uses, but in `silent` slots.

    Raises `HsmError`.
    """
    table = table_of(path)
    found = []
    for slot in [one for one in table.slots() if one not in silent]:
        # a token that is pulled out now is not there
        with contextlib.suppress(CallFailed):
            info = table.token_info(slot)
            if info.flags & _CKF_TOKEN_INITIALIZED:
                label, serial, manufacturer, model = map(
                    text_of, (info.label, info.serial, info.manufacturer, info.model)
                )
                found.append(PresentToken(slot, label, serial, manufacturer, model, info.flags))
    return tuple(found)


def refuses_pin(path: Path, uri: Pkcs11Uri, silent: frozenset[int]) -> bool:
    """Whether a token refuses every login since a wrong PIN; False if it does not say, or is in a
    `silent` slot.
    """
    try:
        return any(
            token.needs_login and (token.is_locked or token.was_refused) and not is_logged_in(path, token.slot)
            for token in tokens_of(path, silent)
            if token.fits(uri)
        )
    except HsmError:
        return False


def is_logged_in(path: Path, slot: int) -> bool:
    """Whether this process is logged in to a token; opens a session to see that.

    All sessions of a process have the same login (PKCS#11 2.40 section 5.6). Raises `HsmError`.
    """
    return table_of(path).session_state(slot) in _CKS_USER
