"""A request of HTTP/2 becomes one that HTTP/1.1 takes, or it is refused."""

import base64
from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.http.fields import sort_request_fields
from proxy.http.forwarded_head import ForwardedPeer, upstream_fields, upstream_head
from proxy.http.framing import BodyKind, RequestFraming, request_framing
from proxy.http.head import Header, HeadLimits, MalformedMessage, RequestHead, parse_request_head
from proxy.http.websocket.upgrade import WebSocketOffer
from proxy.http2.fields.request_fields import RequestFieldReader, StreamRequest
from proxy.http2.wire.errors import ErrorCode, StreamFault
from tests.facts import facts

LIMITS = HeadLimits(target_bytes=64, header_count=5, header_bytes=80)
WIDE = HeadLimits(target_bytes=8_192, header_count=100, header_bytes=32_768)
PEER = ForwardedPeer.of(ip_address("192.0.2.1"), "X25519MLKEM768")
NONCE = bytes(range(16))
KEY = base64.b64encode(NONCE)

GET: list[Header] = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"Example.org"),
    (b":path", b"/a?b"),
]
WEBSOCKET: list[Header] = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"https"),
    (b":authority", b"example.org"),
    (b":path", b"/chat"),
    (b"sec-websocket-version", b"13"),
]


def changed(fields: list[Header], **values: bytes | None) -> list[Header]:
    """The fields with other values of pseudo-fields; None leaves one out."""
    new = {b":" + name.encode(): value for name, value in values.items()}
    return [(name, value) for name, old in fields if (value := new.get(name, old)) is not None]


def understood(fields: list[Header], *more: Header, is_ended: bool = True, limits: HeadLimits = WIDE) -> StreamRequest:
    return RequestFieldReader(lambda: NONCE).read([*fields, *more], limits, is_ended=is_ended)


def malformed(fields: list[Header], *more: Header, is_ended: bool = True) -> str:
    with pytest.raises(StreamFault) as caught:
        understood(fields, *more, is_ended=is_ended)
    assert caught.value.code == ErrorCode.PROTOCOL_ERROR
    return caught.value.reason


def refused(fields: list[Header], *more: Header, is_ended: bool = True, limits: HeadLimits = WIDE) -> tuple[int, str]:
    with pytest.raises(MalformedMessage) as caught:
        understood(fields, *more, is_ended=is_ended, limits=limits)
    return caught.value.status, caught.value.reason


def test_request_becomes_the_head_of_http_1_1() -> None:
    request = understood(GET, (b"accept", b"*/*"), (b"forwarded", b"for=x"))
    headers = [(b"host", b"Example.org"), (b"accept", b"*/*"), (b"forwarded", b"for=x")]
    assert facts(request.head) == facts(RequestHead(b"GET", b"/a?b", 1, headers, major_version=2))
    expected = RequestFraming(
        body=BodyKind.NONE,
        length=0,
        keep_alive=True,
        expects_continue=False,
        accepts_trailers=False,
        websocket=None,
        host=b"example.org",
        host_field=b"Example.org",
        target=b"/a?b",
        fields=sort_request_fields(headers),
    )
    assert facts(request.framing) == facts(expected)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (changed(GET, method=None), "request without :method"),
        (changed(GET, scheme=None), "request without :scheme or :path"),
        (changed(GET, path=None), "request without :scheme or :path"),
        ([*GET, (b":path", b"/")], "pseudo-field that stands twice"),
        ([*GET, (b":status", b"200")], "unknown pseudo-field"),
        ([GET[0], (b"accept", b"*/*"), *GET[1:]], "pseudo-field out of its place"),
        ([*GET, (b"accept", b"*/*"), (b":protocol", b"websocket")], "pseudo-field out of its place"),
        (changed(GET, path=b""), ":path is not a path"),
        (changed(GET, path=b"*"), ":path is not a path"),
        (changed(GET, path=b"a"), ":path is not a path"),
        (changed(GET, path=b"https://example.org/"), ":path is not a path"),
        (changed(GET, path=b"/ HTTP/1.1\r\nX: y"), "control character in a field value"),
        (changed(GET, path=b"/a "), "white space around a field value"),
        (changed(GET, method=b"GET / HTTP/1.1\r\nX: y"), "control character in a field value"),
        (changed(GET, authority=b"a\r\nX: y"), "control character in a field value"),
        (changed(GET, scheme=b"https\x00"), "control character in a field value"),
        (changed(GET, scheme=b"https://x/?"), "invalid :scheme"),
        (changed(GET, scheme=b""), "invalid :scheme"),
        ([], "request without :method"),
    ],
)
def test_pseudo_fields_are_complete_known_once_and_first(fields: list[Header], reason: str) -> None:
    """RFC 9113 8.3, 8.3.1."""
    assert malformed(fields) == reason


