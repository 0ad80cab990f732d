"""What a token must have for a kind of key."""

import pkcs11
import pytest

from certs.hsm.key_kinds import MECHANISMS_THAT_MATTER, KeyKind, missing_of, opening_kind


@pytest.mark.parametrize("kind", KeyKind)
def test_a_token_with_all_mechanisms_lacks_nothing(kind: KeyKind) -> None:
    assert missing_of(kind, frozenset(MECHANISMS_THAT_MATTER.values())) is None


def test_what_is_missing_is_named() -> None:
    missing = missing_of(KeyKind.MLDSA_65, frozenset({"CKM_ECDSA"}))
    assert missing is not None
    assert missing.name == "CKM_ML_DSA_KEY_PAIR_GEN"


def test_only_aes_is_secret() -> None:
    assert [kind for kind in KeyKind if kind.is_secret] == [KeyKind.AES_256]


def test_mldsa_is_told_by_its_name() -> None:
    assert [kind for kind in KeyKind if kind.is_mldsa] == [KeyKind.MLDSA_44, KeyKind.MLDSA_65, KeyKind.MLDSA_87]


def test_a_token_without_aes_opens_by_rsa_or_else_by_a_curve() -> None:
    rsa = {one.name for one in KeyKind.RSA_3072.needs} | {"CKM_RSA_PKCS_OAEP"}
    curve = {one.name for one in KeyKind.ECDSA_P256.needs} | {"CKM_ECDH1_DERIVE"}
    assert opening_kind(frozenset(rsa | curve)) is KeyKind.RSA_3072
    assert opening_kind(frozenset(curve)) is KeyKind.ECDSA_P256
    assert opening_kind(frozenset(curve - {"CKM_ECDH1_DERIVE"})) is None
    assert opening_kind(frozenset({"CKM_RSA_PKCS_OAEP"})) is None, "it could not make the key"


def test_numbers_are_those_of_the_standard() -> None:
    for number, name in MECHANISMS_THAT_MATTER.items():
        theirs = {"CKM_EC_KEY_PAIR_GEN": "EC_KEY_PAIR_GEN"}.get(name, name.removeprefix("CKM_"))
        assert pkcs11.Mechanism[theirs] == number
