"""Values of fields with variables in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.routes.fields import Variable, template_parts
from proxy.routes.templates import RequestValues, Template

VALUES = RequestValues(b"192.0.2.7", b"chat.test", b"f00-1", b"X25519MLKEM768")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{client}", b"192.0.2.7"),
        ("a {host} b", b"a chat.test b"),
        ("{request_id}/{tls_group}", b"f00-1/X25519MLKEM768"),
        ("{{client}}", b"{client}"),
    ],
)
def test_variables_are_filled(text: str, value: bytes) -> None:
    assert Template(template_parts(text)).filled(VALUES) == value


def test_value_without_variables_is_known_before() -> None:
    assert Template(template_parts("a{{b")).text == b"a{b"
    assert Template(template_parts("{client}")).text is None


@given(st.binary())
def test_claimed_client_cannot_add_a_line(claimed: bytes) -> None:
    filled = Template([Variable.CLIENT]).filled(RequestValues(claimed, b"h", b"i", b"g"))
    assert filled == claimed or filled == b"unknown"
    assert not set(filled) & set(b'\r\n\0 ,;"')
