"""Requests of HTTP/3 that must not become requests of HTTP/1.1: the cases of HTTP/2, and what QPACK makes of few octets.

libnghttp3 judges fields before we do, and leaves out what it does not like: a request that it changed is refused as a whole.
"""

import json
import random
from contextlib import ExitStack

import pytest

from proxy.quic.availability import unavailable
from tests.hostile import http2_frames as h2
from tests.hostile import http3_frames as h3
from tests.hostile.bystanders import bystanders
from tests.hostile.http2_client import Stream
from tests.hostile.malformed import (
    BODIES,
    DROPPED,
    LENGTHS,
    MALFORMED,
    REFUSED,
    STRIPPED,
    TRAILERS,
    WEBSOCKETS,
    WITH_BODY,
    X,
)
from tests.hostile.scene import SMUGGLED, Scene, cases
from tests.waiting import until_found

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

MEGABYTE = 1_000_000


def is_malformed(answer: Stream) -> bool:
    """Whether its stream was reset as RFC 9114 section 4.1.2 says."""
    return (answer.status, answer.reset, answer.heads) == (0, h3.MESSAGE_ERROR, [])


def lines(scene: Scene, path: str) -> list[dict[str, object]]:
    """What the access log says of the requests for a path by HTTP/3."""
    entries = [json.loads(line) for line in scene.proxy.output if line.startswith("{") and '"protocol":"h3"' in line]
    return [one for one in entries if one.get("path") == path]


def test_malformed_requests_reset_their_streams_and_reach_no_server(scene: Scene) -> None:
    """Each beside an honest one, on a few connections."""
    cases_of = list(MALFORMED.items())
    for begin in range(0, len(cases_of), 60):
        with scene.connect_http3() as client:
            client.open()
            for name, fields in cases_of[begin : begin + 60]:
                assert is_malformed(client.ask(h3.headers(fields))), name
                assert client.ask(h3.get(b"/honest")).status == 200
    scene.settle()
    assert scene.targets == ["/honest"] * len(cases_of)


@pytest.mark.parametrize(
    "more",
    [[(b"Upper", b"x")], [X, (b"x", b"a\r\nb")], [(b"transfer-encoding", b"chunked")]],
    ids=["name", "left_out_by_the_library", "refused_by_the_library"],
)
def test_a_malformed_request_has_a_line_in_the_access_log(scene: Scene, more: list[tuple[bytes, bytes]]) -> None:
    path = b"/logged/" + more[-1][0]
    with scene.connect_http3() as client:
        client.open()
        assert is_malformed(client.ask(h3.get(path, *more)))
        (line,) = until_found(lambda: lines(scene, path.decode()))
    assert (line["status"], line["method"], line["host"]) == (400, "GET", "chat.test")
    assert str(line["error"]).startswith("malformed_request: ")


def test_what_http_1_refuses_http_3_refuses(scene: Scene) -> None:
    """With the same status, or as malformed already."""
    with scene.connect_http3() as client:
        client.open()
        for name, (fields, status) in REFUSED.items():
            answer = client.ask(h3.headers(fields))
            assert (answer.status, answer.reset) == (status, None) or (status == 400 and is_malformed(answer)), name
    scene.settle()
    assert scene.begun == []


def test_names_that_only_the_proxy_may_say_are_removed(scene: Scene) -> None:
    with scene.connect_http3() as client:
        client.open()
        assert client.ask(h3.get(b"/x", *[(name.encode(), b"6.6.6.6") for name in STRIPPED])).status == 200
    assert "6.6.6.6" not in repr(scene.only_request())


def test_crumbs_of_a_cookie_are_one_line(scene: Scene) -> None:
    with scene.connect_http3() as client:
        client.open()
        assert client.ask(h3.get(b"/x", (b"cookie", b"a=b"), X, (b"cookie", b""), (b"cookie", b"c=d"))).status == 200
    assert scene.only_request().values("Cookie") == ["a=b; c=d"]


