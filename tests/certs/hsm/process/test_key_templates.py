"""What is asked for is compared with what is there."""

from certs.hsm.process.key_templates import (
    PRIVATE_KEY,
    PUBLIC_KEY,
    differences,
    expected_of_private,
    expected_of_public,
    expected_of_secret,
)


def test_a_private_key_is_asked_to_sign_only_and_to_stay() -> None:
    assert (PRIVATE_KEY["SENSITIVE"], PRIVATE_KEY["EXTRACTABLE"]) == (True, False)
    assert [name for name in ("SIGN", "DECRYPT", "UNWRAP", "DERIVE") if PRIVATE_KEY[name]] == ["SIGN"]


def test_what_is_as_asked_differs_in_nothing() -> None:
    expected = expected_of_private("a", b"\x01")
    assert differences(expected, {**expected, "MODIFIABLE": True}) == []


def test_each_difference_is_a_sentence() -> None:
    found = {**expected_of_private("a", b"\x01"), "EXTRACTABLE": True, "ID": b"\xab", "LABEL": "b"}
    del found["ALWAYS_SENSITIVE"]
    assert differences(expected_of_private("a", b"\x01"), found) == [
        "CKA_EXTRACTABLE is true, requested false",
        "CKA_ALWAYS_SENSITIVE is not reported, requested true",
        "CKA_LABEL is b, requested a",
        "CKA_ID is ab, requested 01",
    ]


def test_an_imported_key_is_not_said_to_be_born_inside() -> None:
    assert expected_of_secret("a", b"", is_imported=True)["LOCAL"] is False
    assert expected_of_secret("a", b"", is_imported=False)["NEVER_EXTRACTABLE"] is True


def test_a_public_key_is_asked_for_no_use_that_anybody_has_outside() -> None:
    assert not {"VERIFY", "ENCRYPT"} & {*PUBLIC_KEY, *expected_of_public("a", b"")}
