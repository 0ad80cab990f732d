"""The module's own table answers what python-pkcs11 does not."""

import ctypes
from pathlib import Path

import pkcs11
import pytest

from certs.hsm.clients import calls
from certs.hsm.errors import CallFailed, ModuleUnusable
from certs.hsm.process.function_table import FunctionTable, TokenInfo, text_of
from certs.hsm.secret import Secret
from tests.hsm_tokens import SoftHsm, loaded


def test_the_structure_is_as_long_as_the_standard_says() -> None:
    assert ctypes.sizeof(TokenInfo) == 96 + 11 * ctypes.sizeof(ctypes.c_ulong) + 4 + 16 + 4  # and padding to a word


def test_counts_that_a_token_does_not_tell_are_none() -> None:
    unknown = ctypes.c_ulong(-1).value
    assert TokenInfo(sessions=unknown, most_sessions=0).session_count is None
    assert TokenInfo(sessions=unknown, most_sessions=0).session_limit is None
    assert TokenInfo(most_sessions=unknown).session_limit is None
    assert TokenInfo(sessions=3, most_sessions=16).session_count == 3
    assert TokenInfo(sessions=3, most_sessions=16).session_limit == 16


def test_texts_are_padded() -> None:
    assert text_of(b"plexi   ") == "plexi"
    assert text_of(b"plexi\0\0") == "plexi"
    assert text_of(b"\xff") == "\ufffd"


@pytest.mark.parametrize("library", ["libc.so.6", "none.so"])
def test_a_library_without_a_table_is_no_module(library: str) -> None:
    with pytest.raises(ModuleUnusable, match=library):
        FunctionTable(Path(library))


def test_errors_have_their_names(hsm: SoftHsm) -> None:
    with loaded(hsm.module) as process, pytest.raises(CallFailed, match="be initialised: CKR_PIN_INCORRECT"):
        process.perform(calls.init_token("plexi", Secret("1"), Secret("1234")))


def test_a_label_that_is_too_long_is_refused(hsm: SoftHsm) -> None:
    with loaded(hsm.module) as process, pytest.raises(CallFailed, match="more than 32 bytes"):
        process.perform(calls.init_token("x" * 33, Secret("123456"), Secret("123456")))


def test_a_module_lists_only_what_it_is_told_to_everybody(tmp_path: Path, hsm: SoftHsm) -> None:
    for label in ("plexi", "spare"):
        hsm.init_token(label)
    copy = tmp_path / "copy.so"  # its table stays changed in this process
    copy.write_bytes(hsm.module.read_bytes())
    table, hidden = FunctionTable(copy), set[int]()
    table.list_only(lambda slot: slot not in hidden)
    others = pkcs11.lib(str(copy))
    seen = table.slots()
    assert [one.slot_id for one in others.get_slots()] == seen
    hidden |= {seen[0]}
    assert table.slots() == seen[1:]
    assert [one.slot_id for one in others.get_slots()] == seen[1:]
    little, count = (ctypes.c_ulong * 1)(), ctypes.c_ulong(1)
    call = ctypes.CFUNCTYPE(ctypes.c_ulong)(table._functions[4])
    assert (call(ctypes.c_ubyte(1), little, ctypes.byref(count)), count.value) == (0x150, len(seen) - 1)
    others.finalize()


class Written:
    """Stands for a module whose token is being written by another process at its first looks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Path, *, looks_in_vain: int, code: int) -> None:
        self.looks = 0
        self.table = FunctionTable(module)
        self._in_vain, self._code = looks_in_vain, code
        kind = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.POINTER(TokenInfo))
        self._kept = kind(self._answer)
        functions = (ctypes.c_void_p * 68)()
        functions[6] = ctypes.cast(self._kept, ctypes.c_void_p)
        monkeypatch.setattr(self.table, "_functions", functions)

    def _answer(self, slot: int, info: "ctypes._Pointer[TokenInfo]") -> int:
        self.looks += 1
        if self.looks <= self._in_vain:
            return self._code
        info.contents.label = f"slot {slot}".encode()
        return 0


@pytest.mark.parametrize(
    ("in_vain", "code", "looks", "found"),
    [(4, 0x5, 5, "slot 3"), (5, 0x5, 5, "CKR_GENERAL_ERROR"), (1, 0x30, 1, "CKR_DEVICE_ERROR")],
)
def test_a_token_that_is_being_written_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, hsm: SoftHsm, in_vain: int, code: int, looks: int, found: str
) -> None:
    written = Written(monkeypatch, hsm.module, looks_in_vain=in_vain, code=code)
    try:
        said = text_of(written.table.token_info(3).label)
    except CallFailed as error:
        said = error.ckr
    assert (said, written.looks) == (found, looks)
