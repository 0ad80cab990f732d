"""What a route changes in the fields of requests and responses."""

from functools import partial

import pytest

from config.routes.fields import template_parts
from proxy.http.head import HeadLimits
from proxy.http.responses import Response, ResponseReader
from proxy.routes.field_edits import FieldDefault, FieldEdits, NamedTemplate
from proxy.routes.templates import RequestValues, Template

VALUES = RequestValues(b"192.0.2.7", b"chat.test", b"f00-1", b"X25519MLKEM768")
FILLS = FieldDefault(b"X-Fill: 1\r\n", frozenset({b"x-fill", b"x-other"}))


def named(**values: str) -> list[NamedTemplate]:
    return [(name.replace("_", "-").encode(), Template(template_parts(value))) for name, value in values.items()]


def values() -> RequestValues:
    return VALUES


def unasked() -> RequestValues:
    raise AssertionError("no value depends on the request")


LINES = [b"Server: x\r\n", b"X-A: 1\r\n", b"x-a: 2\r\n"]


@pytest.mark.parametrize(
    ("edits", "edited"),
    [
        (FieldEdits(removed=[b"X-A"]), LINES[:1]),
        (FieldEdits(removed=[b"absent"]), LINES),
        (FieldEdits(put=named(X_A="3")), [LINES[0], b"X-A: 3\r\n"]),
        (FieldEdits(added=named(X_A="3")), [*LINES, b"X-A: 3\r\n"]),
        (FieldEdits(removed=[b"server"], put=named(X_A="3"), added=named(X_A="4")), [b"X-A: 3\r\n", b"X-A: 4\r\n"]),
        (FieldEdits(defaults=[FILLS]), [*LINES, b"X-Fill: 1\r\n"]),
        (FieldEdits(put=named(x_other="1"), defaults=[FILLS]), [*LINES, b"x-other: 1\r\n"]),
    ],
)
def test_fields_are_removed_then_set_then_added_then_filled(edits: FieldEdits, edited: list[bytes]) -> None:
    assert edits.edited(LINES, unasked) == edited


@pytest.mark.parametrize("there", [b"X-Fill: 0\r\n", b"x-fill:\r\n", b"X-OTHER: 2\r\n"])
def test_default_overrides_nothing(there: bytes) -> None:
    assert FieldEdits(defaults=[FILLS]).edited([there], unasked) == [there]


def test_values_of_the_request_are_filled_in() -> None:
    edits = FieldEdits(put=named(X_Client="{client}", X_Plain="p"))
    assert edits.needs_values
    assert not edits.is_per_request
    assert FieldEdits(added=named(X_Id="{request_id}")).is_per_request
    assert edits.edited([], values) == [b"X-Client: 192.0.2.7\r\n", b"X-Plain: p\r\n"]


def test_lines_of_a_request_keep_host_in_front() -> None:
    fields = b"Host: chat.test\r\nAccept: */*\r\nX-A: 1\r\n"
    assert FieldEdits(put=named(X_A="2")).in_request(fields, unasked) == b"Host: chat.test\r\nAccept: */*\r\nX-A: 2\r\n"
    other = FieldEdits(put=named(X_A="2", Host="inner")).in_request(fields, unasked)
    assert other == b"Host: inner\r\nAccept: */*\r\nX-A: 2\r\n"


@pytest.mark.parametrize("name", ["X-A", "x-a", "X_A", "x.a", "X~A"])
def test_no_spelling_of_a_field_that_is_set_or_removed_passes(name: str) -> None:
    fields = f"Host: chat.test\r\n{name}: forged\r\nX-AB: 1\r\n".encode()
    assert FieldEdits(removed=[b"X-A"]).in_request(fields, unasked) == b"Host: chat.test\r\nX-AB: 1\r\n"
    assert b"forged" not in FieldEdits(put=named(X_A="2")).in_request(fields, unasked)
    assert b"forged" in FieldEdits(added=named(X_A="2")).in_request(fields, unasked)


def test_response_keeps_its_framing() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nServer: x\r\nDate: today\r\n\r\n"
    response = ResponseReader().read(raw, HeadLimits(100, 100, 1_000), b"GET")
    changed = FieldEdits(removed=[b"server"], added=named(X_A="1")).in_response(response, [])
    assert changed.framing is response.framing
    assert changed.noted == response.noted
    assert changed.lines == b"Date: today\r\nX-A: 1\r\n"
    assert (b"x-a", b"1") in changed.fields


def test_repeated_response_is_changed_once_and_values_each_time() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nServer: x\r\n\r\n"
    reader, limits = ResponseReader(), HeadLimits(100, 100, 1_000)
    first = reader.read(raw, limits, b"GET")
    repeated = reader.read(raw, limits, b"GET")
    assert (first.is_remembered, repeated.is_remembered) == (False, True)
    edits = FieldEdits(removed=[b"server"], put=named(X_A="1"))
    assert edits.in_response(repeated, []) is edits.in_response(reader.read(raw, limits, b"GET"), [])
    assert edits.in_response(first, []) is not edits.in_response(first, [])


def test_repeated_response_with_the_same_values_is_made_once() -> None:
    reader, limits = ResponseReader(), HeadLimits(100, 100, 1_000)

    def repeated(raw: bytes) -> Response:
        return [reader.read(raw, limits, b"GET") for _ in range(2)][1]

    def told(edits: FieldEdits, response: Response, *clients: bytes) -> list[Response]:
        everyone = [partial(RequestValues, client, b"chat.test", b"f00-2", b"X25519MLKEM768") for client in clients]
        return [edits.in_response(response, edits.lines(one)) for one in everyone]

    response = repeated(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
    edits = FieldEdits(put=named(X_Client="{client}"))
    first, again, other, back = told(edits, response, b"192.0.2.7", b"192.0.2.7", b"192.0.2.8", b"192.0.2.7")
    assert first is again
    assert [one.forwarded for one in (first, other, back)] == [
        [b"X-Client: 192.0.2.7\r\n"],
        [b"X-Client: 192.0.2.8\r\n"],
        [b"X-Client: 192.0.2.7\r\n"],
    ]
    longer = repeated(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nServer: x\r\n\r\n")
    (changed,) = told(edits, longer, b"192.0.2.7")
    assert (changed.framing, len(changed.forwarded)) == (longer.framing, 2)
    by_id = FieldEdits(put=named(X_Id="{request_id}"))
    one, two = told(by_id, response, b"192.0.2.7", b"192.0.2.7")
    assert one is not two
    assert one.lines == b"X-Id: f00-2\r\n"


def test_response_with_a_secret_is_not_kept() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nSet-Cookie: a=secret\r\n\r\n"
    reader, limits = ResponseReader(), HeadLimits(100, 100, 1_000)
    for _ in range(3):
        assert not reader.read(raw, limits, b"GET").is_remembered


def test_error_of_ours_keeps_what_it_says_itself() -> None:
    edits = FieldEdits(
        removed=[b"content-type"],
        put=named(Cache_Control="public", X_A="1", Content_Type="x/y", Vary="a"),
        defaults=[FILLS],
    )
    assert edits.beside(b"", unasked) == b"X-A: 1\r\nX-Fill: 1\r\n"
    assert edits.beside(b"x-a: 2\r\n", unasked) == b"X-Fill: 1\r\n"
