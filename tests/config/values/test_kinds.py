"""Values that stand in several tables."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from config.values.kinds import CredentialName, FilePath, Name, Table


@pytest.mark.parametrize("name", ["chat", "Chat-2.a_b", "a" * 64])
def test_names_are_kept(name: str) -> None:
    assert TypeAdapter(Name).validate_python(name) == name


@pytest.mark.parametrize("name", ["a b", "", "-a", "a" * 65, "ä", "a\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(name)


@pytest.mark.parametrize("path", ["", "a\0b", "-----BEGIN MC4CAQ"])
def test_what_cannot_be_a_path_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(FilePath).validate_python(path)


def test_tables_do_not_change_do_not_guess_and_do_not_repeat_what_they_refuse() -> None:
    class Colours(Table):
        shade: FilePath = "red"

    with pytest.raises(ValidationError):
        Colours().shade = "blue"
    secrets: dict[str, Any] = {"tint": "-----BEGIN MC4CAQ", "shade": "-----BEGIN MC4CAQ"}
    with pytest.raises(ValidationError) as caught:
        Colours.model_validate(secrets)
    assert "MC4CAQ" not in str(caught.value)
    assert {error["type"] for error in caught.value.errors()} == {"extra_forbidden", "value_error"}


def test_key_in_a_token_is_no_path() -> None:
    with pytest.raises(ValidationError, match="only keys of identities"):
        TypeAdapter(FilePath).validate_python("pkcs11:token=a;object=b")


@pytest.mark.parametrize(
    ("name", "is_one"), [("plexi-pin", True), ("a.b_c", True), ("../a", False), ("a/b", False), ("", False)]
)
def test_credentials_of_systemd_are_plain_names(name: str, is_one: bool) -> None:  # noqa: FBT001
    try:
        assert TypeAdapter(CredentialName).validate_python(name) == name
    except ValidationError:
        assert not is_one
    else:
        assert is_one
