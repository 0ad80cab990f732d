"""The Authorization field of the Basic scheme."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.basic import BasicCredentials, basic_credentials, challenge


def field(text: bytes, scheme: bytes = b"Basic ") -> tuple[bytes, bytes]:
    return b"Authorization", scheme + b64encode(text)


@pytest.mark.parametrize(
    ("text", "name", "password"),
    [
        (b"ada:secret", "ada", b"secret"),
        (b"ada:", "ada", b""),
        (b":secret", "", b"secret"),
        (b"ada:a:b", "ada", b"a:b"),
        ("ädä:pässwörd".encode(), "ädä", "pässwörd".encode()),
        (b"ada:\xff", "ada", b"\xff"),
    ],
)
def test_name_ends_at_the_first_colon(text: bytes, name: str, password: bytes) -> None:
    assert basic_credentials([(b"Host", b"x"), field(text)]) == (name, password)


def test_scheme_has_no_case_and_names_of_fields_have_none() -> None:
    assert basic_credentials([(b"AUTHORIZATION", b"bAsIc  " + b64encode(b"a:b"))]) == ("a", b"b")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"Authorization", b"")],
        [(b"Authorization", b"Basic")],
        [(b"Authorization", b"Bearer YTpi")],
        [(b"Authorization", b"Basic YTpi YTpi")],
        [(b"Authorization", b"Basic YTp")],
        [(b"Authorization", b"Basic YT-_")],
        [field(b"no colon")],
        [field(b"\xff:x")],
        [field(b"a:" + b"x" * 1_100)],
        [field(b"a:b"), field(b"a:b")],
    ],
)
def test_everything_else_is_no_credentials(headers: list[tuple[bytes, bytes]]) -> None:
    assert basic_credentials(headers) is None


@given(st.binary(max_size=200))
def test_no_value_breaks_it(value: bytes) -> None:
    found = basic_credentials([(b"Authorization", b"Basic " + value)])
    assert found is None or b64encode(found.name.encode() + b":" + found.password) == value.strip(b" ")


def test_the_password_is_not_shown() -> None:
    assert repr(BasicCredentials("ada", b"secret")) == "<BasicCredentials of 'ada'>"


def test_challenge_is_one_field_line() -> None:
    assert challenge("Admin area") == b'WWW-Authenticate: Basic realm="Admin area", charset="UTF-8"\r\n'
