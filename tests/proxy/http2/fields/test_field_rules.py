"""A list of fields is refused for every byte and every name that HTTP/2 does not allow."""

import pytest

from proxy.http.grammar import FIELD_VALUE_CHARS, TOKEN_CHARS
from proxy.http.head import Header
from proxy.http2.fields.field_rules import check_characters, check_value, pseudo_fields, trailer_fault
from proxy.http2.hpack.decoder import DecodedFields
from proxy.http2.wire.errors import ErrorCode, StreamFault

KNOWN = frozenset({b":method", b":path"})


def reason(*fields: Header) -> str:
    with pytest.raises(StreamFault) as caught:
        check_characters(list(fields), 0)
    assert caught.value.code == ErrorCode.PROTOCOL_ERROR
    return caught.value.reason


def is_taken(name: bytes, value: bytes) -> bool:
    try:
        check_characters([(b"a", b"b"), (name, value), (b"c", b"d")], 0)
    except StreamFault:
        return False
    return True


BYTES = [bytes([code]) for code in range(256)]


@pytest.mark.parametrize(("before", "after"), [(b"", b""), (b"x", b""), (b"", b"x"), (b"x", b"x")])
def test_every_byte_in_every_place_of_a_name(before: bytes, after: bytes) -> None:
    """RFC 9113 8.2, 8.2.1."""
    taken = {one for one in BYTES if is_taken(before + one + after, b"v")}
    assert taken == {one for one in BYTES if one in TOKEN_CHARS and not one.isupper()}


@pytest.mark.parametrize(
    ("before", "after", "blanks"),
    [(b"", b"", set()), (b"x", b"", set()), (b"", b"x", set()), (b"x", b"x", {b" ", b"\t"})],
)
def test_every_byte_in_every_place_of_a_value(before: bytes, after: bytes, blanks: set[bytes]) -> None:
    """RFC 9113 8.2.1: blanks stand only inside."""
    taken = {one for one in BYTES if is_taken(b"x", before + one + after)}
    assert taken == {one for one in BYTES if one in FIELD_VALUE_CHARS and one not in b" \t"} | blanks


def test_an_empty_name_is_refused_and_an_empty_value_is_none_of_its_faults() -> None:
    assert reason((b"", b"v")) == "empty field name"
    assert is_taken(b"x", b"")


@pytest.mark.parametrize(
    "name", [b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"http2-settings"]
)
def test_fields_about_the_connection_are_refused(name: bytes) -> None:
    """RFC 9113 8.2.2."""
    assert reason((name, b"trailers")) == "field about the connection"


@pytest.mark.parametrize(
    ("value", "is_allowed"),
    [(b"trailers", True), (b"Trailers", True), (b"gzip", False), (b"gzip, trailers", False), (b"", False)],
)
def test_te_has_one_value(value: bytes, is_allowed: bool) -> None:  # noqa: FBT001 - a parameter
    """RFC 9113 8.2.2."""
    assert is_taken(b"te", value) is is_allowed


@pytest.mark.parametrize("value", [b" /", b"/ ", b"\t/", b"/\t", b"/\r\n", b"/\x00"])
def test_one_value_is_judged_by_the_same_rules(value: bytes) -> None:
    check_value(b"/ x")
    check_value(b"")
    with pytest.raises(StreamFault):
        check_value(value)


def test_pseudo_fields_are_collected() -> None:
    """RFC 9113 8.3."""
    assert pseudo_fields([(b":method", b"GET"), (b":path", b"/"), (b"a", b"b")], KNOWN) == {
        b":method": b"GET",
        b":path": b"/",
    }
    assert pseudo_fields([(b"a", b"b")], KNOWN) == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([(b":method", b"GET"), (b":method", b"GET")], "pseudo-field that stands twice"),
        ([(b":path", b"/"), (b":status", b"200")], "unknown pseudo-field"),
        ([(b":", b"")], "unknown pseudo-field"),
        ([(b":Method", b"GET")], "unknown pseudo-field"),
    ],
)
def test_other_pseudo_fields_are_refused(fields: list[Header], expected: str) -> None:
    with pytest.raises(StreamFault) as caught:
        pseudo_fields(fields, KNOWN)
    assert caught.value.reason == expected


def test_trailers_have_no_pseudo_fields() -> None:
    """RFC 9113 8.1."""

    def fault(fields: list[Header], *, is_too_large: bool = False) -> str:
        found = trailer_fault(DecodedFields(fields, is_too_large=is_too_large))
        return found.reason if found else ""

    assert fault([(b"x-sum", b"1")]) == ""
    for fields in ([(b":path", b"/")], [(b"x-sum", b"1"), (b":status", b"200")]):
        assert fault(fields) == "pseudo-field out of its place"
    assert fault([(b"connection", b"close")])
    assert fault([(b"X-Sum", b"1")])
    assert "too many" in fault([], is_too_large=True)
