"""Trailer sections: read strictly, never merged into a head, forwarded only where everybody asked for it.

RFC 9112 section 7.1.2, RFC 9110 section 6.5.
"""

import pytest

from tests.hostile.answers import Answer
from tests.hostile.client import Cut, End
from tests.hostile.scene import ALL_CUTS, CUTS, SMUGGLED, Scene, cases, request


def trailed(section: bytes, *lines: str) -> bytes:
    """A request whose body is followed by these octets."""
    return request("POST", "/outer", "Transfer-Encoding: chunked", *lines, body=b"5\r\nhello\r\n0\r\n" + section)


MALFORMED = {
    "request": SMUGGLED,
    "request_behind_a_field": b"X-Field: a\r\n" + SMUGGLED,
    "request_line": b"GET /smuggled HTTP/1.1\r\n\r\n",
    "no_colon": b"X-Field\r\n\r\n",
    "empty_name": b": a\r\n\r\n",
    "space_before_colon": b"X-Field : a\r\n\r\n",
    "tab_before_colon": b"X-Field\t: a\r\n\r\n",
    "space_within_name": b"X Field: a\r\n\r\n",
    "leading_space": b" X-Field: a\r\n\r\n",
    "folded": b"X-Field: a\r\n b\r\n\r\n",
    "newline": b"X-Field: a\n\r\n",
    "newlines": b"X-Field: a\n\n",
    "return": b"X-Field: a\rX-Other: b\r\n\r\n",
    "return_return_newline": b"X-Field: a\r\r\n\r\n",
    "return_at_the_end": b"X-Field: a\r\n\rG",
    "newline_at_the_end": b"X-Field: a\r\n\n" + SMUGGLED,
    "newline_alone": b"\n" + SMUGGLED,
    "return_alone": b"\r" + SMUGGLED,
    "nul_in_value": b"X-Field: a\x00b\r\n\r\n",
    "nul_in_name": b"X\x00Field: a\r\n\r\n",
    "control_in_value": b"X-Field: a\x07b\r\n\r\n",
    "delete_in_value": b"X-Field: a\x7fb\r\n\r\n",
    "high_bit_in_name": b"X\xe9: a\r\n\r\n",
    "chunk": b"5\r\nhello\r\n0\r\n\r\n",
    "second_last_chunk": b"0\r\n\r\n",
}


