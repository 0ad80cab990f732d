"""PKCS#11 functions that python-pkcs11 and OpenSSL's provider lack, through the module's table.

One of the two has loaded and initialised the module in this process. The dynamic linker returns the
same library, so the state is the same. p11-kit's proxy differs: each request for its table gets a
new instance with the same tokens and logins, which has to be initialised.

Both ask each slot of the module that they load, and a single token that hangs would keep them in
there. Neither can be told to leave a slot out, so the table is told (`list_only`).
"""

import ctypes
import mmap
import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final

from certs.hsm.errors import CallFailed, ModuleUnusable
from certs.hsm.process.return_codes import name_of_code
from certs.hsm.secret import Secret

# Places in CK_FUNCTION_LIST (PKCS#11 2.40, pkcs11f.h), the same in every version since 2.0.
_INITIALIZE: Final = 0
_GET_SLOT_LIST: Final = 4
_GET_TOKEN_INFO: Final = 6
_GET_MECHANISM_LIST: Final = 7
_INIT_TOKEN: Final = 9
_OPEN_SESSION: Final = 12
_CLOSE_SESSION: Final = 13
_GET_SESSION_INFO: Final = 15
# pkcs11t.h
_CK_TRUE: Final = 1
_CKF_OS_LOCKING_OK: Final = 0x2
_CKF_SERIAL_SESSION: Final = 0x4
_MOST_SLOTS: Final = 4_096
_MOST_MECHANISMS: Final = 4_096
# CK_UNAVAILABLE_INFORMATION; 0 is CK_EFFECTIVELY_INFINITE for a limit.
_UNAVAILABLE: Final = ctypes.c_ulong(-1).value
_LABEL_BYTES: Final = 32
_CKR_GENERAL_ERROR: Final = 0x5
_CKR_BUFFER_TOO_SMALL: Final = 0x150
_CKR_CRYPTOKI_NOT_INITIALIZED: Final = 0x190
# A token of SoftHSM is a file that each login writes again: another process may find it empty for a
# moment.
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


class _SessionInfo(ctypes.Structure):
    """CK_SESSION_INFO."""

    _fields_: ClassVar[Any] = [
        ("slot", ctypes.c_ulong),
        ("state", ctypes.c_ulong),
        ("flags", ctypes.c_ulong),
        ("error", ctypes.c_ulong),
    ]


