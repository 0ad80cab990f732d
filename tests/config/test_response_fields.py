"""Which fields a configuration may put into an answer."""

import pytest

from config.addresses import Refused
from config.response_fields import parse_response_fields


def refused(fields: object) -> str:
    with pytest.raises(Refused) as caught:
        parse_response_fields(fields)
    return f"{caught.value.found}: {caught.value.allowed}"


def test_usual_fields_are_taken_as_they_stand() -> None:
    fields = {"Cache-Control": "max-age=60", "X-Empty": "", "access-control-allow-origin": "*", "X-Tab": "a\tb c"}
    assert parse_response_fields(fields) == fields


@pytest.mark.parametrize("name", ["", "A B", "A:", "A\r\nB", "Ä", "A\0", "(x)"])
def test_a_name_is_a_token(name: str) -> None:
    assert 'such as "Cache-Control"' in refused({name: "x"})


@pytest.mark.parametrize(
    "name",
    ["Content-Length", "content-length", "Transfer-Encoding", "Connection", "Trailer", "TE", "Upgrade", "Keep-Alive"],
)
def test_what_frames_a_message_is_refused(name: str) -> None:
    assert "length of a message" in refused({name: "1"})


@pytest.mark.parametrize("name", ["Date", "x-request-id"])
def test_what_the_proxy_writes_is_refused(name: str) -> None:
    assert "into each answer" in refused({name: "1"})


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\n", "\x00", " a", "a ", "ä", 1, None, ["a"], "\x7f"])
def test_a_value_is_one_line_of_ascii(value: object) -> None:
    assert "for X-A text in ASCII in one line" in refused({"X-A": value})


def test_a_field_stands_once() -> None:
    assert refused({"X-A": "1", "x-a": "2"}) == '"x-a" again: each field once'


def test_fields_are_a_table() -> None:
    assert "a table of fields" in refused(["X-A: 1"])
