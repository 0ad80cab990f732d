"""Answers of the proxy itself: no server reads the request, so nothing of its body may become the next request.

A server that answers without reading the body, on a connection that continues, is one half of "0.CL" smuggling. And a redirect whose
URL has a part of the request must not let a client choose the host (CWE-601).
"""

from urllib.parse import urlsplit

import pytest

from tests.hostile import http2_frames as h2
from tests.hostile.client import Cut, End
from tests.hostile.scene import ALL_CUTS, CUTS, SMUGGLED, Scene, cases, request
from tests.hostile.test_upgrade import handshake

LENGTH = f"Content-Length: {len(SMUGGLED)}"
CHUNKED_BODY = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
BODIES = {
    "get_fixed": (request("GET", "/fixed", LENGTH, body=SMUGGLED), 200),
    "get_fixed_chunked": (request("GET", "/fixed", "Transfer-Encoding: chunked", body=CHUNKED_BODY), 200),
    "get_moved": (request("GET", "/moved", LENGTH, body=SMUGGLED), 302),
    "post_moved_chunked": (request("POST", "/moved", "Transfer-Encoding: chunked", body=CHUNKED_BODY), 302),
    "trailers": (
        request("POST", "/moved", "Transfer-Encoding: chunked", body=CHUNKED_BODY[:-2] + b"X: y\r\n\r\n"),
        302,
    ),
    "unchanged": (request("GET", "/fixed", "If-None-Match: *", LENGTH, body=SMUGGLED), 304),
}


@ALL_CUTS
@cases(BODIES)
def test_a_body_is_never_the_next_request(scene: Scene, case: tuple[bytes, int], cut: Cut) -> None:
    raw, status = case
    scene.served(raw + request("GET", "/next") + raw, status, 200, status, cut=cut)
    assert scene.targets == ["/next"]


@CUTS
def test_answers_of_head_and_304_have_no_body_that_could_be_taken_for_another(scene: Scene, cut: Cut) -> None:
    with scene.connect() as client:
        client.send(request("HEAD", "/fixed") + request("GET", "/fixed", "If-None-Match: *") + request(), cut)
        head = client.read_response("HEAD")
        assert (head.status, head.values("Content-Length")) == (200, ["5"])
        unchanged = client.read_response()
        assert (unchanged.status, unchanged.values("Content-Length"), bytes(unchanged.body)) == (304, [], b"")
        assert client.read_response().status == 200


HELD_BACK = {
    "length": request("POST", "/moved", "Expect: 100-continue", f"Content-Length: {len(SMUGGLED)}"),
    "chunked": request("GET", "/fixed", "Expect: 100-continue", "Transfer-Encoding: chunked"),
}


@CUTS
@cases(HELD_BACK)
def test_a_body_that_is_not_asked_for_may_come_or_not_and_is_no_request(scene: Scene, case: bytes, cut: Cut) -> None:
    with scene.connect() as client:
        client.send(case, cut)
        response = client.read_response()
        assert response.status in {200, 302}
        assert response.values("Connection") == ["close"]
        client.send(SMUGGLED, cut)
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.begun == []


@CUTS
@cases({"fixed": handshake("GET", "/fixed"), "moved": handshake("GET", "/moved")})
def test_what_a_websocket_client_sends_ahead_is_no_request(scene: Scene, case: bytes, cut: Cut) -> None:
    with scene.connect() as client:
        client.send(case + SMUGGLED, cut)
        response = client.read_response()
        assert response.status in {200, 302}
        assert response.values("Connection") == ["close"]
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.begun == []


@CUTS
def test_a_method_that_is_refused_leaves_no_body_behind(scene: Scene, cut: Cut) -> None:
    responses = scene.served(
        request("POST", "/fixed", LENGTH, body=SMUGGLED) + request("GET", "/next"), 405, 200, cut=cut
    )
    assert responses[0].values("Allow") == ["GET, HEAD"]
    assert scene.targets == ["/next"]


@CUTS
@cases(
    {
        "bad_chunk": request("POST", "/moved", "Transfer-Encoding: chunked") + b"zz\r\n" + SMUGGLED,
        "chunk_size_wraps": request("GET", "/fixed", "Transfer-Encoding: chunked")
        + b"ffffffffffffffff1\r\n"
        + SMUGGLED,
        "two_lengths": request("GET", "/fixed", "Content-Length: 0", LENGTH) + SMUGGLED,
        "both": request("GET", "/fixed", LENGTH, "Transfer-Encoding: chunked") + CHUNKED_BODY,
    }
)
def test_a_body_without_single_meaning_is_refused_here_too(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.refused(case, 400, cut=cut)


TARGETS = {
    "two_slashes": "//evil.test/",
    "slashes": "///evil.test",
    "at": "/@evil.test",
    "credentials": "/:pw@evil.test/",
    "escaped_slashes": "/%2f%2fevil.test",
    "escaped_backslash": "/%5cevil.test",
    "crlf": "/%0d%0aLocation:%20https://evil.test",
    "crlf_twice": "/%250d%250aSet-Cookie:%20a=b",
    "nul_in_query": "/?%00",
    "query_backslash": "/?\\evil.test",
    "query_at": "/?@evil.test/",
    "query_quote": '/?"><script>alert(1)</script>',
    "scheme": "/javascript:alert(1)",
    "colon": "/https://evil.test/",
    "port": "/:8443/",
    "brackets": "/[::1]/",
}


@cases(TARGETS)
def test_a_client_cannot_choose_where_it_is_sent(scene: Scene, case: str) -> None:
    (response,) = scene.served(request("GET", "/moved" + case), 302)
    (location,) = response.values("Location")
    assert location.startswith("https://new.test/moved/")
    assert urlsplit(location).netloc == "new.test"
    assert not set(location) & set('\\"<>\r\n\t `{}')
    assert {name.lower() for name, _ in response.headers} == {
        b"location",
        b"content-length",
        b"date",
        b"x-request-id",
    }


@pytest.mark.parametrize(
    "target", ["/moved\\@evil.test", "/moved/\x01", "/moved/..//evil.test", "/moved/%zz", "/moved/%00"]
)
def test_a_target_that_browsers_read_differently_is_refused(scene: Scene, target: str) -> None:
    scene.refused(request("GET", target), 400)


def test_an_extended_connect_is_not_opened_by_a_fixed_answer(scene: Scene) -> None:
    """To a client of HTTP/2 a 200 would mean that the WebSocket is open (RFC 8441 section 5)."""
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.websocket(1, b"/fixed"))
        assert client.answer(1).status == 405
    scene.settle()
    assert scene.begun == []