class _InitializeArguments(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS."""

    _fields_: ClassVar[Any] = [
        ("mutexes", ctypes.c_void_p * 4),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    ]


class _FunctionList(ctypes.Structure):
    _fields_: ClassVar[Any] = [("version", _Version), ("functions", ctypes.c_void_p * 68)]


class _Interface(ctypes.Structure):
    """CK_INTERFACE."""

    _fields_: ClassVar[Any] = [
        ("name", ctypes.c_char_p),
        ("table", ctypes.POINTER(_FunctionList)),
        ("flags", ctypes.c_ulong),
    ]


_SlotList: Final = ctypes.CFUNCTYPE(
    ctypes.c_ulong, ctypes.c_ubyte, ctypes.POINTER(ctypes.c_ulong), ctypes.POINTER(ctypes.c_ulong)
)


class FunctionTable:
    """The table of a module. Raises ModuleUnusable when it has none."""

    def __init__(self, module: Path) -> None:
        """Find the table; the module has been initialised before, unless only `list_only` is
        called.
        """
        table = ctypes.POINTER(_FunctionList)()
        try:
            # as OpenSSL's provider loads it: the first one decides
            self._library = ctypes.CDLL(str(module), mode=os.RTLD_DEEPBIND)
            code = self._library.C_GetFunctionList(ctypes.byref(table))
        except (OSError, AttributeError) as error:
            raise ModuleUnusable(str(module), str(error)) from None
        if code != 0:
            raise ModuleUnusable(str(module), name_of_code(code))
        self._functions: Any = table.contents.functions
        self._in_place_of_theirs: Any = None

    def list_only(self, is_listed: Callable[[int], bool]) -> None:
        """Have the module list only such slots to everybody in this process who has its table.

        Once, and before others load the module: OpenSSL's provider copies the table. Raises
        ModuleUnusable where the system does not let the table be changed.
        """
        theirs = _SlotList(self._functions[_GET_SLOT_LIST])

        def listed(present: int, slots: Any, count: Any) -> int:
            found = (ctypes.c_ulong * _MOST_SLOTS)()
            number = ctypes.c_ulong(_MOST_SLOTS)
            code = int(theirs(present, found, ctypes.byref(number)))
            if code != 0:
                return code
            left = [slot for slot in found[: number.value] if is_listed(slot)]
            room = count[0]
            count[0] = len(left)
            if not slots:
                return 0
            if room < len(left):
                return _CKR_BUFFER_TOO_SMALL
            for place, slot in enumerate(left):
                slots[place] = slot
            return 0

        self._in_place_of_theirs = _SlotList(listed)
        for functions in self._tables():
            _make_writable(functions)
            functions[_GET_SLOT_LIST] = ctypes.cast(self._in_place_of_theirs, ctypes.c_void_p)

    def _tables(self) -> Iterator[Any]:
        """That of PKCS#11 2.40, and those of later versions, which begin alike."""
        yield self._functions
        if hasattr(self._library, "C_GetInterfaceList"):
            count = ctypes.c_ulong()
            self._library.C_GetInterfaceList(None, ctypes.byref(count))
            interfaces = (_Interface * count.value)()
            self._library.C_GetInterfaceList(interfaces, ctypes.byref(count))
            yield from (one.table.contents.functions for one in interfaces if one.name == b"PKCS 11")

    def token_info(self, slot: int) -> TokenInfo:
        """What the token in a slot says; a token that is being written is looked at again.

        Raises CallFailed.
        """
        info = TokenInfo()
        code = self._call(_GET_TOKEN_INFO, ctypes.c_ulong(slot), ctypes.byref(info))
        for _ in range(_LOOKS - 1):
            if code != _CKR_GENERAL_ERROR:
                break
            time.sleep(_PAUSE_SECONDS)
            code = self._call(_GET_TOKEN_INFO, ctypes.c_ulong(slot), ctypes.byref(info))
        _check("describe itself", code)
        return info

    def slots(self) -> list[int]:
        """The listed slots with a token in them. Raises CallFailed."""
        # with room for all at the first call: between two calls a token may come
        slots = (ctypes.c_ulong * _MOST_SLOTS)()
        count = ctypes.c_ulong(_MOST_SLOTS)
        _check("be listed", self._call(_GET_SLOT_LIST, ctypes.c_ubyte(_CK_TRUE), slots, ctypes.byref(count)))
        return list(slots[: count.value])

    def mechanisms(self, slot: int) -> frozenset[int]:
        """The mechanisms of the token in a slot, by their numbers. Raises CallFailed."""
        listed = (ctypes.c_ulong * _MOST_MECHANISMS)()
        count = ctypes.c_ulong(_MOST_MECHANISMS)
        code = self._call(_GET_MECHANISM_LIST, ctypes.c_ulong(slot), listed, ctypes.byref(count))
        _check("list its mechanisms", code)
        return frozenset(listed[: count.value])

    def session_state(self, slot: int) -> int:
        """The state (CKS_) of a new session, which shows the login of the whole process.

        Raises CallFailed.
        """
        session = ctypes.c_ulong()
        info = _SessionInfo()
        flags = ctypes.c_ulong(_CKF_SERIAL_SESSION)
        opened = self._call(_OPEN_SESSION, ctypes.c_ulong(slot), flags, None, None, ctypes.byref(session))
        _check("open a session", opened)
        try:
            _check("describe a session", self._call(_GET_SESSION_INFO, session, ctypes.byref(info)))
        finally:
            self._call(_CLOSE_SESSION, session)
        return int(info.state)

    def init_token(self, slot: int, so_pin: Secret, label: str) -> None:
        """Make a new token in a slot, which destroys all keys of the one before.

        Raises CallFailed.
        """
        padded = label.encode().ljust(_LABEL_BYTES)
        if len(padded) > _LABEL_BYTES:
            raise CallFailed("take a label of more than 32 bytes", "CKR_ARGUMENTS_BAD")
        pin = so_pin.reveal().encode()
        code = self._call(
            _INIT_TOKEN, ctypes.c_ulong(slot), ctypes.c_char_p(pin), ctypes.c_ulong(len(pin)), ctypes.c_char_p(padded)
        )
        _check("be initialised", code)

    def _call(self, place: int, *values: Any) -> int:
        function = ctypes.CFUNCTYPE(ctypes.c_ulong)(self._functions[place])
        code = int(function(*values))
        if code == _CKR_CRYPTOKI_NOT_INITIALIZED:
            arguments = _InitializeArguments(flags=_CKF_OS_LOCKING_OK)
            ctypes.CFUNCTYPE(ctypes.c_ulong)(self._functions[_INITIALIZE])(ctypes.byref(arguments))
            code = int(function(*values))
        return code


@cache
def table_of(module: Path) -> FunctionTable:
    """The table of a module, always the same one in a process. Raises ModuleUnusable."""
    return FunctionTable(module)


def _make_writable(functions: Any) -> None:
    """Let a table be changed: most modules have it in memory that is only read after loading."""
    begin = ctypes.addressof(functions) // mmap.PAGESIZE * mmap.PAGESIZE
    length = ctypes.addressof(functions) + ctypes.sizeof(functions) - begin
    access = ctypes.c_int(mmap.PROT_READ | mmap.PROT_WRITE)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(begin), ctypes.c_size_t(length), access) != 0:
        raise ModuleUnusable("table of functions", os.strerror(ctypes.get_errno()))


def _check(operation: str, code: int) -> None:
    if code != 0:
        raise CallFailed(operation, name_of_code(code))


def text_of(padded: bytes) -> str:
    """A field of CK_TOKEN_INFO: UTF-8 padded with spaces; with zeros by modules that know no
    better.
    """
    return padded.split(b"\0")[0].decode("utf-8", errors="replace").rstrip()
