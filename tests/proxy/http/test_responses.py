"""The memory of a server's field lines: it never changes what a response means."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.fields import Treatment, classify_in_response
from proxy.http.framing import BodyKind, ResponseFraming, response_framing
from proxy.http.head import HeadLimits, MalformedMessage, parse_response_head, parse_status_line
from proxy.http.line_memory import LEAST_LINES
from proxy.http.responses import Response, ResponseReader
from proxy.http.websocket.upgrade import WebSocketOffer, accept_value
from tests.facts import facts
from tests.mutated_heads import IN_STATUS_LINES, ODD_IN_RESPONSES, USUAL_IN_RESPONSES, heads

LIMITS = HeadLimits(target_bytes=200, header_count=6, header_bytes=300)
NARROW = HeadLimits(target_bytes=100, header_count=12, header_bytes=300)

LINES = st.sampled_from(
    [
        b"Server: chat",
        b"server:chat  ",
        b"Date: Wed, 25 Nov 2026 02:05:00 GMT",
        b"Content-Length: 5",
        b"Content-Length: 6",
        b"Transfer-Encoding: chunked",
        b"Connection: close, X-Private",
        b"X-Private: 1",
        b"Set-Cookie: a=b",
        b"X-Long: " + b"y" * 150,
        b"X-Longest: " + b"y" * 300,
        b" folded",
        b": nameless",
        b"no colon",
        b"X-Bad: a\x00b",
        b"X-Bare: a\nb",
        b"X-Bare: a\rb",
        b"X Y: z",
    ]
)
STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0 404 ", b"HTTP/1.1 099 No", b"HTTP/1.1 200 O\nK", b"nonsense"]
)


METHODS = st.sampled_from([b"GET", b"HEAD"])


def understood(raw: bytes, method: bytes, reader: ResponseReader) -> object:
    """What a head comes to, a refusal included: its status, whatever the sentence."""
    try:
        response = reader.read(raw, LIMITS, method)
    except MalformedMessage as error:
        return error.status
    framing = response.framing
    what = (facts(framing.head), framing.body, framing.length, framing.keep_alive, framing.special, framing.named)
    return what, response.forwarded, response.noted, response.fields


@given(st.lists(st.tuples(STATUS_LINES, METHODS, st.lists(LINES, max_size=8)), max_size=12))
def test_a_response_means_the_same_whatever_came_before_it(heads: list[tuple[bytes, bytes, list[bytes]]]) -> None:
    reader = ResponseReader()
    for status_line, method, lines in heads:
        raw = b"\r\n".join([status_line, *lines]) + b"\r\n\r\n"
        assert understood(raw, method, reader) == understood(raw, method, ResponseReader())


@pytest.mark.parametrize("last", [b"X-Last: 2", b"no colon", b"", b"X-Bad: a\x00b"])
def test_a_head_means_the_same_behind_heads_that_begin_alike(last: bytes) -> None:
    reader = ResponseReader()
    beginning = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-Lasting-%d: 1\r\n" % number for number in range(LEAST_LINES))
    for number in range(3):
        reader.read(beginning + b"Content-Length: %d\r\n\r\n" % number, LIMITS, b"GET")
    raw = beginning + last + b"\r\n\r\n"
    assert understood(raw, b"GET", reader) == understood(raw, b"GET", ResponseReader())


def judged(reader: ResponseReader, raw: bytes, method: bytes) -> object:
    """All that a head comes to, or the status and the sentence of its refusal."""
    try:
        response = reader.read(raw, NARROW, method)
    except MalformedMessage as error:
        return error.status, error.reason
    return _told(response.framing), response.forwarded, response.noted


def judged_by_llhttp(raw: bytes, method: bytes) -> object:
    try:
        parse_status_line(raw.split(b"\r\n")[0])  # first: its error explains the others
        head = parse_response_head(raw, NARROW)
        fields = list(map(classify_in_response, head.headers))
        special: dict[bytes, list[bytes]] = {}
        for field in fields:
            if field.treatment is Treatment.SPECIAL:
                special.setdefault(field.name, []).append(field.value)
        framing = response_framing(head, special, method, None)
    except MalformedMessage as error:
        return error.status, error.reason
    kept = [field for field in fields if field.name not in framing.named]
    forwarded = [field.line for field in kept if field.treatment in (Treatment.FORWARD, Treatment.NOTE)]
    return _told(framing), forwarded, [field.name for field in kept if field.treatment is Treatment.NOTE]


def _told(framing: ResponseFraming) -> tuple[object, ...]:
    head = framing.head
    start = (head.status, head.reason, head.minor_version)
    return start, framing.body, framing.length, framing.digits, framing.keep_alive, framing.special, framing.named


@pytest.mark.at_length
def test_heads_with_faults_mean_what_llhttp_says_whatever_came_before() -> None:
    accepted = 0
    for seed in range(20):
        reader = ResponseReader()
        for number, raw in enumerate(heads(seed, 500, IN_STATUS_LINES, USUAL_IN_RESPONSES, ODD_IN_RESPONSES)):
            method = (b"GET", b"GET", b"HEAD")[number // 2 % 3]
            expected = judged_by_llhttp(raw, method)
            assert judged(reader, raw, method) == expected, raw
            accepted += isinstance(expected, tuple) and expected[0] != 502
    assert 4_000 < accepted < 6_000, "else it tries one side alone"


def read(*lines: bytes, method: bytes = b"GET", reader: ResponseReader | None = None) -> Response:
    raw = b"\r\n".join([b"HTTP/1.1 200 OK", *lines]) + b"\r\n\r\n"
    return (reader or ResponseReader()).read(raw, LIMITS, method)


def test_fields_are_sent_on_in_their_order_and_as_they_were_named() -> None:
    response = read(b"server:chat  ", b"Content-Length: 5", b"DATE: then", b"Keep-Alive: 5", b"X-Request-Id: 1")
    assert response.forwarded == [b"server: chat\r\n", b"DATE: then\r\n", b"X-Request-Id: 1\r\n"]
    assert response.noted == [b"date", b"x-request-id"]
    assert (response.framing.length, response.framing.special) == (5, {})


def test_fields_that_connection_names_are_not_sent_on() -> None:
    response = read(b"Connection: close, X-Private, Date", b"x-private: 1", b"Date: then", b"Server: chat")
    assert (response.forwarded, response.noted) == ([b"Server: chat\r\n"], [])


def test_every_line_of_a_special_field_counts() -> None:
    with pytest.raises(MalformedMessage):
        read(b"Content-Length: 5", b"Server: chat", b"Content-Length: 6")


def test_what_was_judged_is_not_judged_again_for_the_same_method() -> None:
    reader = ResponseReader()
    first, second = (read(b"Content-Length: 5", b"X: %d" % number, reader=reader) for number in range(2))
    assert first.framing.shape is second.framing.shape
    assert read(b"Content-Length: 5", method=b"HEAD", reader=reader).framing.body is BodyKind.NONE
    assert read(b"Content-Length: 6", reader=reader).framing.length == 6


def test_an_answer_to_a_websocket_offer_is_always_judged() -> None:
    """Two offers have different keys."""
    reader = ResponseReader()
    for key in (b"dGhlIHNhbXBsZSBub25jZQ==", b"AAAAAAAAAAAAAAAAAAAAAA=="):
        accept = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept_value(key)
        raw = b"HTTP/1.1 101 Switching Protocols\r\n" + accept + b"\r\n\r\n"
        assert reader.read(raw, LIMITS, b"GET", WebSocketOffer(key, (), b"")).framing.head.status == 101
        with pytest.raises(MalformedMessage):
            reader.read(raw, LIMITS, b"GET")


@pytest.mark.parametrize("name", [b"Set-Cookie", b"set-cookie", b"WWW-Authenticate", b"Authentication-Info"])
def test_a_secret_is_not_remembered(name: bytes) -> None:
    reader = ResponseReader()
    read(b"Server: chat", name + b": secret=1", reader=reader)
    assert list(reader._known) == [b"Server: chat"]
    assert [field.sent for field in reader._before] == [b"Server: chat", b"\r\n"]


def test_lines_that_change_each_time_do_not_drive_out_those_that_stay() -> None:
    reader, servers = ResponseReader(), set[int]()
    for number in range(3_000):
        changing = (b'ETag: "%d"' % number, b"X-Request-Id: %d" % number, b"X-Other: %d" % number)
        server = (b"Content-Length: %d" % (number + 1), b"Server: chat")
        read(*server[:: number % 2 * 2 - 1], *changing, reader=reader)
        servers |= {id(field) for field in reader._before if field.name == b"server"}
        assert len(reader._known) + len(reader._older) <= 1_024
    assert len(servers) == 1
    names = {line.partition(b":")[0] for line in (*reader._known, *reader._older)}
    assert names == {b"Server", b"X-Other"}
    assert len(reader._framings) == 1


def test_a_line_that_was_seen_before_is_not_read_again_wherever_it_stands() -> None:
    reader = ResponseReader()
    read(b"Server: chat", b"X-Long: " + b"y" * 150, reader=reader)
    first = reader._before
    read(b"X-Long: " + b"y" * 150, b"Server: chat", reader=reader)
    assert reader._before[1] is first[0], "short lines are looked up"
    second = reader._before
    read(b"X-Long: " + b"y" * 150, b"Date: now", reader=reader)
    assert reader._before[0] is second[0], "long ones only at their place in the last head"


def test_the_memory_is_bounded_and_goes_on_after_it_was_emptied() -> None:
    reader = ResponseReader()
    for number in range(3_000):
        response = read(b"Server: chat", b"Content-Length: %d" % number, reader=reader)
        assert (response.forwarded, response.framing.length) == ([b"Server: chat\r\n"], number)
        assert len(reader._known) <= 1_024
        assert len(reader._framings) <= 1_024


def test_many_shapes_are_forgotten_together() -> None:
    reader = ResponseReader()
    for number in range(1_100):
        read(b"Trailer: X-%d" % number, b"Transfer-Encoding: chunked", reader=reader)
        assert len(reader._framings) <= 1_024
    assert len(reader._framings) == 1_100 - 1_024


def test_long_special_fields_are_not_remembered() -> None:
    reader = ResponseReader()
    for _ in range(2):
        read(b"Trailer: " + b"x" * 150, b"Transfer-Encoding: chunked", reader=reader)
        assert not reader._framings


def test_known_lines_are_counted_as_well() -> None:
    reader = ResponseReader()
    assert read(b"X: 1", reader=reader).forwarded == [b"X: 1\r\n"]
    with pytest.raises(MalformedMessage):
        read(*[b"X: 1"] * 7, reader=reader)


def test_a_head_that_is_equal_to_the_last_one_is_not_read_again() -> None:
    reader = ResponseReader()
    read(b"Content-Length: 1", reader=reader)  # its lines become known
    first = read(b"Content-Length: 1", reader=reader)
    assert read(b"Content-Length: 1", reader=reader) is first
    assert read(b"Content-Length: 1", method=b"HEAD", reader=reader) is not first
    assert read(b"Content-Length: 2", reader=reader).framing.length == 2


def test_an_equal_head_is_read_again_under_other_limits() -> None:
    reader = ResponseReader()
    for _ in range(2):
        read(b"Server: chat", b"Content-Length: 1", reader=reader)
    raw = b"HTTP/1.1 200 OK\r\nServer: chat\r\nContent-Length: 1\r\n\r\n"
    with pytest.raises(MalformedMessage, match="too many"):
        reader.read(raw, dataclasses.replace(LIMITS, header_count=1), b"GET")


def test_a_head_with_a_line_that_is_not_remembered_is_read_each_time() -> None:
    reader = ResponseReader()
    lines = (b"Set-Cookie: a=b", b"Content-Length: 1")
    responses = [read(*lines, reader=reader) for _ in range(3)]
    assert len({id(response) for response in responses}) == 3


def test_fields_are_the_lines_with_lower_case_names() -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-Odd:  a: b \r\nSERVER: chat\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n"
    response = ResponseReader().read(raw, LIMITS, b"GET")
    expected = [(b"x-odd", b"a: b"), (b"server", b"chat"), (b"x-empty", b"")]
    assert response.fields == expected
    assert response.rest.fields is response.rest.fields, "they are made once"
    bound = response.with_lines([*response.forwarded, b"Set-Cookie: a=b\r\n"])
    assert bound.fields == [*expected, (b"set-cookie", b"a=b")]


def test_line_that_a_server_repeats_is_the_same_field() -> None:
    """The encoder of HTTP/2 knows it by its identity."""
    reader = ResponseReader()
    raw = b'HTTP/1.1 200 OK\r\nServer: chat\r\nETag: "%d"\r\nContent-Length: 0\r\n\r\n'
    first, second = (reader.read(raw % number, LIMITS, b"GET") for number in (1, 2))
    assert (first.fields[0], first.fields[1]) == ((b"server", b"chat"), (b"etag", b'"1"'))
    assert second.fields[0] is first.fields[0]
    assert second.fields[1] == (b"etag", b'"2"')
