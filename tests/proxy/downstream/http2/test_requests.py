"""Requests of one HTTP/2 connection: equal ones are judged once."""

from dataclasses import replace

import pytest

from proxy.downstream.http2.requests import StreamRequests, start_of
from proxy.downstream.requests.glimpse import glimpse
from proxy.http.head import Header, MalformedMessage
from proxy.http2.hpack.decoder import DecodedFields
from tests.fakes_http import LIMITS
from tests.fakes_http2 import CONNECT, GET

LARGE = DecodedFields([], is_too_large=True)


def block_of(fields: list[Header]) -> DecodedFields:
    """What a decoder gives."""
    return DecodedFields(fields, is_too_large=False)


def test_block_that_repeats_the_last_one_is_the_same_request() -> None:
    requests = StreamRequests()
    block = block_of(list(GET))
    first = requests.read(block, LIMITS.head, is_ended=True)
    assert requests.read(block, LIMITS.head, is_ended=True) is first
    assert requests.read(block, LIMITS.head, is_ended=False) is not first
    assert requests.read(block, replace(LIMITS.head), is_ended=False) is not first


def test_request_that_differs_in_its_path_alone_has_the_same_lines_for_a_server() -> None:
    requests = StreamRequests()
    first = requests.read(block_of(list(GET)), LIMITS.head, is_ended=True)
    first.fields = b"Host: chat.test\r\n"
    second = requests.read(block_of([*GET[:3], (b":path", b"/x")]), LIMITS.head, is_ended=True)
    assert (second.framing.target, second.fields) == (b"/x", b"Host: chat.test\r\n")
    third = requests.read(block_of([*GET, (b"accept", b"a/b")]), LIMITS.head, is_ended=True)
    assert third.fields is None


def test_request_with_other_fields_goes_where_the_last_one_went() -> None:
    requests = StreamRequests()
    first = requests.read(block_of([*GET, (b"accept", b"a/b")]), LIMITS.head, is_ended=True)
    second = requests.read(block_of([*GET, (b"accept", b"c/d")]), LIMITS.head, is_ended=True)
    assert second.destination is first.destination
    elsewhere = requests.read(block_of([*GET[:3], (b":path", b"/x")]), LIMITS.head, is_ended=True)
    assert elsewhere.destination is not first.destination


@pytest.mark.parametrize(
    "fields",
    [
        [(b":method", b"HEAD"), *GET[1:]],
        [*GET[:2], (b":authority", b"other.test"), GET[3]],
        [*GET, (b"te", b"trailers")],
        [*GET, (b"via", b"1.1 a")],
    ],
)
def test_request_that_means_something_else_is_routed_anew(fields: list[Header]) -> None:
    requests = StreamRequests()
    first = requests.read(block_of(list(GET)), LIMITS.head, is_ended=True)
    assert requests.read(block_of(fields), LIMITS.head, is_ended=True).destination is not first.destination


def test_priority_is_that_of_the_request() -> None:
    requests = StreamRequests()
    told = []
    for more in ([], [(b"priority", b"u=1")], [(b"priority", b"u=1")], [(b"accept", b"a/b")]):
        requests.read(block_of([*GET, *more]), LIMITS.head, is_ended=True)
        told.append(requests.priority)
    requests.read(block_of([*GET[:3], (b":path", b"/x"), (b"priority", b"i")]), LIMITS.head, is_ended=True)
    requests.read(block_of([*GET[:3], (b":path", b"/y"), (b"priority", b"i")]), LIMITS.head, is_ended=True)
    assert [*told, requests.priority] == [b"", b"u=1", b"u=1", b"", b"i"]


def test_copies_of_a_field_that_the_client_marked_are_marked() -> None:
    """RFC 7541 section 6.2.3: the server gets its value in these fields too."""
    block = DecodedFields(list(GET), is_too_large=False, never_indexed=frozenset({b":path"}))
    read = StreamRequests().read(block, LIMITS.head, is_ended=True)
    assert read.head.never_indexed == {b":path", b"x-forwarded-uri"}


def test_each_websocket_has_a_key_of_its_own() -> None:
    requests, block = StreamRequests(), block_of(list(CONNECT))
    offers = [requests.read(block, LIMITS.head, is_ended=False).framing.websocket for _ in range(2)]
    assert offers[0] is not None is not offers[1]
    assert offers[0].key != offers[1].key


def test_too_many_fields_are_too_large() -> None:
    with pytest.raises(MalformedMessage, match="431"):
        StreamRequests().read(LARGE, LIMITS.head, is_ended=True)


def test_log_sees_what_a_malformed_request_asked_for() -> None:
    record = glimpse(start_of([*GET, (b"X", b"")]))
    assert record is not None
    assert (record.method, record.host, record.path) == ("GET", "chat.test", "/")
    empty = glimpse(start_of([]))
    assert empty is not None
    assert empty.path == ""