def test_fields_that_come_again_are_those_that_were_sent(scene: Scene) -> None:
    """Of each request most are those of the one before: some differ, are missing or are new."""
    chance = random.Random(9_204)  # noqa: S311 - repeatable
    names, fields = [b"x-a", b"x-b", b"x-c", b"x-d"], [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-c", b"3")] * 2
    sent = []
    with scene.connect_http3() as client:
        client.open()
        for _ in range(80):
            for _ in range(chance.randrange(4)):
                place = chance.randrange(len(fields) + 1)
                new = [(chance.choice(names), b"%d" % chance.randrange(3)) for _ in range(chance.randrange(4))]
                fields[place : place + chance.randrange(4)] = new
            assert client.ask(h3.get(b"/again", *fields)).status == 200
            sent.append(list(fields))
    scene.settle()
    assert [[pair for pair in one.message.headers if pair[0] in names] for one in scene.recorder.complete] == sent


def test_extended_connects_that_open_no_websocket_reach_no_server(scene: Scene) -> None:
    with scene.connect_http3() as client:
        client.open()
        for name, (fields, status, reset) in WEBSOCKETS.items():
            answer = client.ask(h3.headers(fields) + h3.data(SMUGGLED), ends=False)
            assert answer.status == status if reset is None else is_malformed(answer), name
    scene.settle()
    assert scene.begun == []


def test_bodies_of_malformed_requests_go_nowhere(scene: Scene) -> None:
    with scene.connect_http3() as client:
        client.open()
        for name, fields in WITH_BODY.items():
            assert is_malformed(client.ask(h3.headers(fields) + h3.data(b"0\r\n\r\n" + SMUGGLED))), name
    scene.settle()
    assert scene.begun == []


def test_lengths_that_are_no_number_are_refused(scene: Scene) -> None:
    with scene.connect_http3() as client:
        client.open()
        for name, values in LENGTHS.items():
            asked = h3.post(b"/x", *[(b"content-length", value) for value in values]) + h3.data(b"abc")
            assert is_malformed(client.ask(asked)), name
    scene.settle()
    assert scene.begun == []


@pytest.mark.parametrize("path", [b"/x", b"/streamed/x"], ids=["gathered", "streamed"])
def test_a_body_that_is_not_as_long_as_it_says_is_no_whole_request(scene: Scene, path: bytes) -> None:
    """And it ends its stream, not the connection with the streams of others."""
    with scene.connect_http3() as client:
        client.open()
        for name, (length, pieces) in BODIES.items():
            body = b"".join(h3.data(piece) for piece in pieces)
            assert is_malformed(client.ask(h3.post(path, length) + body)), name
            assert client.ask(h3.get(b"/honest")).status == 200
    scene.settle()
    assert scene.targets == ["/honest"] * len(BODIES)


@pytest.mark.parametrize("path", [b"/x", b"/streamed/x"], ids=["gathered", "streamed"])
def test_malformed_trailers_make_no_whole_request(scene: Scene, path: bytes) -> None:
    with scene.connect_http3() as client:
        client.open()
        for name, trailers in TRAILERS.items():
            assert is_malformed(client.ask(h3.post(path) + h3.data(b"abc") + h3.headers(trailers))), name
    scene.settle()
    assert scene.targets == []


@pytest.mark.parametrize("path", [b"/x", b"/streamed/x"], ids=["gathered", "streamed"])
def test_trailers_that_look_like_fields_of_a_head_go_nowhere(scene: Scene, path: bytes) -> None:
    with scene.connect_http3() as client:
        client.open()
        asked = h3.post(path) + h3.data(b"abc")
        assert is_malformed(client.ask(asked + h3.headers(DROPPED))), "for its length, which belongs to a head"
        dropped = [field for field in DROPPED if field[0] != b"content-length"]
        assert client.ask(asked + h3.headers(dropped)).status == 200
    scene.settle()
    (seen,) = [request.message for request in scene.recorder.complete]
    assert (seen.body, seen.trailers) == (b"abc", [])
    assert [seen.values(name) for name in ("Host", "Authorization")] == [["chat.test"], []]


def test_fields_in_any_cut_are_counted_alike(scene: Scene) -> None:
    """Each octet in a packet of its own: no field is missed, and none is counted twice."""
    long = [(b"x-%d" % number, b"y" * number * 40) for number in range(8)]
    asked = h3.post(b"/x", *long) + h3.frame(h3.GREASE, b"") + h3.data(b"ab") + h3.headers([(b"z" * 250, b"")])
    with scene.connect_http3() as client:
        client.open()
        number = client.begin()
        for octet in asked:
            client.send(number, bytes([octet]))
            client.quic.send_due()
        client.send(number, b"", ends=True)
        assert client.answer(number).status == 200
    assert scene.only_request().values("x-7") == ["y" * 280]


def test_a_field_that_the_library_does_not_read_is_too_large_and_ends_no_connection(scene: Scene) -> None:
    """Names of more than 256 octets, and values of more than 65,536."""
    with scene.connect_http3() as client:
        client.open()
        for name, value in ((b"x" * 300, b"y"), (b"x" * 70_000, b"y"), (b"x", b"y" * 70_000)):
            assert client.ask(h3.get(b"/x", (name, value))).status == 431
            assert client.ask(h3.post(b"/x", (name, value)) + h3.data(b"z" * 100_000), ends=False).status == 431
            assert client.ask(h3.get(b"/honest")).status == 200
        assert is_malformed(client.ask(h3.post(b"/x") + h3.headers([(b"x" * 300, b"y")])))
        assert client.ask(h3.get(b"/honest")).status == 200
    scene.settle()
    assert scene.targets == ["/honest"] * 4


# -- QPACK

_BASE = h3.section(h2.fields(b"/x"))[2:]
STREAMS = 64


def insert(name: bytes, value: bytes) -> bytes:
    """A new entry of the dynamic table, by the encoder stream (RFC 9204 section 4.3.3)."""
    return h2.number(len(name), 5, 0x40) + name + h2.text(value)


LARGE = insert(b"a", b"v" * (4_096 - 32 - 1))
NEWEST = b"\x80"
"""The entry that was inserted last, in a section whose base is behind it."""
BOMBS = {
    "large_field_once": (LARGE, NEWEST),
    "large_field_seven_times": (LARGE, NEWEST * 7),
    "large_field_a_thousand_times": (LARGE, NEWEST * 1_000),
    "empty_field_12000_times": (insert(b"a", b""), NEWEST * 12_000),
    "large_crumbs": (insert(b"cookie", b"v" * 4_000), NEWEST * 4),
    "empty_crumbs_12000": (insert(b"cookie", b""), NEWEST * 12_000),
    "zero_length_values": (insert(b"a", b""), b"\x21a\0" * 4_000),
    "fields_96": (insert(b"a", b""), b"\x21a\x01b" * 92),
}


@cases(BOMBS)
@pytest.mark.paced
def test_fields_take_no_more_memory_than_their_octets_pay_for(terse: Scene, case: tuple[bytes, bytes]) -> None:
    scene = terse
    entry, rest = case
    asked = h3.frame(h3.HEADERS, b"\2\0" + _BASE + rest)
    connections = 2
    for _ in range(connections * STREAMS * 2):
        scene.recorder.answer_next()
    with bystanders(scene) as them, ExitStack() as stack:
        clients = [stack.enter_context(scene.connect_http3()).open() for _ in range(connections)]
        scene.proxy.forget_peak()
        used = scene.proxy.usage()
        for client in clients:
            client.begin_one_way(h3.ENCODER, h2.number(4_096, 5, 0x20) + entry)
            client.quic.sync()
            for _ in range(STREAMS):
                client.begin(asked, ends=True)
            client.quic.sync()
        them.go_on()
        now = scene.proxy.usage()
        allowance = 65_536 + STREAMS * (20_000 + 10 * len(asked))
        assert now.peak_bytes - used.peak_bytes < connections * allowance
        assert now.cpu_seconds - used.cpu_seconds < 1.0
    scene.settle()