@CUTS
@cases(MALFORMED)
def test_a_malformed_section_is_refused(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.refused_body(trailed(case + SMUGGLED), 400, cut=cut)


FORBIDDEN = {
    "content_length": b"Content-Length: 5",
    "transfer_encoding": b"Transfer-Encoding: chunked",
    "host": b"Host: evil.test",
    "authorization": b"Authorization: Basic eA==",
    "cookie": b"Cookie: a=b",
    "x_forwarded_for": b"X-Forwarded-For: 1.2.3.4",
    "x_forwarded_for_twin": b"X_Forwarded_For: 1.2.3.4",
    "forwarded": b"Forwarded: for=1.2.3.4",
    "connection": b"Connection: close",
    "upgrade": b"Upgrade: websocket",
    "expect": b"Expect: 100-continue",
    "te": b"TE: gzip",
    "trailer": b"Trailer: X-Field",
    "proxy": b"Proxy: evil.test",
    "content_type": b"Content-Type: text/html",
    "range": b"Range: bytes=0-",
    "x_tls_group": b"X-TLS-Group: forged",
    "client_cert": b"Client-Cert: :MIIB:",
    "ordinary": b"X-Checksum: 1",
}


@CUTS
@cases(FORBIDDEN)
def test_no_trailer_of_a_request_is_forwarded(scene: Scene, case: bytes, cut: Cut) -> None:
    name, _, value = case.partition(b": ")
    raw = trailed(case + b"\r\n\r\n", f"Trailer: {name.decode()}", "TE: trailers", "Connection: TE")
    scene.served(raw + request("GET", "/next"), 200, 200, cut=cut)
    assert scene.targets == ["/outer", "/next"]
    outer = scene.recorder.complete[0].message  # the recorder takes no trailers at all
    assert outer.body == b"hello"
    assert value.decode() not in outer.values(name.decode()) or name == b"Transfer-Encoding"


TOO_MANY = {
    "of_20000": b"X: y\r\n" * 20_000,
    "of_33": b"X: y\r\n" * 33,
    "long_line": b"X: " + b"y" * 9_000 + b"\r\n",
    "long_name": b"X" * 9_000 + b": y\r\n",
    "endless_line": b"y" * 200_000,
    "bytes": (b"X: " + b"y" * 1_000 + b"\r\n") * 9,
}


@cases(TOO_MANY)
def test_a_section_beyond_the_limits_is_refused(scene: Scene, case: bytes) -> None:
    with scene.connect() as client:
        client.send(trailed(case + b"\r\n" + SMUGGLED))
        assert client.read_response().status == 400
        client.read_to_end()
    scene.settle()
    assert scene.targets == []


def test_a_section_within_the_limits_is_served(scene: Scene) -> None:
    scene.served(trailed(b"X: y\r\n" * 32 + b"\r\n"), 200)
    scene.only_request()


# -- of responses


def answer(*trailers: bytes, announced: str = "X-Checksum, X-Timing", extra: bytes = b"") -> Answer:
    """A chunked response with trailers."""
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: {announced}\r\n".encode() + extra + b"\r\n"
    return Answer(head + b"5\r\nhello\r\n0\r\n" + b"".join(line + b"\r\n" for line in trailers) + b"\r\n")


@ALL_CUTS
def test_trailers_reach_a_client_that_takes_them_announced_or_not(scene: Scene, cut: Cut) -> None:
    scene.recorder.answer_next(answer(b"X-Checksum: 1", b"x-timing: 2", b"X-Other: 3"))
    (response,) = scene.served(request("GET", "/", "TE: trailers", "Connection: TE"), 200, cut=cut)
    assert response.trailers == [(b"X-Checksum", b"1"), (b"x-timing", b"2"), (b"X-Other", b"3")]
    assert response.values("Trailer") == ["x-checksum, x-timing"]
    assert scene.only_request().values("TE") == ["trailers"]


@cases({"nothing": (), "other_coding": ("TE: gzip", "Connection: TE"), "word": ("TE: trailer", "Connection: TE")})
def test_no_trailers_reach_a_client_that_did_not_ask(scene: Scene, case: tuple[str, ...]) -> None:
    scene.recorder.answer_next(answer(b"X-Checksum: 1"))
    (response,) = scene.served(request("GET", "/", *case), 200)
    assert (response.trailers, response.values("Trailer"), response.body) == ([], [], b"hello")


def test_a_client_of_http_1_0_gets_the_body_alone(scene: Scene) -> None:
    scene.recorder.answer_next(answer(b"X-Checksum: 1"))
    with scene.connect() as client:
        client.send(request("GET", "/", "TE: trailers", "Connection: TE").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert client.read_response().body == b"hello"
    scene.only_request()


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Set-Cookie",
        "Location",
        "Content-Type",
        "Content-Encoding",
        "Content-Range",
        "Authorization",
        "Cache-Control",
        "Trailer",
        "Host",
        "X-Forwarded-For",
        "Upgrade",
        "Keep-Alive",
        "Date",
        "X-Request-Id",
        "Proxy-Connection",
    ],
)
def test_a_forbidden_trailer_is_dropped_though_it_is_announced(scene: Scene, name: str) -> None:
    scene.recorder.answer_next(answer(f"{name}: 7".encode(), b"X-Checksum: 1", announced=f"X-Checksum, {name}"))
    (response,) = scene.served(request("GET", "/", "TE: trailers", "Connection: TE"), 200)
    assert response.trailers == [(b"X-Checksum", b"1")]
    assert response.values("Trailer") == ["x-checksum"]


def test_a_trailer_that_connection_names_is_dropped(scene: Scene) -> None:
    """RFC 9110 section 7.6.1."""
    scene.recorder.answer_next(answer(b"X-Timing: 2", b"X-Checksum: 1", extra=b"Connection: X-Timing\r\n"))
    (response,) = scene.served(request("GET", "/", "TE: trailers", "Connection: TE"), 200)
    assert response.trailers == [(b"X-Checksum", b"1")]


@cases(
    {
        "no_colon": b"X-Checksum",
        "newline": b"X-Checksum: a\nSet-Cookie: b",
        "return": b"X-Checksum: a\rSet-Cookie: b",
        "nul": b"X-Checksum: a\x00",
        "space_before_colon": b"X-Checksum : a",
        "folded": b"X-Checksum: a\r\n b",
        "too_many": b"\r\n".join([b"X-Checksum: a"] * 33),
        "too_long": b"X-Checksum: " + b"a" * 9_000,
    }
)
def test_a_malformed_trailer_of_a_response_is_visible_as_a_cut(scene: Scene, case: bytes) -> None:
    scene.recorder.answer_next(answer(case))
    with scene.connect() as client:
        client.send(request("GET", "/", "TE: trailers", "Connection: TE"))
        received = client.read_to_end()
        assert b"Set-Cookie" not in received
        assert not received.endswith(b"0\r\n\r\n")
        assert client.end is End.CUT
    scene.only_request()
