"""What a token says is read the same by everybody."""

from dataclasses import asdict, replace

import pytest

from certs.hsm.facts import KeyAddress, KeyClass, KeyFacts, PinState, TokenFacts
from certs.hsm.frames import HEADER, pack, unpack
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import TokenKeyName

TOKEN = TokenFacts(3, "plexi", "0042", "M1", "Maker", 0x42D, 2, 16, ("CKM_ECDSA",))
NAME = TokenKeyName("chat", KeyKind.ECDSA_P256, 1)
KEY = KeyFacts(
    NAME.label, NAME.id, KeyClass.PRIVATE, "ecdsa-p256", 256, True, False, True, True, True, ("sign",)  # noqa: FBT003 - states as a token tells them
)  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "state"),
    [(0, PinState.FINE), (0x10000, PinState.COUNT_LOW), (0x30000, PinState.FINAL_TRY), (0x70000, PinState.LOCKED)],
)
def test_the_worst_that_a_token_says_about_its_pin_counts(flags: int, state: PinState) -> None:
    assert replace(TOKEN, flags=flags).pin_state is state


def test_flags_have_names() -> None:
    assert TOKEN.flag_names == ("rng", "login-required", "user-pin-initialized", "initialized")
    assert TOKEN.is_initialized
    assert str(TOKEN) == "plexi (serial 0042, slot 3)"
    assert "unknown" in str(replace(TOKEN, serial=""))


def test_facts_cross_the_pipe() -> None:
    came = unpack(pack({"token": asdict(TOKEN), "key": asdict(KEY)})[HEADER.size :])
    assert TokenFacts.from_document(came["token"]) == TOKEN
    assert KeyFacts.from_document(came["key"]) == KEY


def test_a_key_that_signs_and_stays_is_known_as_such() -> None:
    assert KEY.is_sign_only
    assert KEY.is_sealed_in
    assert not replace(KEY, uses=("sign", "decrypt")).is_sign_only
    assert not replace(KEY, is_extractable=None).is_sealed_in


def test_a_key_has_a_name_when_label_and_id_agree() -> None:
    assert KEY.name == NAME
    assert replace(KEY, id=b"\x01").name is None
    assert replace(KEY, label="mine").name is None


def test_an_address_says_which_key() -> None:
    assert str(KeyAddress.of(NAME)) == f'label "chat.ecdsa-p256.v1" and id {NAME.id.hex()}'
    assert str(KeyAddress(id=b"\x01")) == "id 01"
    assert str(KeyAddress("a")) == 'label "a"'
    with pytest.raises(ValueError, match="a label or an id"):
        KeyAddress()


def test_a_token_that_does_not_describe_itself_has_its_fault_and_nothing_else() -> None:
    broken = TokenFacts.of_broken(3, "CKR_DEVICE_ERROR")
    assert (broken.slot, broken.fault, broken.label, broken.mechanisms) == (3, "CKR_DEVICE_ERROR", "", ())
    assert TOKEN.fault == ""
