"""The lexical rules hold for every byte."""

import string

import pytest

from proxy.http.grammar import is_field_value, is_token, list_elements

TOKEN_CHARACTERS = set((string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode())


@pytest.mark.parametrize("code", range(256))
def test_token_takes_exactly_the_characters_of_the_rfc(code: int) -> None:
    assert is_token(b"a" + bytes([code])) == (code in TOKEN_CHARACTERS)


def test_empty_string_is_no_token() -> None:
    assert not is_token(b"")


@pytest.mark.parametrize("code", range(256))
def test_field_value_takes_no_control_character_but_tab(code: int) -> None:
    assert is_field_value(b"a" + bytes([code])) == (code == 9 or (code >= 32 and code != 127))


def test_empty_field_value_is_a_value() -> None:
    assert is_field_value(b"")


@pytest.mark.parametrize(
    ("values", "elements"),
    [
        ([], []),
        ([b""], []),
        ([b"a"], [b"a"]),
        ([b"a, b", b"c"], [b"a", b"b", b"c"]),
        ([b" ,\ta\t,, b ,"], [b"a", b"b"]),
        ([b"\x0ba,\xa0b"], [b"\x0ba", b"\xa0b"]),
    ],
)
def test_list_is_split_over_field_lines_and_without_empty_elements(values: list[bytes], elements: list[bytes]) -> None:
    assert list_elements(values) == elements