@pytest.mark.parametrize(
    "field",
    [
        (b"Accept", b"*/*"),
        (b"a b", b""),
        (b"x", b"a\r\nb"),
        (b"x", b" a"),
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b"te", b"gzip"),
    ],
)
def test_fields_follow_the_rules_of_http_2(field: Header) -> None:
    """RFC 9113 8.2."""
    assert malformed(GET, field)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (changed(GET, scheme=b"http"), (421, "http URI over TLS")),
        (changed(GET, scheme=b"ftp"), (400, "scheme of the request target is not https")),
        (changed(GET, authority=None), (400, "request without :authority")),
        (changed(GET, authority=b""), (400, "invalid host")),
        (changed(GET, authority=b"user@example.org"), (400, "invalid host")),
        (changed(GET, authority=b"a, b"), (400, "invalid host")),
        (changed(GET, authority=b"a:99999"), (400, "invalid port")),
        ([*GET, (b"host", b"other.example.org")], (400, "request target and Host differ")),
        ([*GET, (b"host", b"example.org:8443")], (400, "request target and Host differ")),
        ([*GET, (b"host", b"")], (400, "invalid host")),
        ([*GET, (b"host", b"example.org"), (b"host", b"example.org")], (400, "not exactly one Host field")),
        (changed(GET, path=b"/../a"), (400, "dot segment in the path")),
        (changed(GET, path=b"/a#b"), (400, "character not allowed in the path")),
        (changed(GET, path=b"/a b"), (400, "character not allowed in the path")),
        (changed(GET, path=b"/%zz"), (400, "invalid percent-encoding in the path")),
        (changed(GET, method=b"OPTIONS", path=b"*"), (501, "OPTIONS * is not served")),
        (changed(GET, method=b"BREW"), (501, "method not supported")),
        (changed(GET, method=b"get"), (501, "method not supported")),
        (changed(GET, method=b"TRACE"), (501, "method not supported")),
        (changed(GET, method=b"G@T"), (400, "not a method")),
        (changed(GET, method=b""), (400, "not a method")),
    ],
)
def test_what_http_1_1_answers_with_a_status_gets_the_same_one(fields: list[Header], expected: tuple[int, str]) -> None:
    assert refused(fields) == expected


@pytest.mark.parametrize("host", [b"Example.org", b"example.org", b"EXAMPLE.ORG.", b"example.org:443"])
def test_a_host_that_agrees_is_dropped(host: bytes) -> None:
    """RFC 9113 8.3.1."""
    request = understood(GET, (b"host", host))
    assert request.head.headers == [(b"host", b"Example.org")]
    assert request.framing.host_field == b"Example.org"


def test_scheme_is_compared_without_case() -> None:
    """RFC 3986 3.1."""
    assert understood(changed(GET, scheme=b"HTTPS")).framing.target == b"/a?b"


def test_options_of_a_resource_are_served() -> None:
    assert understood(changed(GET, method=b"OPTIONS")).head.method == b"OPTIONS"


