"""Values of all types come back as they were; what does not fit is refused by the name of its
field."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given

from proxy.processes.messages.codec import MessageMalformed, decode, encode, shape
from tests.messages import any_of


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Inner:
    number: int
    secret: bytes


@dataclass(frozen=True, slots=True)
class Every:
    text: str
    number: int
    ratio: float
    flag: bool
    colour: Colour
    octets: bytes
    time: datetime
    maybe: str | None
    maybe_inner: Inner | None
    several: tuple[Inner, ...]
    names: Sequence[str]
    table: Mapping[str, tuple[int, ...]]
    texts: Mapping[str, str]
    opaque: Mapping[str, Any]


EXAMPLE = Every(
    "t",
    1,
    0.5,
    True,  # noqa: FBT003 - a field
    Colour.RED,
    b"\x01\xff",
    datetime(2026, 1, 2, tzinfo=UTC),
    None,
    Inner(1, b""),
    (Inner(2, b"\x02"),),
    ("a", "b"),
    {"x": (1, 2)},
    {"y": "z"},
    {"rows": [{"a": [1, 2.5, None]}]},
)


def body() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(encode(EXAMPLE)))
    return made


@given(any_of(Every))
def test_any_value_comes_back(value: Every) -> None:
    assert decode(Every, json.loads(json.dumps(encode(value)))) == value


def test_half_of_a_pair_comes_back() -> None:
    """As the name of a file has it that is not UTF-8."""
    inner = {**body(), "text": json.loads(json.dumps("\udc80"))}
    assert decode(Every, inner).text == "\udc80"


def test_whole_number_is_a_number_with_a_fraction_too() -> None:
    assert decode(Every, {**body(), "ratio": 5}).ratio == 5.0


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("text", 1, "text: found an integer; allowed: text"),
        ("text", None, "text: found null; allowed: text"),
        ("number", 1.0, "number: found a number; allowed: an integer"),
        ("number", True, "number: found true or false; allowed: an integer"),
        ("ratio", "1", "ratio: found text; allowed: a number"),
        ("ratio", True, "ratio: found true or false; allowed: a number"),
        ("flag", 1, "flag: found an integer; allowed: true or false"),
        ("colour", "green", "colour: found other text; allowed: one of red, blue"),
        ("colour", 1, "colour: found an integer; allowed: one of red, blue"),
        ("octets", "0g", "octets: found other text; allowed: hexadecimal text"),
        ("time", "today", "time: found other text; allowed: a time (ISO 8601)"),
        ("maybe", [], "maybe: found a list; allowed: text"),
        ("maybe_inner", "x", "maybe_inner: found text; allowed: the fields of Inner"),
        ("several", {}, "several: found a table; allowed: a list"),
        ("several", [{"number": 1, "secret": ""}, {"number": "1", "secret": ""}], "several.1.number: found text;"),
        ("names", ["a", 1], "names.1: found an integer; allowed: text"),
        ("table", [], "table: found a list; allowed: a table"),
        ("table", {"x": [1, "2"]}, "table.x.1: found text; allowed: an integer"),
        ("opaque", [], "opaque: found a list; allowed: a table"),
    ],
)
def test_wrong_type_is_refused_by_its_field(field: str, value: object, told: str) -> None:
    with pytest.raises(MessageMalformed) as caught:
        decode(Every, {**body(), field: value})
    assert str(caught.value).startswith(f"message Every.{told}")


def test_missing_field_is_refused_by_its_name() -> None:
    cut = body()
    del cut["several"][0]["secret"]
    with pytest.raises(MessageMalformed) as caught:
        decode(Every, cut)
    assert str(caught.value) == "message Every.several.0.secret: found nothing; allowed: this field"


def test_surplus_field_is_refused_by_its_name() -> None:
    more = body()
    more["maybe_inner"]["nmber"] = 1
    with pytest.raises(MessageMalformed) as caught:
        decode(Every, more)
    assert str(caught.value) == "message Every.maybe_inner.nmber: found this field; allowed: number, secret"


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(MessageMalformed) as caught:
        decode(Inner, [])
    assert str(caught.value) == "message Inner: found a list; allowed: the fields of Inner"


def test_no_value_is_shown() -> None:
    with pytest.raises(MessageMalformed) as caught:
        decode(Inner, {"number": 1, "secret": "a secret"})
    assert "a secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert (caught.value.message, caught.value.field) == ("Inner", "secret")
    assert (caught.value.found, caught.value.allowed) == ("other text", "hexadecimal text")


class TestShape:
    def test_names_all_fields_and_types_through_all_levels(self) -> None:
        assert shape(Every) == (
            "Every(text:str,number:int,ratio:float,flag:bool,colour:Colour(red,blue),octets:bytes,time:datetime,"
            "maybe:|[str,NoneType],maybe_inner:|[Inner(number:int,secret:bytes),NoneType],"
            "several:tuple[Inner(number:int,secret:bytes),...],names:Sequence[str],"
            "table:Mapping[str,tuple[int,...]],texts:Mapping[str,str],opaque:Mapping[str,Any])"
        )
