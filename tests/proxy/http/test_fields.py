"""Fields are sorted by what they mean, in whatever spelling they come."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.fields import Treatment, classify_in_response, cookie_value, may_be_trailer, sort_request_fields
from proxy.http.grammar import TOKEN_CHARS
from proxy.http.head import Header
from tests.facts import facts

SPECIAL_IN_REQUESTS = [
    b"Host",
    b"Connection",
    b"Content-Length",
    b"Transfer-Encoding",
    b"Expect",
    b"Upgrade",
    b"TE",
    b"Sec-WebSocket-Key",
    b"Sec-WebSocket-Version",
    b"Sec-WebSocket-Protocol",
    b"Sec-WebSocket-Extensions",
]
CLAIMS = [
    b"X-Forwarded-For",
    b"X-Forwarded-Proto",
    b"X-Forwarded-Host",
    b"X-Forwarded-Port",
    b"X-Forwarded-Whatever",
    b"X-Forwarded",
    b"Forwarded",
    b"X-Real-IP",
    b"X-Original-URL",
    b"X-Original-Method",
    b"X-Rewrite-URL",
    b"X-Request-Id",
    b"X-Client-IP",
    b"True-Client-IP",
    b"X-Cluster-Client-IP",
    b"Client-Cert",
    b"Client-Cert-Chain",
    b"X-Client-Cert",
    b"X-Client-Cert-Subject",
    b"SSL-Client-Verify",
    b"X-SSL-Client-S-DN",
]
REMOVED_FROM_REQUESTS = [
    b"Keep-Alive",
    b"Proxy-Connection",
    b"Proxy-Authorization",
    b"Proxy-Authenticate",
    b"Proxy",
    b"HTTP2-Settings",
    b"Trailer",
    b"X-TLS-Group",
    b"Sec-WebSocket-Accept",
]
ORDINARY = [
    b"Accept",
    b"User-Agent",
    b"sec-ch-ua",
    b"Cookie",
    b"Authorization",
    b"X-Custom",
    b"User_Agent",
    b"Content-Length0aaa",
    b"XForwarded-For",
    b"Hosts",
    b"-",
]


def spellings(name: bytes) -> set[bytes]:
    return {name, name.lower(), name.upper(), name.title(), name.swapcase(), name[:1].lower() + name[1:].upper()}


def twins(name: bytes) -> set[bytes]:
    """Every way to write a name with other punctuation, in which at least one hyphen is something else."""
    words = name.split(b"-")
    return {
        b"".join(itertools.chain.from_iterable(zip(words, (*marks, b""), strict=True)))
        for marks in itertools.product([b"-", b"_", b"."], repeat=len(words) - 1)
    } - {name}


def each(names: list[bytes]) -> list[bytes]:
    return sorted(set().union(*map(spellings, names)))


def sorted_fields(headers: list[Header]) -> tuple[list[Header], list[Header], dict[bytes, list[bytes]]]:
    fields = sort_request_fields(headers)
    return fields.forwarded, fields.claims, fields.special


@pytest.mark.parametrize("name", each(ORDINARY))
def test_ordinary_field_is_forwarded_as_sent(name: bytes) -> None:
    assert sorted_fields([(name, b"v")]) == ([(name, b"v")], [], {})


@pytest.mark.parametrize("name", each(SPECIAL_IN_REQUESTS))
def test_special_field_is_set_aside(name: bytes) -> None:
    assert sorted_fields([(name, b"v"), (name, b"w")]) == ([], [], {name.lower(): [b"v", b"w"]})


@pytest.mark.parametrize("name", each(CLAIMS))
def test_claim_is_set_aside(name: bytes) -> None:
    assert sorted_fields([(name, b"v")]) == ([], [(name, b"v")], {})


@pytest.mark.parametrize("name", each(REMOVED_FROM_REQUESTS))
def test_hop_by_hop_field_is_removed(name: bytes) -> None:
    assert sorted_fields([(name, b"v")]) == ([], [], {})


@pytest.mark.parametrize("name", each(SPECIAL_IN_REQUESTS + CLAIMS + REMOVED_FROM_REQUESTS))
def test_no_twin_of_a_field_that_is_not_simply_forwarded_gets_through(name: bytes) -> None:
    for twin in twins(name):
        assert sorted_fields([(twin, b"v")]) == ([], [], {}), twin


@pytest.mark.parametrize("code", [code for code in TOKEN_CHARS if not chr(code).isalnum() and code != ord("-")])
def test_any_punctuation_makes_a_twin(code: int) -> None:
    name = b"X-Forwarded-For".replace(b"-", bytes([code]))
    assert sorted_fields([(name, b"v")]) == ([], [], {})


def test_order_and_repetition_are_kept() -> None:
    headers = [(b"B", b"1"), (b"Host", b"h"), (b"A", b"2"), (b"b", b"3"), (b"Forwarded", b"f"), (b"B", b"4")]
    forwarded = [(b"B", b"1"), (b"A", b"2"), (b"b", b"3"), (b"B", b"4")]
    assert sorted_fields(headers) == (forwarded, [(b"Forwarded", b"f")], {b"host": [b"h"]})
    assert sort_request_fields(headers).lines == b"B: 1\r\nA: 2\r\nb: 3\r\nB: 4\r\n"


def test_named_fields_are_left_out_unless_the_proxy_judges_or_writes_them() -> None:
    sent = [(b"X-A", b"1"), (b"x-b", b"2"), (b"Expect", b"100-continue"), (b"X-B", b"3"), (b"Forwarded", b"f")]
    kept = sort_request_fields(sent).without(frozenset({b"x-b", b"x-c", b"forwarded", b"expect"}))
    assert (kept.forwarded, kept.claims) == ([(b"X-A", b"1")], [(b"Forwarded", b"f")])
    assert kept.special == {b"expect": [b"100-continue"]}
    assert kept.removed == frozenset({b"x-b", b"x-c"})


@pytest.mark.parametrize(
    "name",
    b"Authorization Cookie Origin Content-Type Content_Type Content-Digest Sec-Fetch-Site Range If-Range If-None-Match"
    b" Payload-Key Payload-Session Payload-Future Access-Control-Request-Method Accept-Encoding traceparent".split(),
)
def test_field_that_the_proxy_judges_cannot_be_named_away(name: bytes) -> None:
    fields = sort_request_fields([(name, b"v")])
    assert facts(fields.without(frozenset({name.lower()}))) == facts(fields)


def treated(name: bytes) -> Treatment:
    """What happens to it in a response; all else about it is as it was sent."""
    field = classify_in_response((name, b"v"))
    assert (field.line, field.name, field.value) == (name + b": v\r\n", name.lower(), b"v")
    return field.treatment


@pytest.mark.parametrize(
    "name",
    each(
        [
            b"Connection",
            b"Content-Length",
            b"Transfer-Encoding",
            b"Trailer",
            b"Upgrade",
            b"Sec-WebSocket-Accept",
            b"Sec-WebSocket-Protocol",
            b"Sec-WebSocket-Extensions",
        ]
    ),
)
def test_special_response_field_is_set_aside(name: bytes) -> None:
    assert treated(name) is Treatment.SPECIAL


@pytest.mark.parametrize("name", each([b"Date", b"X-Request-Id"]))
def test_noted_response_field_is_forwarded_too(name: bytes) -> None:
    assert treated(name) is Treatment.NOTE


@pytest.mark.parametrize(
    "name", each([b"Keep-Alive", b"Proxy-Connection", b"Proxy-Authenticate", b"Proxy-Authentication-Info", b"TE"])
)
def test_hop_by_hop_response_field_is_removed(name: bytes) -> None:
    assert treated(name) is Treatment.REMOVE


@pytest.mark.parametrize(
    "name", each([b"Server", b"Set-Cookie", b"ETag", b"X-Custom", b"X-Forwarded-For", b"Sec-WebSocket-Version"])
)
def test_ordinary_response_field_is_forwarded(name: bytes) -> None:
    assert treated(name) is Treatment.FORWARD


@pytest.mark.parametrize("name", [b"x-checksum", b"server-timing", b"grpc-status", b"etag"])
def test_trailer_that_only_informs_is_allowed(name: bytes) -> None:
    assert may_be_trailer(name)


@pytest.mark.parametrize(
    "name",
    [
        b"content-length",
        b"transfer-encoding",
        b"host",
        b"authorization",
        b"www-authenticate",
        b"proxy-authorization",
        b"connection",
        b"keep-alive",
        b"upgrade",
        b"te",
        b"trailer",
        b"expect",
        b"forwarded",
        b"x-forwarded-for",
        b"x_forwarded_for",
        b"x-real-ip",
        b"x-request-id",
        b"x-tls-group",
        b"set-cookie",
        b"cookie",
        b"content-type",
        b"content-encoding",
        b"content-range",
        b"content-anything",
        b"cache-control",
        b"if-none-match",
        b"range",
        b"location",
        b"date",
        b"expires",
        b"vary",
        b"age",
        b"via",
    ],
)
def test_trailer_that_would_change_the_message_is_not_allowed(name: bytes) -> None:
    assert not may_be_trailer(name)


def test_via_is_forwarded_and_noted() -> None:
    fields = sort_request_fields([(b"vIA", b"1.0 one"), (b"A", b"1"), (b"Via", b"1.1 two")])
    assert fields.forwarded == [(b"vIA", b"1.0 one"), (b"A", b"1"), (b"Via", b"1.1 two")]
    assert fields.special == {b"via": [b"1.0 one", b"1.1 two"]}


names = st.sampled_from(SPECIAL_IN_REQUESTS + CLAIMS + REMOVED_FROM_REQUESTS + ORDINARY)


@given(st.lists(st.tuples(names, st.binary(max_size=3)), max_size=30))
def test_nothing_is_invented_and_ordinary_fields_are_not_lost(headers: list[Header]) -> None:
    fields = sort_request_fields(headers)
    assert fields.forwarded == [header for header in headers if header[0] in ORDINARY]
    assert fields.claims == [header for header in headers if header[0] in CLAIMS]
    set_aside = [header for header in headers if header[0] in SPECIAL_IN_REQUESTS]
    assert sum(map(len, fields.special.values())) == len(set_aside)
    for name, values in fields.special.items():
        assert values == [value for sent_name, value in set_aside if sent_name.lower() == name]


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