def test_cookie_crumbs_are_joined() -> None:
    """RFC 9113 8.2.3."""
    request = understood(GET, (b"cookie", b"a=b"), (b"accept", b"*/*"), (b"cookie", b"c=d"), (b"cookie", b"e=f"))
    assert request.framing.fields.forwarded == [(b"accept", b"*/*"), (b"cookie", b"a=b; c=d; e=f")]


@pytest.mark.parametrize(
    ("crumbs", "joined"), [([b""], b""), ([b"", b""], b""), ([b"", b"a=b", b"", b"c", b""], b"a=b; c")]
)
def test_empty_crumbs_leave_no_white_space_at_the_ends_of_a_cookie(crumbs: list[bytes], joined: bytes) -> None:
    request = understood(GET, *[(b"cookie", crumb) for crumb in crumbs])
    assert request.framing.fields.forwarded == [(b"cookie", joined)]


def test_limits_hold_to_the_byte() -> None:
    path = b"/" + b"a" * 63
    understood(changed(GET, path=path), limits=LIMITS)
    assert refused(changed(GET, path=path + b"a"), limits=LIMITS) == (414, "request target too long")

    understood(GET, *[(b"a", b"b")] * 4, limits=LIMITS)  # the fifth is Host
    assert refused(GET, *[(b"a", b"b")] * 5, limits=LIMITS) == (431, "too many header fields")
    understood(GET, *[(b"a", b"b")] * 3, *[(b"cookie", b"c")] * 20, limits=LIMITS)
    assert refused(GET, *[(b"a", b"b")] * 4, (b"cookie", b"c"), limits=LIMITS) == (431, "too many header fields")

    understood(GET, (b"a", b"b" * 77), limits=LIMITS)
    assert refused(GET, (b"a", b"b" * 78), limits=LIMITS) == (431, "header field too long")
    understood(GET, (b"cookie", b"b" * 36), (b"cookie", b"b" * 34), limits=LIMITS)
    assert refused(GET, (b"cookie", b"b" * 36), (b"cookie", b"b" * 35), limits=LIMITS)[0] == 431


POST = changed(GET, method=b"POST")


