"""Who waits for whom: expectations, interim responses, and answers to requests that are not complete.

RFC 9110 sections 10.1.1 and 15.2. A server that answers a request before its body has come, and a proxy that takes the body for
the next request ("0.CL"), are one of the ways to smuggle.
"""

import pytest

from tests.hostile.answers import Answer, Moment, Then
from tests.hostile.client import Cut, End
from tests.hostile.scene import CUTS, SMUGGLED, Scene, cases, request

CONTINUE = Answer(b"HTTP/1.1 100 Continue\r\n\r\n", at=Moment.HEAD)
EARLY_HINTS = Answer(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n", at=Moment.HEAD)
OK = Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
EARLY = Answer(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno", at=Moment.HEAD)


STREAMED = "/streamed/outer"
"""Where a request whose body is chunked, or that waits for 100, continues with its head."""


def post(*lines: str, body: bytes = b"") -> bytes:
    """A request with a body."""
    return request("POST", "/outer", *lines, body=body)


def streamed(*lines: str, body: bytes = b"") -> bytes:
    """One whose upstream sees it before its body has come."""
    return request("POST", STREAMED, *lines, body=body)


EXPECTATIONS = {
    "unknown": "y",
    "word_before": "y 100-continue",
    "word_behind": "100-continue y",
    "list_with_unknown": "100-continue, y",
    "list_of_itself": "100-continue, 100-continue",
    "parameter": "100-continue;q=1",
    "quoted": '"100-continue"',
    "other_number": "101-continue",
    "longer": "100-continued",
    "shorter": "100-continu",
    "empty": "",
    "underscore": "100_continue",
    "number": "100",
    "high": "100-continue\xa0",
}


@CUTS
@cases(EXPECTATIONS)
def test_any_other_expectation_is_refused(scene: Scene, case: str, cut: Cut) -> None:
    body = b"0\r\n\r\n" + SMUGGLED
    scene.refused(post(f"Expect: {case}", f"Content-Length: {len(body)}", body=body), 417, 400, cut=cut)


@CUTS
@cases(
    {
        "folded": ("Expect:", " 100-continue"),
        "folded_behind": ("Expect: 100-continue", " y"),
        "twice": ("Expect: 100-continue", "Expect: 100-continue"),
        "return": ("Expect: \r100-continue",),
        "vertical_tab": ("Expect: \x0b100-continue",),
    }
)
def test_an_expectation_in_an_odd_shape_is_refused(scene: Scene, case: tuple[str, ...], cut: Cut) -> None:
    scene.refused(post(*case, f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED), 400, 417, cut=cut)


@pytest.mark.parametrize("value", ["100-continue", "100-Continue", " 100-CONTINUE\t"])
@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_a_client_that_waits_is_told_to_go_on_by_its_upstream(scene: Scene, value: str, framing: str) -> None:
    body = b"hello" if framing.startswith("Content") else b"5\r\nhello\r\n0\r\n\r\n"
    scene.recorder.answer_next(CONTINUE, OK)
    with scene.connect() as client:
        client.send(streamed(f"Expect: {value}", framing))
        assert client.read_response().status == 100
        assert (scene.begun, scene.targets) == ([STREAMED], [])
        client.send(body + request("GET", "/next"))
        assert [client.read_response().status for _ in range(2)] == [200, 200]
    scene.settle()
    assert scene.targets == [STREAMED, "/next"]
    assert scene.recorder.complete[0].message.values("Expect") == ["100-continue"]


@pytest.mark.parametrize("value", ["100-continue", "100-Continue", " 100-CONTINUE\t"])
@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_a_client_that_waits_is_told_to_go_on_before_an_upstream_is_asked(
    scene: Scene, value: str, framing: str
) -> None:
    body = b"hello" if framing.startswith("Content") else b"5\r\nhello\r\n0\r\n\r\n"
    scene.recorder.answer_next(Answer(CONTINUE.data), OK)
    with scene.connect() as client:
        client.send(post(f"Expect: {value}", framing))
        assert client.read_response().status == 100
        assert scene.begun == []
        client.send(body + request("GET", "/next"))
        assert [client.read_response().status for _ in range(2)] == [200, 200]
    scene.settle()
    assert scene.targets == ["/outer", "/next"]
    assert scene.recorder.complete[0].message.values("Expect") == []


@CUTS
def test_a_body_that_is_gathered_is_no_request(scene: Scene, cut: Cut) -> None:
    """Nor is what stands behind it part of it, however the two are cut."""
    with scene.connect() as client:
        client.send(post(f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED[:20]), cut)
        client.send(SMUGGLED[20:] + request("GET", "/next"), cut)
        assert [client.read_response().status for _ in range(2)] == [200, 200]
    scene.settle()
    assert scene.targets == ["/outer", "/next"]


@pytest.mark.parametrize("target", ["/small", "/streamed/../small", "/small/x"])
def test_who_is_refused_by_the_head_is_not_told_to_go_on(scene: Scene, target: str) -> None:
    with scene.connect() as client:
        client.send(request("POST", target, "Expect: 100-continue", "Content-Length: 1001"))
        assert client.read_response().status in (400, 413)
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.begun == []


def test_nobody_but_the_upstream_says_go_on(scene: Scene) -> None:
    scene.recorder.answer_next()
    with scene.connect() as client:
        client.send(streamed("Expect: 100-continue", "Content-Length: 5"))
        scene.recorder.wait_for(lambda recorder: recorder.begun != [])
        scene.recorder.say(Answer(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"))
        assert client.read_response().status == 417  # and no 100 before it
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.targets == []


NOT_WAITING = {
    "no_expectation": (post("Content-Length: 5"), b"hello"),
    "no_body": (request("GET", "/outer", "Expect: 100-continue"), b""),
    "empty_body": (post("Expect: 100-continue", "Content-Length: 0"), b""),
    "body_sent_along": (post("Expect: 100-continue", "Content-Length: 5"), b"hello"),
}


@cases(NOT_WAITING)
def test_a_client_that_does_not_wait_is_not_told_to_go_on(scene: Scene, case: tuple[bytes, bytes]) -> None:
    head, body = case
    scene.recorder.answer_next(Answer(CONTINUE.data), OK)
    scene.served(head + body, 200)
    assert scene.targets == ["/outer"]


def test_an_old_client_gets_no_interim_response(scene: Scene) -> None:
    scene.recorder.answer_next(Answer(CONTINUE.data), Answer(EARLY_HINTS.data), OK)
    with scene.connect() as client:
        client.send(post("Expect: 100-continue", "Content-Length: 5", body=b"hello").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert client.read_response().status == 200
        assert client.await_end() is End.CLEAN
    assert scene.only_request().values("Expect") == []


def test_go_on_is_said_once(scene: Scene) -> None:
    scene.recorder.answer_next(CONTINUE, CONTINUE, CONTINUE, OK)
    with scene.connect() as client:
        client.send(post("Expect: 100-continue", "Content-Length: 5"))
        assert client.read_response().status == 100
        client.send(b"hello")
        assert client.read_response().status == 200
    scene.only_request()


def test_other_interim_responses_are_relayed(scene: Scene) -> None:
    scene.recorder.answer_next(EARLY_HINTS, EARLY_HINTS, OK)
    responses = scene.served(request("GET", "/outer"), 103, 103, 200)
    assert responses[0].values("Link") == ["</a.css>; rel=preload"]


# -- a final answer before the body


@CUTS
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_behind_an_early_answer_is_no_request(scene: Scene, framing: str, cut: Cut) -> None:
    """The client was not told to continue and does so anyway, with a request for a body."""
    body = SMUGGLED
    line = f"Content-Length: {len(body)}"
    if framing == "chunked":
        line, body = "Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    scene.recorder.answer_next(EARLY)
    with scene.connect() as client:
        client.send(streamed("Expect: 100-continue", line))
        response = client.read_response()
        assert (response.status, response.values("Connection")) == (401, ["close"])
        client.send(body + SMUGGLED, cut)
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert (scene.begun, scene.targets) == ([STREAMED], [])


@cases({how.name.lower(): Answer(EARLY.data, Moment.HEAD, how) for how in (Then.KEEP, Then.END, Then.RESET)})
def test_an_early_answer_reaches_a_client_that_is_still_sending(scene: Scene, case: Answer) -> None:
    scene.recorder.answer_next(case)
    with scene.connect() as client:
        client.send(post("Content-Length: 1000000"))
        client.send(b"x" * 100_000)
        assert client.read_response().status == 401
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert (scene.begun, scene.targets) == (["/outer"], [])


def test_an_upstream_that_closes_before_the_body_has_come_is_a_bad_gateway(scene: Scene) -> None:
    scene.recorder.answer_next(Answer(b"", Moment.HEAD, Then.RESET))
    with scene.connect() as client:
        client.send(streamed("Transfer-Encoding: chunked", body=b"5\r\n01234\r\n"))
        response = client.read_response()
        assert (response.status, response.values("Connection")) == (502, ["close"])
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert (scene.begun, scene.targets) == ([STREAMED], [])


def test_the_connection_to_the_upstream_is_not_used_again_before_the_body_is_complete(scene: Scene) -> None:
    """The upstream waits for the rest of the body, and would take the head of the next request for it."""
    scene.recorder.answer_next(EARLY)
    with scene.connect() as client, scene.connect() as other:
        client.send(streamed("Expect: 100-continue", f"Content-Length: {len(SMUGGLED)}"))
        assert client.read_response().status == 401
        other.send(request("GET", "/other"))
        assert other.read_response().status == 200
    scene.settle()
    assert scene.targets == ["/other"]
    assert [cut.target for cut in scene.recorder.cut] == [STREAMED]


HALF = Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha", Moment.HEAD)


@CUTS
def test_a_malformed_body_behind_half_an_answer_cuts_it(scene: Scene, cut: Cut) -> None:
    scene.recorder.answer_next(HALF)
    with scene.connect() as client:
        client.send(streamed("Transfer-Encoding: chunked"))
        assert client.read().endswith(b"ha")
        client.send(b"zz\r\n" + SMUGGLED, cut)
        assert client.read_to_end() == b""
        assert client.end is End.CUT
    scene.settle()
    assert (scene.begun, scene.targets) == ([STREAMED], [])


@CUTS
def test_a_body_that_ends_within_the_answer_ends_the_connection_with_it(scene: Scene, cut: Cut) -> None:
    scene.recorder.answer_next(HALF)
    with scene.connect() as client:
        client.send(streamed("Transfer-Encoding: chunked"))
        assert client.read().endswith(b"ha")
        client.send(b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED, cut)
        scene.recorder.wait_for(lambda recorder: recorder.complete != [])
        scene.recorder.say(Answer(b"lf"))
        assert client.read_to_end() == b"lf"
        assert client.end is End.CLEAN
    scene.settle()
    assert scene.begun == [STREAMED]
