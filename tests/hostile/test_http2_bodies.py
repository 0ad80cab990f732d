"""Bodies and trailers of HTTP/2 that must not become parts of another request of HTTP/1.1 (RFC 9113 sections 8.1 and 8.1.1).

A body of HTTP/2 ends with its stream. Once it is written as HTTP/1.1, a length or a coding says where it ends.
"""

import pytest

from tests.hostile import http2_frames as h2
from tests.hostile.malformed import BODIES, DROPPED, LENGTHS, TRAILERS, WITH_BODY
from tests.hostile.scene import SMUGGLED, Scene, cases


@cases(WITH_BODY)
def test_bodies_of_malformed_requests_go_nowhere(scene: Scene, case: list[tuple[bytes, bytes]]) -> None:
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.frame(h2.HEADERS, h2.block(case), h2.END_HEADERS, 1) + h2.data(1, b"0\r\n\r\n" + SMUGGLED))
        assert client.answer(1).reset == h2.PROTOCOL_ERROR
        client.send(h2.data(1, SMUGGLED, ends=True) + h2.get(3, b"/honest"))
        assert client.answer(3).status == 200
    scene.settle()
    assert scene.targets == ["/honest"]


def test_lengths_that_are_no_number_are_refused(scene: Scene) -> None:
    with scene.connect_http2() as client:
        client.open()
        for number, (name, values) in enumerate(LENGTHS.items()):
            client.send(h2.post(2 * number + 1, b"/x", *[(b"content-length", value) for value in values]))
            client.send(h2.data(2 * number + 1, b"abc", ends=True))
            answer = client.answer(2 * number + 1)
            assert answer.status in (400, 413) or answer.reset == h2.PROTOCOL_ERROR, name
    scene.settle()
    assert scene.begun == []


@cases(BODIES)
@pytest.mark.parametrize("path", [b"/x", b"/streamed/x"], ids=["gathered", "streamed"])
def test_a_body_that_is_not_as_long_as_it_says_is_no_whole_request(
    scene: Scene, case: tuple[tuple[bytes, bytes], list[bytes]], path: bytes
) -> None:
    length, pieces = case
    with scene.connect_http2() as client:
        client.open()
        body = b"".join(h2.data(1, piece, ends=one == len(pieces)) for one, piece in enumerate(pieces, 1))
        client.send(h2.post(1, path, length) + body)
        assert client.answer(1).reset == h2.PROTOCOL_ERROR
        client.send(h2.get(3, b"/honest"))
        assert client.answer(3).status == 200
    scene.settle()
    assert scene.targets == ["/honest"]


def test_a_body_behind_a_length_of_0_goes_nowhere(scene: Scene) -> None:
    """The request is complete without it, and may be answered before it comes."""
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.post(1, b"/x", (b"content-length", b"0")))
        scene.recorder.wait_for(lambda recorder: recorder.complete != [])
        client.send(h2.data(1, SMUGGLED, ends=True) + h2.get(3, b"/honest"))
        client.read_until(lambda: 1 in client.streams and client.streams[1].reset == h2.PROTOCOL_ERROR)
        assert client.answer(3).status == 200
    scene.settle()
    assert scene.targets == ["/x", "/honest"]
    assert [request.message.body for request in scene.recorder.complete] == [b"", b""]


@cases(TRAILERS)
@pytest.mark.parametrize("path", [b"/x", b"/streamed/x"], ids=["gathered", "streamed"])
def test_malformed_trailers_make_no_whole_request(scene: Scene, case: list[tuple[bytes, bytes]], path: bytes) -> None:
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.post(1, path) + h2.data(1, b"abc"))
        client.send(h2.frame(h2.HEADERS, h2.block(case), h2.WHOLE, 1))
        assert client.answer(1).reset == h2.PROTOCOL_ERROR
    scene.settle()
    assert scene.targets == []


@pytest.mark.parametrize("path", [b"/x", b"/streamed/x"], ids=["gathered", "streamed"])
def test_trailers_that_look_like_fields_of_a_head_go_nowhere(scene: Scene, path: bytes) -> None:
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.post(1, path) + h2.data(1, b"abc") + h2.frame(h2.HEADERS, h2.block(DROPPED), h2.WHOLE, 1))
        assert client.answer(1).status == 200
    seen = scene.only_request()
    assert (seen.body, seen.trailers) == (b"abc", [])
    assert [seen.values(name) for name in ("Host", "Authorization")] == [["chat.test"], []]