@pytest.mark.parametrize(
    ("more", "is_ended", "body", "length"),
    [
        ([], True, BodyKind.NONE, 0),
        ([], False, BodyKind.CHUNKED, 0),
        ([(b"content-length", b"0")], True, BodyKind.LENGTH, 0),
        ([(b"content-length", b"0")], False, BodyKind.LENGTH, 0),
        ([(b"content-length", b"5")], False, BodyKind.LENGTH, 5),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_body_is_framed_for_the_server(
    method: bytes,
    more: list[Header],
    is_ended: bool,  # noqa: FBT001 - a parameter
    body: BodyKind,
    length: int,
) -> None:
    framing = understood(changed(GET, method=method), *more, is_ended=is_ended).framing
    assert (framing.body, framing.length, framing.keep_alive) == (body, length, True)


def test_content_length_without_a_body_is_malformed() -> None:
    """RFC 9113 8.1.1."""
    assert malformed(POST, (b"content-length", b"5")) == "content-length of a request without a body"


@pytest.mark.parametrize("is_ended", [True, False])
@pytest.mark.parametrize("values", [[b""], [b"-5"], [b"+5"], [b"0x5"], [b"5, 5"], [b"5", b"5"], [b"5", b"6"]])
def test_content_length_has_one_reading(values: list[bytes], is_ended: bool) -> None:  # noqa: FBT001 - a parameter
    assert refused(POST, *((b"content-length", value) for value in values), is_ended=is_ended)[0] == 400


def test_expectation_is_as_in_http_1_1() -> None:
    expect = (b"expect", b"100-continue")
    assert understood(POST, expect, is_ended=False).framing.expects_continue
    assert understood(POST, expect, (b"content-length", b"5"), is_ended=False).framing.expects_continue
    assert not understood(POST, expect).framing.expects_continue
    assert refused(POST, (b"expect", b"x"), is_ended=False) == (417, "expectation other than 100-continue")


def test_te_trailers_is_told_to_the_server() -> None:
    request = understood(GET, (b"te", b"trailers"))
    assert request.framing.accepts_trailers
    assert b"Connection: TE\r\nTE: trailers\r\n" in upstream_fields(request.head, request.framing, PEER)


def test_what_shows_a_loop_is_noted() -> None:
    request = understood(GET, (b"via", b"1.1 a"), (b"x-a", b"1"), (b"via", b"1.1 b"))
    assert request.framing.fields.special[b"via"] == [b"1.1 a", b"1.1 b"]


def test_claims_and_their_twins_are_sorted_as_in_http_1_1() -> None:
    fields = understood(
        GET, (b"x-forwarded-for", b"1"), (b"x_forwarded_for", b"2"), (b"proxy", b"3"), (b"x-tls-group", b"4")
    ).framing.fields
    assert (fields.forwarded, fields.claims) == ([], [(b"x-forwarded-for", b"1")])


class TestWebSocket:
    """RFC 8441."""

    def test_extended_connect_becomes_an_upgrade_with_our_key(self) -> None:
        request = understood(
            WEBSOCKET,
            (b"sec-websocket-key", b"theirs"),
            (b"sec-websocket-protocol", b"chat"),
            (b"sec-websocket-extensions", b"permessage-deflate"),
            (b"origin", b"https://example.org"),
            is_ended=False,
        )
        assert (request.head.method, request.head.target, request.framing.body) == (b"GET", b"/chat", BodyKind.NONE)
        assert request.framing.websocket == WebSocketOffer(KEY, (b"chat",), b"permessage-deflate")
        assert request.framing.fields.forwarded == [(b"origin", b"https://example.org")]
        written = upstream_fields(request.head, request.framing, PEER)
        assert b"Via: 2.0 plexigate\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in written
        assert b"Sec-WebSocket-Key: %b\r\n" % KEY in written

    def test_each_handshake_has_a_fresh_key(self) -> None:
        nonces = iter([b"a" * 16, b"b" * 16])
        reader = RequestFieldReader(lambda: next(nonces))
        first, second = (reader.read(WEBSOCKET, WIDE, is_ended=False).framing.websocket for _ in range(2))
        assert first is not None
        assert second is not None
        assert first.key != second.key

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            (changed(WEBSOCKET, method=b"GET"), ":protocol with a method other than CONNECT"),
            (changed(WEBSOCKET, scheme=None), "request without :scheme or :path"),
            (changed(WEBSOCKET, path=None), "request without :scheme or :path"),
            (changed(WEBSOCKET, path=b"*"), ":path is not a path"),
            ([*WEBSOCKET, (b"content-length", b"0")], "content-length of a WebSocket"),
            ([*WEBSOCKET, (b"upgrade", b"websocket")], "field about the connection"),
            # RFC 9113 8.5
            (changed(WEBSOCKET, protocol=None), "CONNECT with other pseudo-fields than :authority"),
            ([WEBSOCKET[0]], "CONNECT with other pseudo-fields than :authority"),
        ],
    )
    def test_malformed_connect_is_refused(self, fields: list[Header], reason: str) -> None:
        assert malformed(fields, is_ended=False) == reason

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ([(b":method", b"CONNECT"), (b":authority", b"example.org:443")], (501, "method not supported")),
            # RFC 9220 section 3
            (changed(WEBSOCKET, protocol=b"connect-udp"), (501, "protocol not supported")),
            (changed(WEBSOCKET, scheme=b"http"), (421, "http URI over TLS")),
            (changed(WEBSOCKET, authority=None), (400, "request without :authority")),
            # not 426: HTTP/2 has no Upgrade field, which RFC 9110 15.5.22 wants
            ([*WEBSOCKET[:-1], (b"sec-websocket-version", b"8")], (400, "WebSocket version is not 13")),
            (WEBSOCKET[:-1], (400, "WebSocket handshake without exactly one key and one version")),
            ([*WEBSOCKET, (b"sec-websocket-protocol", b"a b")], (400, "invalid Sec-WebSocket-Protocol")),
            ([*WEBSOCKET, (b"expect", b"x")], (417, "expectation other than 100-continue")),
        ],
    )
    def test_handshake_that_is_not_served_gets_a_status(self, fields: list[Header], expected: tuple[int, str]) -> None:
        assert refused(fields, is_ended=False) == expected

    def test_handshake_that_ends_its_stream_is_refused(self) -> None:
        assert refused(WEBSOCKET) == (400, "WebSocket handshake that ends its stream")

    def test_name_of_the_protocol_has_no_case(self) -> None:
        """RFC 9110 7.8."""
        assert understood(changed(WEBSOCKET, protocol=b"WebSocket"), is_ended=False).framing.websocket is not None


