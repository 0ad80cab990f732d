"""What a token must have for a kind of key."""

import pkcs11
import pytest

from certs.hsm.key_kinds import MECHANISMS_THAT_MATTER, KeyKind, missing_of


@pytest.mark.parametrize("kind", KeyKind)
def test_a_token_with_all_mechanisms_lacks_nothing(kind: KeyKind) -> None:
    assert missing_of(kind, frozenset(MECHANISMS_THAT_MATTER.values())) is None


def test_what_is_missing_is_named() -> None:
    missing = missing_of(KeyKind.MLDSA_65, frozenset({"CKM_ECDSA"}))
    assert missing is not None
    assert missing.name == "CKM_ML_DSA_KEY_PAIR_GEN"


def test_only_aes_is_secret() -> None:
    assert [kind for kind in KeyKind if kind.is_secret] == [KeyKind.AES_256]


def test_numbers_are_those_of_the_standard() -> None:
    for number, name in MECHANISMS_THAT_MATTER.items():
        theirs = {"CKM_EC_KEY_PAIR_GEN": "EC_KEY_PAIR_GEN"}.get(name, name.removeprefix("CKM_"))
        assert pkcs11.Mechanism[theirs] == number
