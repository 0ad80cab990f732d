"""The two functions of a PKCS#11 module that python-pkcs11 does not offer, called through the module's own table.

`C_GetTokenInfo` for the counts of sessions, and `C_InitToken`. The module is one that python-pkcs11 has loaded and initialised in
this process: the dynamic linker gives the same library, so the same state.
"""

import ctypes
import time
from pathlib import Path
from typing import Any, ClassVar, Final

from certs.hsm.errors import CallFailed, ModuleUnusable
from certs.hsm.return_codes import name_of_code
from certs.hsm.secret import Secret

# Places in CK_FUNCTION_LIST (PKCS#11 2.40, pkcs11f.h), the same in every version since 2.0.
_GET_TOKEN_INFO: Final = 6
_INIT_TOKEN: Final = 9
# CK_UNAVAILABLE_INFORMATION; 0 is CK_EFFECTIVELY_INFINITE for a limit.
_UNAVAILABLE: Final = ctypes.c_ulong(-1).value
_LABEL_BYTES: Final = 32
_CKR_GENERAL_ERROR: Final = 0x5
# A token of SoftHSM is a file that each login writes anew: another process may find it empty for a moment.
_LOOKS: Final = 5
_PAUSE_SECONDS: Final = 0.005


class _Version(ctypes.Structure):
    _fields_: ClassVar[Any] = [("major", ctypes.c_ubyte), ("minor", ctypes.c_ubyte)]


class TokenInfo(ctypes.Structure):
    """CK_TOKEN_INFO."""

    _fields_: ClassVar[Any] = [
        ("label", ctypes.c_char * 32),
        ("manufacturer", ctypes.c_char * 32),
        ("model", ctypes.c_char * 16),
        ("serial", ctypes.c_char * 16),
        ("flags", ctypes.c_ulong),
        ("most_sessions", ctypes.c_ulong),
        ("sessions", ctypes.c_ulong),
        ("most_rw_sessions", ctypes.c_ulong),
        ("rw_sessions", ctypes.c_ulong),
        ("longest_pin", ctypes.c_ulong),
        ("shortest_pin", ctypes.c_ulong),
        ("public_memory", ctypes.c_ulong),
        ("free_public_memory", ctypes.c_ulong),
        ("private_memory", ctypes.c_ulong),
        ("free_private_memory", ctypes.c_ulong),
        ("hardware_version", _Version),
        ("firmware_version", _Version),
        ("utc_time", ctypes.c_char * 16),
    ]

    @property
    def session_count(self) -> int | None:
        """Open sessions; None where the token does not say it."""
        return None if self.sessions == _UNAVAILABLE else int(self.sessions)

    @property
    def session_limit(self) -> int | None:
        """How many there may be; None where that is unlimited or not said."""
        return None if self.most_sessions in (0, _UNAVAILABLE) else int(self.most_sessions)


class _FunctionList(ctypes.Structure):
    _fields_: ClassVar[Any] = [("version", _Version), ("functions", ctypes.c_void_p * 68)]


class FunctionTable:
    """The table of a module. Raises ModuleUnusable when it has none."""

    def __init__(self, module: Path) -> None:
        """Find the table; the module has been initialised by python-pkcs11 before."""
        table = ctypes.POINTER(_FunctionList)()
        try:
            code = ctypes.CDLL(str(module)).C_GetFunctionList(ctypes.byref(table))
        except (OSError, AttributeError) as error:
            raise ModuleUnusable(str(module), str(error)) from None
        if code != 0:
            raise ModuleUnusable(str(module), name_of_code(code))
        self._functions: Any = table.contents.functions

    def token_info(self, slot: int) -> TokenInfo:
        """What the token in a slot says; a token that is being written is looked at again. Raises CallFailed."""
        info = TokenInfo()
        call = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.POINTER(TokenInfo))
        ask = call(self._functions[_GET_TOKEN_INFO])
        code = ask(slot, ctypes.byref(info))
        for _ in range(_LOOKS - 1):
            if code != _CKR_GENERAL_ERROR:
                break
            time.sleep(_PAUSE_SECONDS)
            code = ask(slot, ctypes.byref(info))
        if code != 0:
            raise CallFailed("describe itself", name_of_code(code))
        return info

    def init_token(self, slot: int, so_pin: Secret, label: str) -> None:
        """Make a new token in a slot, which destroys all keys of the one before. Raises CallFailed."""
        padded = label.encode().ljust(_LABEL_BYTES)
        if len(padded) > _LABEL_BYTES:
            raise CallFailed("take a label of more than 32 bytes", "CKR_ARGUMENTS_BAD")
        pin = so_pin.reveal().encode()
        call = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
        code = call(self._functions[_INIT_TOKEN])(slot, pin, len(pin), padded)
        if code != 0:
            raise CallFailed("be initialised", name_of_code(code))


def text_of(padded: bytes) -> str:
    """A field of CK_TOKEN_INFO: UTF-8 padded with spaces; with zeros by modules that know no better."""
    return padded.split(b"\0")[0].decode("utf-8", errors="replace").rstrip()