class TestMemory:
    """A request means the same, whatever came before it on the connection."""

    def test_requests_that_differ_in_their_path_share_a_section(self) -> None:
        reader = RequestFieldReader(lambda: NONCE)
        first = reader.read([*GET, (b"accept", b"*/*")], WIDE, is_ended=True)
        second = reader.read([*changed(GET, path=b"/x"), (b"accept", b"*/*")], WIDE, is_ended=True)
        assert first.section is not None
        assert second.section is first.section
        assert second.head.headers is first.head.headers
        assert (second.head.target, second.framing.target) == (b"/x", b"/x")
        assert facts(second.framing) == facts(first.framing.with_target(b"/x", first.framing.fields))

    @pytest.mark.parametrize(
        ("fields", "is_ended", "limits"),
        [
            (GET, False, WIDE),
            (GET, True, LIMITS),
            ([*GET, (b"a", b"b")], True, WIDE),
            (changed(GET, method=b"HEAD"), True, WIDE),
            (changed(GET, authority=b"example.org"), True, WIDE),
            ([GET[0], GET[1], GET[3], GET[2]], True, WIDE),
        ],
    )
    def test_whatever_else_differs_is_another_section(
        self,
        fields: list[Header],
        is_ended: bool,  # noqa: FBT001 - a parameter
        limits: HeadLimits,
    ) -> None:
        reader = RequestFieldReader(lambda: NONCE)
        first = reader.read(GET, WIDE, is_ended=True)
        assert reader.read(fields, limits, is_ended=is_ended).section is not first.section

    def test_another_name_in_the_place_of_the_path_is_no_path(self) -> None:
        reader = RequestFieldReader(lambda: NONCE)
        reader.read(GET, WIDE, is_ended=True)
        with pytest.raises(StreamFault):
            reader.read([*GET[:3], (b":status", b"/x")], WIDE, is_ended=True)

    def test_lines_at_the_beginning_are_joined_once(self) -> None:
        reader = RequestFieldReader(lambda: NONCE)
        usual = [(b"x-%d" % number, b"value") for number in range(5)]
        kept = []
        for values in (b"00000", b"00001", b"00002", b"10002", b"10003", b"10013", b"10014"):
            sent = [(name, value + b"%c" % octet) for (name, value), octet in zip(usual, values, strict=True)]
            request = reader.read([*GET, *sent], WIDE, is_ended=True)
            fields = request.framing.fields
            assert fields.lines == b"".join([line.line for line in fields.sent if line.goes_on])
            assert request.section is not None
            kept.append(len(request.section.beginning.lines))
        # with that of the host, as soon as two requests in a row have them
        assert kept == [0, 5, 5, 0, 5, 4, 4]

    def test_long_sections_and_handshakes_are_not_remembered(self) -> None:
        reader = RequestFieldReader(lambda: NONCE)
        assert reader.read([*GET, (b"a", b"b" * 5_000)], WIDE, is_ended=True).section is None
        assert reader.read(WEBSOCKET, WIDE, is_ended=False).section is None


