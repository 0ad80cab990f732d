"""Where a message ends has one answer, or the message is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.fields import Fields, sort_request_fields
from proxy.http.framing import (
    BodyKind,
    RequestFraming,
    ResponseFraming,
    request_framing,
    response_framing,
)
from proxy.http.head import Header, MalformedMessage, RequestHead, ResponseHead
from proxy.http.websocket.upgrade import WebSocketOffer
from tests.facts import facts

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
OFFER = WebSocketOffer(KEY, (), b"")

HANDSHAKE = [
    (b"Connection", b"Upgrade"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", KEY),
]


def request(
    *headers: Header, method: bytes = b"POST", target: bytes = b"/", minor: int = 1, host: bytes = b"example.org"
) -> RequestHead:
    return RequestHead(method, target, minor, [(b"Host", host), *headers])


def framed(*headers: Header, method: bytes = b"POST", minor: int = 1) -> RequestFraming:
    return request_framing(request(*headers, method=method, minor=minor))


def refused(head: RequestHead) -> int:
    with pytest.raises(MalformedMessage) as caught:
        request_framing(head)
    return caught.value.status


def test_plain_request_is_framed() -> None:
    head = RequestHead(
        b"GET",
        b"https://Example.org:443/a?b",
        1,
        [(b"Accept", b"*/*"), (b"host", b"EXAMPLE.org"), (b"Connection", b"keep-alive"), (b"Forwarded", b"for=x")],
    )
    expected = RequestFraming(
        body=BodyKind.NONE,
        length=0,
        keep_alive=True,
        expects_continue=False,
        accepts_trailers=False,
        websocket=None,
        host=b"example.org",
        host_field=b"EXAMPLE.org",
        target=b"/a?b",
        fields=sort_request_fields(head.headers),
    )
    assert facts(request_framing(head)) == facts(expected)


@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize("hosts", [[], [b"a", b"a"], [b"a", b"b"], [b""], [b"a@b"], [b"a, b"]])
def test_anything_but_one_good_host_is_refused(hosts: list[bytes], minor: int) -> None:
    assert refused(RequestHead(b"GET", b"/", minor, [(b"Host", host) for host in hosts])) == 400


def test_bad_target_is_refused() -> None:
    assert refused(request(target=b"/../a")) == 400
    assert refused(request(target=b"http://example.org/")) == 421
    assert refused(request(method=b"OPTIONS", target=b"*")) == 501


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"POST", b"PUT"])
@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize(("digits", "length"), [(b"0", 0), (b"5", 5), (b"005", 5), (b"9" * 18, 10**18 - 1)])
def test_content_length_frames_any_request(method: bytes, minor: int, digits: bytes, length: int) -> None:
    framing = framed((b"Content-Length", digits), method=method, minor=minor)
    assert (framing.body, framing.length) == (BodyKind.LENGTH, length)


@pytest.mark.parametrize(
    "values",
    [
        [b""],
        [b"+5"],
        [b"-5"],
        [b"0_5"],
        [b"0x5"],
        [b"5 5"],
        [b"5.0"],
        [b"5e0"],
        [b"5;"],
        [b"5,5"],
        [b"5, 5"],
        [b"\xd9\xa5"],
        [b"\xef\xbc\x95"],
        [b"\xb2"],
        [b"\xa05"],
        [b"1" * 19],
        [b"0" * 5000],
        [b"5", b"5"],
        [b"5", b"6"],
        [b"", b"5"],
        [b"5", b""],
    ],
)
def test_content_length_is_refused(values: list[bytes]) -> None:
    headers = [(b"Content-Length", value) for value in values]
    assert refused(request(*headers)) == 400
    assert refused_response(200, *headers) in ("invalid Content-Length", "several Content-Length fields")


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"CHUNKED"])
def test_chunked_frames_any_http_1_1_request(method: bytes, coding: bytes) -> None:
    framing = framed((b"Transfer-Encoding", coding), method=method)
    assert (framing.body, framing.length) == (BodyKind.CHUNKED, 0)


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ([b"gzip"], 501),
        ([b"identity"], 501),
        ([b"gzip, chunked"], 501),
        ([b"chunked, identity"], 501),
        ([b"xchunked"], 501),
        ([b""], 400),
        ([b",chunked"], 400),
        ([b"chunked,"], 400),
        ([b"gzip,,chunked"], 400),
        ([b"\x0bchunked"], 400),
        ([b"\xa0chunked"], 400),
        ([b"chun\xe2\x84\xaaed"], 400),
        ([b"chunked\x00"], 400),
        ([b'"chunked"'], 400),
        ([b"chunked;q=1"], 400),
        ([b"chunked chunked"], 400),
        ([b"chunked", b"chunked"], 400),
        ([b"chunked", b"identity"], 400),
        ([b"gzip", b"chunked"], 400),
    ],
)
def test_other_transfer_coding_is_refused(values: list[bytes], status: int) -> None:
    headers = [(b"Transfer-Encoding", value) for value in values]
    assert refused(request(*headers)) == status
    assert refused_response(200, *headers)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"Content-Length", b"6"), (b"Transfer-Encoding", b"chunked")],
        [(b"transfer-encoding", b"chunked"), (b"content-length", b"0")],
        [(b"Transfer-Encoding", b"gzip"), (b"Content-Length", b"6")],
    ],
)
def test_length_and_coding_together_are_refused(headers: list[Header]) -> None:
    assert refused(request(*headers)) == 400
    assert refused_response(200, *headers)


def test_transfer_coding_of_http_1_0_is_refused() -> None:
    assert refused(request((b"Transfer-Encoding", b"chunked"), minor=0)) == 400
    assert refused_response(200, (b"Transfer-Encoding", b"chunked"), minor=0)


@pytest.mark.parametrize(
    ("values", "minor", "keep_alive"),
    [
        ([], 1, True),
        ([], 0, False),
        ([b"keep-alive"], 0, True),
        ([b"Keep-Alive"], 0, True),
        ([b"KEEP-ALIVE"], 0, True),
        ([b"close"], 1, False),
        ([b"CLOSE"], 1, False),
        ([b"keep-alive, close"], 1, False),
        ([b"keep-alive", b"close"], 0, False),
        ([b"x-foo"], 1, True),
        ([b"x-foo"], 0, False),
        ([b""], 1, True),
        ([b", ,close,"], 1, False),
    ],
)
def test_persistence_follows_connection_and_version(values: list[bytes], minor: int, keep_alive: bool) -> None:  # noqa: FBT001
    headers = [(b"Connection", value) for value in values]
    assert framed(*headers, minor=minor).keep_alive is keep_alive
    assert responded(200, (b"Content-Length", b"0"), *headers, minor=minor).keep_alive is keep_alive


@pytest.mark.parametrize("value", [b"close;", b"clo se", b"(close)", b"close, \x0bx", b'"close"', b"\xe9"])
def test_malformed_connection_is_refused(value: bytes) -> None:
    assert refused(request((b"Connection", value))) == 400
    assert refused_response(200, (b"Connection", value))


@pytest.mark.parametrize("name", [b"Host", b"Content-Length", b"transfer-encoding"])
def test_connection_must_not_name_what_every_recipient_needs(name: bytes) -> None:
    assert refused(request((b"Connection", b"close, " + name))) == 400


def test_fields_named_by_connection_are_removed() -> None:
    headers = [(b"Connection", b"close, X-Foo, x-forwarded-for"), (b"x-foo", b"1"), (b"X-Bar", b"2")]
    fields = framed(*headers, (b"X-Forwarded-For", b"3")).fields
    assert (fields.forwarded, fields.claims) == ([(b"X-Bar", b"2")], [(b"X-Forwarded-For", b"3")])
    assert fields.removed == {b"x-foo"}
    assert responded(200, headers[0]).named == {b"x-foo", b"x-forwarded-for"}
    assert responded(200, (b"Connection", b"keep-alive, Upgrade")).named == frozenset()


def test_special_fields_cannot_be_named_away() -> None:
    framing = framed((b"Connection", b"expect, te"), (b"Content-Length", b"5"), (b"Expect", b"100-continue"))
    assert framing.expects_continue
    response = responded(200, (b"Connection", b"content-length"), (b"Content-Length", b"5"))
    assert (response.body, response.length) == (BodyKind.LENGTH, 5)


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue"])
@pytest.mark.parametrize(
    ("header", "minor", "expects"),
    [
        ((b"Content-Length", b"5"), 1, True),
        ((b"Transfer-Encoding", b"chunked"), 1, True),
        ((b"Content-Length", b"0"), 1, False),
        ((b"Accept", b"*/*"), 1, False),
        ((b"Content-Length", b"5"), 0, False),
    ],
)
def test_expectation_holds_for_a_body_of_http_1_1(value: bytes, header: Header, minor: int, expects: bool) -> None:  # noqa: FBT001
    assert framed(header, (b"Expect", value), minor=minor).expects_continue is expects


@pytest.mark.parametrize(
    "values",
    [
        [b""],
        [b"y 100-continue"],
        [b"100-continue, x"],
        [b"100-continue", b"100-continue"],
        [b"100-continue;"],
        [b"200"],
    ],
)
def test_other_expectation_fails(values: list[bytes]) -> None:
    expect = [(b"Expect", value) for value in values]
    assert refused(request((b"Content-Length", b"5"), *expect)) == 417
    assert refused(request(*expect)) == 417
    assert not framed(*expect, minor=0).expects_continue


@pytest.mark.parametrize(
    ("value", "minor", "accepts"),
    [
        (b"trailers", 1, True),
        (b"Trailers", 1, True),
        (b"gzip;q=0.5, trailers", 1, True),
        (b"gzip", 1, False),
        (b"trailers;q=0", 1, False),
        (b"", 1, False),
        (b"trailers", 0, False),
    ],
)
def test_trailers_are_accepted_by_name(value: bytes, minor: int, accepts: bool) -> None:  # noqa: FBT001
    assert framed((b"TE", value), minor=minor).accepts_trailers is accepts


def test_websocket_handshake_is_an_offer() -> None:
    assert framed(*HANDSHAKE, method=b"GET").websocket == OFFER
    assert framed(*HANDSHAKE, (b"Content-Length", b"0"), method=b"GET").websocket == OFFER


def test_flawed_websocket_handshake_is_refused() -> None:
    assert refused(request(*HANDSHAKE)) == 400
    assert refused(request(*HANDSHAKE[1:], method=b"GET")) == 400
    headers = [*HANDSHAKE[:2], (b"Sec-WebSocket-Version", b"1337"), HANDSHAKE[3]]
    assert refused(request(*headers, method=b"GET")) == 426


@pytest.mark.parametrize("token", [b"h2c", b"foo", b"TLS/1.0"])
def test_other_upgrade_goes_on_as_an_ordinary_request(token: bytes) -> None:
    framing = framed((b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", token), (b"HTTP2-Settings", b"AAMAAABk"))
    assert framing.websocket is None
    assert framing.keep_alive
    assert framing.fields.forwarded == []


def test_upgrade_of_http_1_0_is_ignored() -> None:
    assert framed(*HANDSHAKE, method=b"GET", minor=0).websocket is None
    assert framed(*HANDSHAKE, method=b"POST", minor=0).websocket is None


@pytest.mark.parametrize("token", [b"websocket", b"h2c", b"foo"])
@pytest.mark.parametrize(
    ("body", "minor"),
    [((b"Content-Length", b"1"), 1), ((b"Transfer-Encoding", b"chunked"), 1), ((b"Content-Length", b"5"), 0)],
)
def test_upgrade_with_a_body_is_refused(token: bytes, body: Header, minor: int) -> None:
    assert refused(request((b"Connection", b"upgrade"), (b"Upgrade", token), body, minor=minor)) == 400
    assert refused(request((b"Upgrade", token), body, minor=minor)) == 400


def responded(
    status: int, *headers: Header, method: bytes = b"GET", minor: int = 1, offer: WebSocketOffer | None = None
) -> ResponseFraming:
    special: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        special.setdefault(name.lower(), []).append(value)
    return response_framing(ResponseHead(status, b"", minor, ()), special, method, offer)


def refused_response(
    status: int, *headers: Header, method: bytes = b"GET", minor: int = 1, offer: WebSocketOffer | None = None
) -> str:
    with pytest.raises(MalformedMessage) as caught:
        responded(status, *headers, method=method, minor=minor, offer=offer)
    assert caught.value.status == 502
    return caught.value.reason


LENGTH = (b"Content-Length", b"5")
EMPTY = (b"Content-Length", b"0")
CHUNKED = (b"Transfer-Encoding", b"Chunked")


@pytest.mark.parametrize(
    ("status", "method", "headers", "body", "length", "keep_alive"),
    [
        (200, b"GET", [LENGTH], BodyKind.LENGTH, 5, True),
        (200, b"GET", [EMPTY], BodyKind.LENGTH, 0, True),
        (404, b"POST", [CHUNKED], BodyKind.CHUNKED, None, True),
        (200, b"GET", [], BodyKind.UNTIL_CLOSE, None, False),
        (200, b"HEAD", [LENGTH], BodyKind.NONE, 5, True),
        (200, b"HEAD", [CHUNKED], BodyKind.NONE, None, True),
        (200, b"HEAD", [], BodyKind.NONE, None, True),
        (304, b"GET", [LENGTH], BodyKind.NONE, 5, True),
        (304, b"GET", [CHUNKED], BodyKind.NONE, None, True),
        (304, b"GET", [], BodyKind.NONE, None, True),
        (204, b"GET", [], BodyKind.NONE, None, True),
        (204, b"DELETE", [EMPTY], BodyKind.NONE, None, True),
        (100, b"POST", [], BodyKind.NONE, None, True),
        (103, b"HEAD", [EMPTY], BodyKind.NONE, None, True),
        (205, b"POST", [EMPTY], BodyKind.NONE, 0, True),
        (205, b"POST", [CHUNKED], BodyKind.NONE, 0, False),
        (205, b"POST", [], BodyKind.NONE, 0, False),
    ],
)
def test_response_body_follows_method_status_and_fields(
    status: int,
    method: bytes,
    headers: list[Header],
    body: BodyKind,
    length: int | None,
    keep_alive: bool,  # noqa: FBT001
) -> None:
    framing = responded(status, *headers, method=method)
    assert (framing.body, framing.length, framing.keep_alive) == (body, length, keep_alive)


@pytest.mark.parametrize(
    ("status", "header"), [(204, LENGTH), (204, CHUNKED), (100, LENGTH), (103, CHUNKED), (205, LENGTH)]
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_body_that_the_status_rules_out_is_refused(status: int, header: Header, method: bytes) -> None:
    assert refused_response(status, header, method=method) == "response with a body that its status rules out"


def test_response_of_http_1_0_is_kept_alive_only_if_it_says_so() -> None:
    assert not responded(200, LENGTH, minor=0).keep_alive
    assert responded(200, LENGTH, (b"Connection", b"keep-alive"), minor=0).keep_alive


def test_proven_101_is_believed() -> None:
    headers = [(b"Upgrade", b"websocket"), (b"Connection", b"upgrade"), (b"Sec-WebSocket-Accept", ACCEPT)]
    assert responded(101, *headers, offer=OFFER).body is BodyKind.NONE
    assert refused_response(101, *headers) == "101 to a request without Upgrade"
    assert refused_response(101, *headers[:2], offer=OFFER) == "101 with a wrong Sec-WebSocket-Accept"
    assert responded(400, *headers, EMPTY, offer=OFFER).body is BodyKind.LENGTH


pieces = st.sampled_from(
    [b"chunked", b"gzip", b",", b" ", b"\t", b"\x0b", b"5", b"0", b"-", b"", b"\xa0", b";", b"close"]
)
odd_values = st.lists(pieces, max_size=4).map(b"".join)
odd_names = st.sampled_from(
    [b"Content-Length", b"Transfer-Encoding", b"Connection", b"Expect", b"Upgrade", b"TE", b"Host", b"X"]
)
odd_headers = st.lists(st.tuples(odd_names, odd_values), max_size=4)


@given(odd_headers, st.integers(0, 1))
def test_accepted_request_has_a_single_reading(headers: list[Header], minor: int) -> None:
    try:
        framing = framed(*headers, minor=minor)
    except MalformedMessage:
        assert refused(request(*headers, minor=minor)) in (400, 417, 501)
        return
    lengths = [value for name, value in headers if name == b"Content-Length"]
    codings = [value for name, value in headers if name == b"Transfer-Encoding"]
    match framing.body:
        case BodyKind.NONE:
            assert not lengths
            assert not codings
        case BodyKind.LENGTH:
            assert [str(framing.length).encode()] == [value.lstrip(b"0") or b"0" for value in lengths]
            assert not codings
        case _:
            assert not lengths
            assert [value.lower() for value in codings] == [b"chunked"]
            assert minor == 1


@given(odd_headers, st.integers(0, 1), st.sampled_from([100, 200, 204, 205, 304]), st.sampled_from([b"GET", b"HEAD"]))
def test_accepted_response_has_a_single_reading(headers: list[Header], minor: int, status: int, method: bytes) -> None:
    try:
        framing = responded(status, *headers, minor=minor, method=method)
    except MalformedMessage:
        assert refused_response(status, *headers, minor=minor, method=method)
        return
    if status != 200 or method == b"HEAD":
        assert framing.body is BodyKind.NONE
    if framing.body is BodyKind.UNTIL_CLOSE:
        assert not framing.keep_alive


def test_framing_of_the_same_fields_takes_the_other_length() -> None:
    first = request_framing(RequestHead(b"POST", b"/", 1, [(b"Host", b"chat.test"), (b"Content-Length", b"3")]))
    fields = Fields([], {**first.fields.special, b"content-length": [b"40"]}, shape=first.fields.shape)
    assert first.is_judged_by(fields)
    assert first.with_target(b"/a", fields).length == 40
    assert first.with_target(b"/a", Fields([], first.fields.special)).length == 3
