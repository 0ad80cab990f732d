"""A label says whose key it is and which of several; the id follows from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import IdentityUnusable, TokenKeyName, next_version

IDENTITIES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,38}[A-Za-z0-9])?", fullmatch=True)
NAMES = st.builds(TokenKeyName, IDENTITIES, st.sampled_from(KeyKind), st.integers(1, 999_999_999))


@given(NAMES)
def test_a_name_is_read_back_from_its_label(name: TokenKeyName) -> None:
    assert TokenKeyName.parse(name.label) == name
    assert name.fits(name.id)
    assert len(name.label) <= 62


@given(NAMES)
def test_a_label_needs_no_escapes_in_a_uri(name: TokenKeyName) -> None:
    assert set(name.label) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._")


@given(NAMES, NAMES)
def test_two_names_never_share_an_id(one: TokenKeyName, other: TokenKeyName) -> None:
    assert (one.id == other.id) == (one == other)


def test_versions_differ_in_four_bytes_alone() -> None:
    first, second = (
        TokenKeyName("chat", KeyKind.ECDSA_P256, 1).id,
        TokenKeyName("chat", KeyKind.ECDSA_P256, 0x01020304).id,
    )
    assert len(first) == 16
    assert first.hex() == "5001000000000001" + first[8:].hex()
    assert second == first[:4] + b"\x01\x02\x03\x04" + first[8:]


def test_the_label_is_what_the_documentation_says() -> None:
    assert str(TokenKeyName("chat", KeyKind.ECDSA_P256, 3)) == "chat.ecdsa-p256.v3"
    assert TokenKeyName.parse("chat.example.org.rsa-3072.v12") == TokenKeyName("chat.example.org", KeyKind.RSA_3072, 12)


@pytest.mark.parametrize(
    "label",
    ["", "chat", "chat.v1", "chat.ecdsa-p256.v0", "chat.ecdsa-p256.v01", "chat.ecdsa-p256.1", "chat.dsa.v1", ".ecdsa-p256.v1",
     "-a.ecdsa-p256.v1", "a b.ecdsa-p256.v1", "chat.ecdsa-p256.v1\n", "ä.ecdsa-p256.v1", "chat.ecdsa-p256.v1234567890"],
)  # fmt: skip
def test_a_label_of_another_making_has_no_name(label: str) -> None:
    assert TokenKeyName.parse(label) is None


def test_an_id_of_another_key_does_not_fit() -> None:
    assert not TokenKeyName("chat", KeyKind.ECDSA_P256, 1).fits(TokenKeyName("chat", KeyKind.ECDSA_P256, 2).id)


@pytest.mark.parametrize("identity", ["", "a/b", "-a", "a.", "x" * 41, "ä"])
def test_an_identity_that_cannot_be_read_back_is_refused(identity: str) -> None:
    with pytest.raises(IdentityUnusable, match="allowed: 1 to 40"):
        TokenKeyName(identity, KeyKind.AES_256, 1)


@pytest.mark.parametrize("version", [0, -1, 1_000_000_000])
def test_a_version_that_does_not_fit_is_refused(version: int) -> None:
    with pytest.raises(ValueError, match="allowed: 1 to 999999999"):
        TokenKeyName("chat", KeyKind.AES_256, version)


def test_the_next_version_follows_the_last_one_and_leaves_gaps() -> None:
    labels = ["chat.ecdsa-p256.v1", "chat.ecdsa-p256.v7", "chat.rsa-3072.v9", "other.ecdsa-p256.v8", "something else"]
    assert next_version("chat", KeyKind.ECDSA_P256, labels).version == 8
    assert next_version("new", KeyKind.ECDSA_P256, labels).version == 1