# -- whatever the fields are

NAMES = st.sampled_from(
    b"accept cookie host content-length expect te transfer-encoding connection upgrade x-forwarded-for x_forwarded_for"
    b" forwarded x-request-id sec-websocket-version sec-websocket-key sec-websocket-protocol priority via trailer"
    b" X-Upper :path :status".split()
) | st.binary(max_size=6)
VALUES = st.sampled_from(
    [
        b"",
        b"example.org",
        b"example.org:443",
        b"5",
        b"0",
        b"13",
        b"trailers",
        b"100-continue",
        b"chunked",
        b"a=b",
        b" x",
    ]
) | st.binary(max_size=12)
PATHS = st.sampled_from(
    [b"/", b"/a?b", b"/a%2fb", b"/../a", b"/a#b", b"*", b"", b"/a\r\nb", b"/\xff", b"//x", b"https://example.org/"]
) | st.text("/.%2eE?;:@ \t\\", max_size=8).map(lambda text: b"/" + text.encode())
PSEUDO = st.fixed_dictionaries(
    {},
    optional={
        b":method": st.sampled_from(
            [b"GET", b"GET", b"POST", b"HEAD", b"OPTIONS", b"CONNECT", b"TRACE", b"get", b"G T"]
        ),
        b":scheme": st.sampled_from([b"https", b"https", b"http", b"HTTPS", b"wss", b""]),
        b":authority": st.sampled_from([b"example.org", b"Example.org:443", b"[::1]", b"127.1", b"a@b", b"", b"a b"]),
        b":path": PATHS,
        b":protocol": st.sampled_from([b"websocket", b"connect-udp"]),
    },
).map(lambda pseudo: list(pseudo.items()))
USUAL = st.tuples(st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS"]), PATHS).map(
    lambda pair: [(b":method", pair[0]), (b":scheme", b"https"), (b":authority", b"Example.org"), (b":path", pair[1])]
)
LISTS = st.tuples(USUAL | PSEUDO | st.just(WEBSOCKET), st.lists(st.tuples(NAMES, VALUES), max_size=6)).map(
    lambda parts: [*parts[0], *parts[1]]
)


def outcome(reader: RequestFieldReader, fields: list[Header], *, is_ended: bool) -> StreamRequest | str:
    try:
        return reader.read(fields, WIDE, is_ended=is_ended)
    except (StreamFault, MalformedMessage) as error:
        return str(error)


@given(LISTS, st.booleans())
@example(fields=[*GET, (b"cookie", b"a"), (b"cookie", b"b")], is_ended=True)
@example(fields=WEBSOCKET, is_ended=False)
def test_accepted_request_is_the_same_to_a_reader_of_http_1_1(fields: list[Header], is_ended: bool) -> None:  # noqa: FBT001
    request = outcome(RequestFieldReader(lambda: NONCE), fields, is_ended=is_ended)
    if isinstance(request, str):
        return
    framing = request.framing
    raw = upstream_head(request.head, framing, upstream_fields(request.head, framing, PEER), b"id-1")
    head = parse_request_head(raw, WIDE)
    read = request_framing(head)
    assert (head.method, read.target, read.host) == (request.head.method, framing.target, framing.host)
    assert (read.body, read.length, read.websocket) == (framing.body, framing.length, framing.websocket)
    assert (read.host_field, read.expects_continue) == (framing.host_field, framing.expects_continue)
    forwarded = framing.fields.forwarded
    assert read.fields.forwarded[: len(forwarded)] == forwarded
    assert [name for name, _ in read.fields.forwarded[len(forwarded) :]] == [b"Via"], "nothing but ours is added"


