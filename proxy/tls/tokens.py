"""The tokens of the PKCS#11 module that this process's OpenSSL has loaded, as far as they can be seen without logging in.

OpenSSL's provider tells nothing of them, and sends a PIN to every token that a URI fits. So the module itself is asked, before.
pkcs11-provider has initialised it for use by several threads (PKCS#11 2.40 section 5.4); here nothing is opened or changed.
"""

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.pkcs11_uri import Pkcs11Uri

# pkcs11t.h
_CKF_LOGIN_REQUIRED: Final = 0x0004
_CKF_TOKEN_INITIALIZED: Final = 0x0400
_CKF_USER_PIN_COUNT_LOW: Final = 0x1_0000
_CKF_USER_PIN_FINAL_TRY: Final = 0x2_0000
_CKF_USER_PIN_LOCKED: Final = 0x4_0000
_CKF_SERIAL_SESSION: Final = 0x0004
_CKS_USER: Final = frozenset({1, 3})  # CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS
_CK_TRUE: Final = 1

# The places of functions in CK_FUNCTION_LIST (PKCS#11 2.40 section 3.6), behind the version.
_GET_SLOT_LIST: Final = 4
_GET_TOKEN_INFO: Final = 6
_OPEN_SESSION: Final = 12
_CLOSE_SESSION: Final = 13
_GET_SESSION_INFO: Final = 15
_MOST_SLOTS: Final = 4_096


class ModuleUnusable(Exception):
    """The module answered a question with an error; `value` is the CKR_ number (0: it is no PKCS#11 module)."""

    def __init__(self, value: int) -> None:
        """Remember what it said."""
        super().__init__(value)
        self.value = value

    def __str__(self) -> str:
        """One sentence."""
        return f"error 0x{self.value:x} of the PKCS#11 module" if self.value else "no PKCS#11 module"


@dataclass(frozen=True, slots=True)
class Token:
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
        """Whether the last login, of whoever it was, had a wrong PIN."""
        return bool(self.flags & (_CKF_USER_PIN_COUNT_LOW | _CKF_USER_PIN_FINAL_TRY))

    @property
    def needs_login(self) -> bool:
        """Whether private keys show themselves only to whoever is logged in."""
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


class _TokenInfo(ctypes.Structure):
    _fields_ = [  # type: ignore[mutable-override]  # a list, as ctypes documents
        ("label", ctypes.c_char * 32),
        ("manufacturer", ctypes.c_char * 32),
        ("model", ctypes.c_char * 16),
        ("serial", ctypes.c_char * 16),
        ("flags", ctypes.c_ulong),
        ("figures", ctypes.c_ulong * 10),
        ("versions", ctypes.c_ubyte * 4),
        ("time", ctypes.c_char * 16),
    ]


class _FunctionList(ctypes.Structure):
    _fields_ = [("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_size_t * 68)]  # type: ignore[mutable-override]  # as above


class _SessionInfo(ctypes.Structure):
    _fields_ = [  # type: ignore[mutable-override]  # as above
        ("slot", ctypes.c_ulong),
        ("state", ctypes.c_ulong),
        ("flags", ctypes.c_ulong),
        ("error", ctypes.c_ulong),
    ]


_GetSlotList = ctypes.CFUNCTYPE(
    ctypes.c_ulong, ctypes.c_ubyte, ctypes.POINTER(ctypes.c_ulong), ctypes.POINTER(ctypes.c_ulong)
)
_GetTokenInfo = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.POINTER(_TokenInfo))
_OpenSession = ctypes.CFUNCTYPE(
    ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_ulong)
)
_CloseSession = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong)
_GetSessionInfo = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.POINTER(_SessionInfo))


class _Module:
    """The functions of the module that OpenSSL has loaded."""

    def __init__(self, path: Path) -> None:
        """Find them. Raises `ModuleUnusable`."""
        try:
            # the same object that OpenSSL has loaded: dlopen(3) counts it
            get = ctypes.CDLL(str(path)).C_GetFunctionList
        except (OSError, AttributeError):
            raise ModuleUnusable(0) from None
        get.restype = ctypes.c_ulong
        listed = ctypes.c_void_p()
        _checked(get(ctypes.byref(listed)))
        if listed.value is None:
            raise ModuleUnusable(0)
        functions = _FunctionList.from_address(listed.value).functions
        self.get_slot_list = _GetSlotList(functions[_GET_SLOT_LIST])
        self.get_token_info = _GetTokenInfo(functions[_GET_TOKEN_INFO])
        self.open_session = _OpenSession(functions[_OPEN_SESSION])
        self.close_session = _CloseSession(functions[_CLOSE_SESSION])
        self.get_session_info = _GetSessionInfo(functions[_GET_SESSION_INFO])


def _checked(result: int) -> None:
    if result:
        raise ModuleUnusable(result)


def tokens_of(path: Path) -> tuple[Token, ...]:
    """Look at every token; the module at `path` must be in use by OpenSSL already. Raises `ModuleUnusable`."""
    module = _Module(path)
    # with room for all at the first call: between two calls a token may come
    slots, count = (ctypes.c_ulong * _MOST_SLOTS)(), ctypes.c_ulong(_MOST_SLOTS)
    _checked(module.get_slot_list(_CK_TRUE, slots, ctypes.byref(count)))
    found = []
    for slot in slots[: count.value]:
        info = _TokenInfo()
        # a token that is pulled out at this moment is not there
        if module.get_token_info(slot, ctypes.byref(info)) == 0 and info.flags & _CKF_TOKEN_INITIALIZED:
            label, serial, manufacturer, model = map(_field, (info.label, info.serial, info.manufacturer, info.model))
            found.append(Token(slot, label, serial, manufacturer, model, info.flags))
    return tuple(found)


def refuses_pin(path: Path, uri: Pkcs11Uri) -> bool:
    """Whether a token that a URI means lets nobody log in since a PIN was wrong. False where the module does not say."""
    try:
        return any(
            token.needs_login and (token.is_locked or token.was_refused) and not is_logged_in(path, token.slot)
            for token in tokens_of(path)
            if token.fits(uri)
        )
    except ModuleUnusable:
        return False


def is_logged_in(path: Path, slot: int) -> bool:
    """Whether this process is logged in to a token, which is the same for all sessions of a process (PKCS#11 2.40 section 5.6).

    Opens a session for it. Raises `ModuleUnusable`.
    """
    module = _Module(path)
    session, info = ctypes.c_ulong(), _SessionInfo()
    _checked(module.open_session(slot, _CKF_SERIAL_SESSION, None, None, ctypes.byref(session)))
    try:
        _checked(module.get_session_info(session, ctypes.byref(info)))
    finally:
        module.close_session(session)
    return info.state in _CKS_USER


def _field(padded: bytes) -> str:
    """Text of a field that is filled up with blanks (some devices use zeros)."""
    return padded.rstrip(b" \0").decode(errors="replace")
