"""Several requests on one connection: answered in order, one at a time, from a bounded queue (RFC 9112 section 9.3.2)."""

import pytest

from tests.hostile.answers import Answer, Moment
from tests.hostile.client import Cut, End
from tests.hostile.scene import ALL_CUTS, CUTS, SMUGGLED, Scene, cases, request

OK = Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@ALL_CUTS
def test_requests_are_answered_in_order(scene: Scene, cut: Cut) -> None:
    targets = [f"/{number}" for number in range(20)]
    responses = scene.served(b"".join(request("GET", target) for target in targets), *[200] * 20, cut=cut)
    assert [response.body.decode() for response in responses] == targets
    assert scene.targets == targets


@pytest.mark.parametrize("cut", [Cut.WHOLE, Cut.RECORDS], ids=["whole", "records"])
def test_a_hundred_and_fifty_requests_at_once_are_answered_in_order(scene: Scene, cut: Cut) -> None:
    targets = [f"/{number}" for number in range(150)]
    scene.served(b"".join(request("GET", target) for target in targets), *[200] * 150, cut=cut)
    assert scene.targets == targets


MIXED = {
    "bodies": (
        request("POST", "/1", "Content-Length: 5", body=b"hello")
        + request("GET", "/2")
        + request("PUT", "/3", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n")
        + request("GET", "/4")
    ),
    "empty_bodies": (
        request("POST", "/1", "Content-Length: 0")
        + request("POST", "/2", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")
        + request("POST", "/3")
        + request("GET", "/4")
    ),
    "empty_lines_between": b"\r\n".join(request("GET", f"/{number}") for number in range(1, 5)),
    "trailers": (
        request("POST", "/1", "Transfer-Encoding: chunked", body=b"0\r\nX: y\r\n\r\n")
        + request("GET", "/2")
        + request("GET", "/3")
        + request("DELETE", "/4", "Content-Length: 2", body=b"\r\n")
    ),
    "requests_as_bodies": b"".join(
        request("POST", f"/{number}", f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED) for number in range(1, 5)
    ),
}


@ALL_CUTS
@cases(MIXED)
def test_every_request_ends_where_the_next_one_begins(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.served(case, 200, 200, 200, 200, cut=cut)
    assert scene.targets == ["/1", "/2", "/3", "/4"]


@CUTS
def test_a_response_to_head_has_no_body_that_the_next_one_could_be_taken_for(scene: Scene, cut: Cut) -> None:
    with scene.connect() as client:
        client.send(request("HEAD", "/1") + request("GET", "/2"), cut)
        head, get = client.read_response("HEAD"), client.read_response()
    assert (head.values("Content-Length"), head.body, get.body) == (["2"], b"", b"/2")
    scene.settle()
    assert scene.targets == ["/1", "/2"]


@CUTS
def test_one_request_at_a_time_reaches_an_upstream(scene: Scene, cut: Cut) -> None:
    """The recorder fails on any byte behind a request that it has not answered, and no other connection is used."""
    scene.recorder.answer_next()
    with scene.connect() as client:
        client.send(request("GET", "/1") + request("GET", "/2"), cut)
        scene.recorder.wait_for(lambda recorder: recorder.complete != [])
        scene.settle()
        assert scene.begun == ["/1"]
        scene.recorder.say(OK)
        assert [client.read_response().body for _ in range(2)] == [b"ok", b"/2"]
    scene.settle()


LAST = {
    "malformed": (b"GET / HTTP/1.1\r\nHost: chat.test\r\nX : y\r\n\r\n", 400),
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400),
    "both_framings": (request("POST", "/x", "Content-Length: 5", "Transfer-Encoding: chunked"), 400),
    "unknown_method": (request("BREW", "/x"), 501),
    "misdirected_with_body": (request("POST", "/x", "Content-Length: 5", host="other.test", body=b"hel"), 421),
    "old_version": (request().replace(b"/1.1", b"/0.9"), 505),
}


@CUTS
@cases(LAST)
def test_what_is_behind_a_refused_request_is_not_read(scene: Scene, case: tuple[bytes, int], cut: Cut) -> None:
    raw, status = case
    with scene.connect() as client:
        client.send(request("GET", "/1") + request("GET", "/2") + raw + SMUGGLED, cut)
        assert [client.read_response().status for _ in range(3)] == [200, 200, status]
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.targets == scene.begun == ["/1", "/2"]


@CUTS
def test_a_refusal_waits_for_the_answers_before_it(scene: Scene, cut: Cut) -> None:
    scene.recorder.answer_next()
    with scene.connect() as client:
        client.send(request("GET", "/1") + request("BREW", "/2") + SMUGGLED, cut)
        scene.recorder.wait_for(lambda recorder: recorder.complete != [])
        scene.recorder.say(OK)
        assert [client.read_response().status for _ in range(2)] == [200, 501]
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.begun == ["/1"]


@CUTS
def test_a_half_closed_client_gets_all_of_its_answers(scene: Scene, cut: Cut) -> None:
    scene.recorder.answer_next()
    with scene.connect() as client:
        client.send(request("GET", "/1") + request("GET", "/2") + request("GET", "/3"), cut)
        client.shut_down()
        scene.recorder.wait_for(lambda recorder: recorder.complete != [])
        scene.recorder.say(OK)
        assert [client.read_response().body for _ in range(3)] == [b"ok", b"/2", b"/3"]
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.targets == ["/1", "/2", "/3"]


def test_a_client_that_goes_away_leaves_nothing_to_be_answered(scene: Scene) -> None:
    scene.recorder.answer_next()
    with scene.connect() as client:
        client.send(request("GET", "/1") + request("GET", "/2") + request("GET", "/3"))
        scene.recorder.wait_for(lambda recorder: recorder.complete != [])
        client.reset()
    scene.recorder.wait_for(lambda recorder: [one.target for one in recorder.abandoned] == ["/1"])
    scene.settle()
    assert scene.begun == ["/1"]


def test_the_queue_is_bounded(narrow: Scene) -> None:
    """Behind a request that is not answered the proxy stops to read, so that the client's bytes pile up on its own side."""
    narrow.recorder.answer_next()
    with narrow.connect() as client:
        client.send(request("GET", "/1", "Connection: close"))
        narrow.recorder.wait_for(lambda recorder: recorder.complete != [])
        narrow.proxy.forget_peak()
        before = narrow.proxy.usage()
        assert client.send_until_blocked(request("GET", "/2") * 500_000)
        assert narrow.proxy.usage().peak_bytes - before.peak_bytes < 1_000_000
        narrow.recorder.say(OK)
        assert client.read_response().body == b"ok"
    narrow.settle()
    assert narrow.begun == ["/1"]


def test_2400_requests_in_one_segment_are_answered_within_bounds(scene: Scene) -> None:
    raw = b"GET / HTTP/1.1\r\nHost:chat.test\r\n\r\n" * 2_400
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    with scene.connect() as client:
        client.send(raw)
        for _ in range(2_400):
            assert client.read_response().status == 200
    after = scene.proxy.usage()
    assert after.peak_bytes - before.peak_bytes < 2_000_000
    assert after.cpu_seconds - before.cpu_seconds < 5
    scene.settle()
    assert len(scene.targets) == 2_400


def test_2400_refused_requests_in_one_segment_are_answered_once(scene: Scene) -> None:
    with scene.connect() as client:
        client.send(b"BREW / HTTP/1.1\r\nHost:chat.test\r\n\r\n" * 2_400)
        assert client.read_response().status == 501
        client.read_to_end()
    scene.settle()
    assert scene.begun == []


# -- a connection that is used again has forgotten everything


@ALL_CUTS
def test_nothing_of_a_request_is_left_for_the_next_one(scene: Scene, cut: Cut) -> None:
    first = request(
        "POST", "/1", "Transfer-Encoding: chunked", "X-Secret: a", "Cookie: b=c", body=b"3\r\nabc\r\n0\r\nT: u\r\n\r\n"
    )
    scene.served(first + request("GET", "/2"), 200, 200, cut=cut)
    second = scene.recorder.complete[1].message
    assert (second.values("X-Secret"), second.values("Cookie"), second.body) == ([], [], b"")
    assert second.values("X-Request-Id") != scene.recorder.complete[0].message.values("X-Request-Id")


@CUTS
def test_a_body_that_is_still_sent_is_no_request_for_another_client(scene: Scene, cut: Cut) -> None:
    """The upstream answers early and keeps its connection; the next client must not get the rest of the first one's body."""
    scene.recorder.answer_next(Answer(OK.data, Moment.HEAD))
    with scene.connect() as first, scene.connect() as second:
        lines = (f"Content-Length: {len(SMUGGLED)}", "Expect: 100-continue")
        first.send(request("POST", "/streamed", *lines, body=SMUGGLED[:10]), cut)
        assert first.read_response().status == 200
        second.send(request("GET", "/2"))
        assert second.read_response().body == b"/2"
        first.send(SMUGGLED[10:], cut)
        first.read_to_end()
    scene.settle()
    assert scene.targets == ["/2"]
