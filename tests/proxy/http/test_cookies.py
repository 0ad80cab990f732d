"""The cookies of a request."""

import pytest

from proxy.http.cookies import cookie_value


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ([b"a=1"], b"1"),
        ([b"b=2; a=1"], b"1"),
        ([b"b=2;a=1; c=3"], b"1"),
        ([b"b=2", b"a=1"], b"1"),
        ([b"a=1; a=2"], b"1"),
        ([b"a=x=y="], b"x=y="),
        ([b"a="], b""),
        ([b"ba=1; A=2; a; xa=1"], None),
        ([], None),
    ],
)
def test_value_is_that_of_the_first_cookie_of_exactly_this_name(lines: list[bytes], value: bytes | None) -> None:
    headers = [(b"X-Other", b"a=0"), *((b"cOOkie", line) for line in lines)]
    assert cookie_value(headers, b"a") == value