@given(LISTS, st.booleans())
def test_what_http_1_1_refuses_is_refused(fields: list[Header], is_ended: bool) -> None:  # noqa: FBT001 - a parameter
    """Written as a client of HTTP/1.1 would, an accepted request is one of HTTP/1.1."""
    request = outcome(RequestFieldReader(lambda: NONCE), fields, is_ended=is_ended)
    if isinstance(request, str):
        return
    pseudo = dict(fields)
    lines = [b"%b: %b\r\n" % (name, value) for name, value in fields if not name.startswith((b":", b"host"))]
    start = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (request.head.method, pseudo[b":path"], pseudo[b":authority"])
    request_framing(parse_request_head(start + b"".join(lines) + b"\r\n", WIDE))


POOL: list[Header] = [
    *((b":protocol", b"websocket"), (b"accept", b"*/*"), (b"cookie", b"a"), (b"cookie", b"b"), (b"cookie", b"")),
    *((b"host", b"example.org"), (b"host", b"a.example"), (b"content-length", b"0"), (b"content-length", b"5")),
    *((b"content-length", b"17"), (b"content-length", b"4x")),
    *((b"te", b"trailers"), (b"te", b"gzip"), (b"via", b"1.1 a"), (b"via", b"1.1 b"), (b"expect", b"100-continue")),
    *((b"sec-websocket-key", b"x"), (b"forwarded", b"for=a"), (b"x-a", b"1"), (b"x-a", b"2"), (b"X-a", b"1")),
]


@pytest.mark.parametrize("is_ended", [True, False])
def test_a_request_means_the_same_behind_one_with_other_fields(is_ended: bool) -> None:  # noqa: FBT001 - a parameter
    some = [[], *([field] for field in POOL), [POOL[2], POOL[3]]]
    for before in some:
        for after in some:
            reader = RequestFieldReader(lambda: NONCE)
            outcome(reader, [*GET, *before], is_ended=is_ended)
            is_as_alone(reader, [*GET, *after], is_ended=is_ended)
            is_as_alone(reader, [*changed(GET, method=b"POST"), *after], is_ended=is_ended)


@pytest.mark.parametrize("count", range(len(GET)))
def test_a_request_that_lacks_fields_is_refused_behind_a_whole_one_too(count: int) -> None:
    reader = RequestFieldReader(lambda: NONCE)
    outcome(reader, GET, is_ended=True)
    is_as_alone(reader, GET[:count], is_ended=True)


def is_as_alone(reader: RequestFieldReader, fields: list[Header], *, is_ended: bool) -> None:
    with_memory = outcome(reader, fields, is_ended=is_ended)
    without = outcome(RequestFieldReader(lambda: NONCE), fields, is_ended=is_ended)
    if isinstance(with_memory, str) or isinstance(without, str):
        assert with_memory == without
    else:
        assert facts((with_memory.head, with_memory.framing)) == facts((without.head, without.framing))


@given(st.lists(st.tuples(LISTS, st.booleans()), max_size=6))
def test_a_request_means_the_same_whatever_came_before_it(lists: list[tuple[list[Header], bool]]) -> None:
    reader = RequestFieldReader(lambda: NONCE)
    for fields, is_ended in lists:
        for path in (b"/x", b"/../x", b"*", b"/x ", b"/" + b"x" * 9_000):
            for one in (fields, [(name, path if name == b":path" else value) for name, value in fields]):
                is_as_alone(reader, one, is_ended=is_ended)


def test_marks_belong_to_their_request() -> None:
    reader, marked = RequestFieldReader(lambda: NONCE), frozenset({b"x-key"})
    fields = [*GET, (b"x-key", b"1")]
    first = reader.read(fields, WIDE, marked, is_ended=True)
    second = reader.read(changed(fields, path=b"/other"), WIDE, frozenset(marked), is_ended=True)
    assert (first.head.never_indexed, second.head.never_indexed) == (marked, marked)
    assert second.section is first.section
    third = reader.read(fields, WIDE, is_ended=True)
    assert third.head.never_indexed == frozenset()
    assert third.section is not first.section
