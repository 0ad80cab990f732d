"""Requests of HTTP/2 that must not become requests of HTTP/1.1 (RFC 9113 sections 8.2, 8.3 and 10.3).

A length in front of each field lets HTTP/2 carry octets that end a line, a head or a request once they are written as HTTP/1.1
(CVE-2021-33193, CVE-2021-39240, CVE-2025-57804, CVE-2026-42926). The recorder reads strictly: what got through would be seen.
"""

from tests.hostile import http2_frames as h2
from tests.hostile.malformed import MALFORMED, REFUSED, STRIPPED, WEBSOCKETS, X
from tests.hostile.scene import SMUGGLED, Scene, cases
from tests.hostile.strict import Message


def test_malformed_requests_reset_their_streams_and_reach_no_server(scene: Scene) -> None:
    """Each beside an honest one, on a few connections: a hundred handshakes would test nothing more."""
    cases_of = list(MALFORMED.items())
    for begin in range(0, len(cases_of), 60):
        with scene.connect_http2() as client:
            client.open()
            for number, (name, fields) in enumerate(cases_of[begin : begin + 60]):
                stream = 4 * number + 1
                client.send(h2.frame(h2.HEADERS, h2.block(fields), h2.WHOLE, stream))
                answer = client.answer(stream)
                assert (name, answer.reset, answer.heads) == (name, h2.PROTOCOL_ERROR, [])
                client.send(h2.get(stream + 2, b"/honest"))
                assert client.answer(stream + 2).status == 200
    scene.settle()
    assert scene.targets == ["/honest"] * len(cases_of)


def test_what_http_1_refuses_http_2_refuses(scene: Scene) -> None:
    with scene.connect_http2() as client:
        client.open()
        for number, (name, (fields, status)) in enumerate(REFUSED.items()):
            block = h2.block(fields)
            first, rest = block[:16_384], block[16_384:]
            client.send(h2.frame(h2.HEADERS, first, h2.END_STREAM if rest else h2.WHOLE, 2 * number + 1))
            if rest:
                client.send(h2.frame(h2.CONTINUATION, rest, h2.END_HEADERS, 2 * number + 1))
            answer = client.answer(2 * number + 1)
            assert (name, answer.status, answer.reset) == (name, status, None)
    scene.settle()
    assert scene.begun == []


def only(scene: Scene, *fields: tuple[bytes, bytes]) -> Message:
    """What a server sees of a request with these fields more."""
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.get(1, b"/x", *fields))
        assert client.answer(1).status == 200
    return scene.only_request()


def test_names_that_only_the_proxy_may_say_are_removed(scene: Scene) -> None:
    seen = only(scene, *[(name.encode(), b"6.6.6.6") for name in STRIPPED])
    assert "6.6.6.6" not in repr(seen)


def test_crumbs_of_a_cookie_are_one_line(scene: Scene) -> None:
    assert only(scene, (b"cookie", b"a=b"), X, (b"cookie", b"c=d")).values("Cookie") == ["a=b; c=d"]


def test_empty_crumbs_leave_no_white_space(scene: Scene) -> None:
    crumbs = [(b"cookie", b""), (b"cookie", b"a=b"), (b"cookie", b"")]
    assert only(scene, *crumbs).values("Cookie") == ["a=b"]


@cases(WEBSOCKETS)
def test_extended_connects_that_open_no_websocket_reach_no_server(
    scene: Scene, case: tuple[list[tuple[bytes, bytes]], int, int | None]
) -> None:
    fields, status, reset = case
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.frame(h2.HEADERS, h2.block(fields), h2.END_HEADERS, 1) + h2.data(1, SMUGGLED))
        answer = client.answer(1)
        assert (answer.status, answer.reset) == (status, reset) or answer.status == status
    scene.settle()
    assert scene.begun == []
