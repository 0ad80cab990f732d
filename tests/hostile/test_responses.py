"""Upstreams that answer badly, by malice or by mistake: the client gets a clean answer, an honest 502, or a visible cut.

What cannot be understood is never passed on, and a connection whose end of a response is in doubt is never used again.
"""

import pytest

from tests.hostile.answers import SWITCHING, Answer, Moment, Then
from tests.hostile.client import End
from tests.hostile.scene import Scene, cases, request
from tests.hostile.strict import ResponseReader

POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
"""An answer that nobody asked for: it must not reach anybody."""


def is_whole(received: bytes) -> bool:
    """Whether a client that had only these bytes would take them for a complete response."""
    reader = ResponseReader()
    reader.feed(received)
    return reader.is_complete


def head(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """The head of a response."""
    return b"\r\n".join([start, *lines, b"", b""])


MALFORMED = {
    "length_and_coding": head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "coding_and_length": head(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n",
    "two_lengths": head(b"Content-Length: 5", b"Content-Length: 6") + b"hello",
    "two_equal_lengths": head(b"Content-Length: 5", b"Content-Length: 5") + b"hello",
    "length_list": head(b"Content-Length: 5, 5") + b"hello",
    "length_plus": head(b"Content-Length: +5") + b"hello",
    "length_minus": head(b"Content-Length: -5") + b"hello",
    "length_underscore": head(b"Content-Length: 0_5") + b"hello",
    "length_hexadecimal": head(b"Content-Length: 0x5") + b"hello",
    "length_empty": head(b"Content-Length:") + b"hello",
    "length_word": head(b"Content-Length: five") + b"hello",
    "length_superscript": head(b"Content-Length: \xb2") + b"he",
    "length_huge": head(b"Content-Length: 18446744073709551621") + b"hello",
    "length_5000_digits": head(b"Content-Length: " + b"5" * 5_000) + b"hello",
    "coding_unknown": head(b"Transfer-Encoding: gzip") + b"hello",
    "coding_identity": head(b"Transfer-Encoding: identity") + b"hello",
    "coding_list": head(b"Transfer-Encoding: gzip, chunked") + b"5\r\nhello\r\n0\r\n\r\n",
    "coding_twice": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "coding_comma": head(b"Transfer-Encoding: ,chunked") + b"0\r\n\r\n",
    "coding_vertical_tab": head(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "coding_empty": head(b"Transfer-Encoding:") + b"0\r\n\r\n",
    "coding_name_space": head(b"Transfer-Encoding : chunked") + b"0\r\n\r\n",
    "coding_on_1_0": head(b"Transfer-Encoding: chunked", start=b"HTTP/1.0 200 OK") + b"0\r\n\r\n",
    "return_in_value": head(b"X: a\rSet-Cookie: b", b"Content-Length: 0"),
    "newline_in_value": head(b"X: a\nSet-Cookie: b", b"Content-Length: 0"),
    "nul_in_value": head(b"X: a\x00b", b"Content-Length: 0"),
    "control_in_value": head(b"X: a\x07b", b"Content-Length: 0"),
    "delete_in_value": head(b"X: a\x7fb", b"Content-Length: 0"),
    "return_return_newline": head(b"X: a\r", b"Content-Length: 0"),
    "nul_in_name": head(b"X\x00: a", b"Content-Length: 0"),
    "space_in_name": head(b"X Y: a", b"Content-Length: 0"),
    "empty_name": head(b": a", b"Content-Length: 0"),
    "no_colon": head(b"X", b"Content-Length: 0"),
    "folded": head(b"X: a", b" b", b"Content-Length: 0"),
    "leading_space": head(b" X: a", b"Content-Length: 0"),
    "high_bit_in_name": head(b"X\xe9: a", b"Content-Length: 0"),
    "newlines_only": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n",
    "newlines_and_nothing_else": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "ssh_without_an_end": b"SSH-2.0-OpenSSH_9.9\r\n",
    "newline_behind_status": b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    "http_2": head(b"Content-Length: 0", start=b"HTTP/2.0 200 OK"),
    "http_2_short": head(b"Content-Length: 0", start=b"HTTP/2 200"),
    "http_0_9": head(b"Content-Length: 0", start=b"HTTP/0.9 200 OK"),
    "http_1_2": head(b"Content-Length: 0", start=b"HTTP/1.2 200 OK"),
    "icy": head(b"Content-Length: 0", start=b"ICY 200 OK"),
    "small_letters": head(b"Content-Length: 0", start=b"http/1.1 200 OK"),
    "status_099": head(b"Content-Length: 0", start=b"HTTP/1.1 099 OK"),
    "status_000": head(b"Content-Length: 0", start=b"HTTP/1.1 000 OK"),
    "status_600": head(b"Content-Length: 0", start=b"HTTP/1.1 600 OK"),
    "status_999": head(b"Content-Length: 0", start=b"HTTP/1.1 999 OK"),
    "status_20": head(b"Content-Length: 0", start=b"HTTP/1.1 20 OK"),
    "status_2000": head(b"Content-Length: 0", start=b"HTTP/1.1 2000 OK"),
    "status_word": head(b"Content-Length: 0", start=b"HTTP/1.1 two OK"),
    "status_plus": head(b"Content-Length: 0", start=b"HTTP/1.1 +20 OK"),
    "status_minus": head(b"Content-Length: 0", start=b"HTTP/1.1 -20 OK"),
    "status_superscript": head(b"Content-Length: 0", start=b"HTTP/1.1 20\xb2 OK"),
    "status_missing": head(b"Content-Length: 0", start=b"HTTP/1.1"),
    "two_spaces": head(b"Content-Length: 0", start=b"HTTP/1.1  200 OK"),
    "leading_space_in_line": head(b"Content-Length: 0", start=b" HTTP/1.1 200 OK"),
    "tab": head(b"Content-Length: 0", start=b"HTTP/1.1\t200 OK"),
    "reason_with_return": head(b"Content-Length: 0", start=b"HTTP/1.1 200 O\rSet-Cookie: b"),
    "reason_with_nul": head(b"Content-Length: 0", start=b"HTTP/1.1 200 O\x00K"),
    "reason_with_escape": head(b"Content-Length: 0", start=b"HTTP/1.1 200 \x1b[2J"),
    "leading_line_end": b"\r\n" + head(b"Content-Length: 0"),
    "leading_newline": b"\n" + head(b"Content-Length: 0"),
    "a_request": request(),
    "garbage": b"\x16\x03\x03\x00\x02\x02\x28\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "html_without_head": b"<html>hello</html>\r\n\r\n",
    "switching": head(start=b"HTTP/1.1 101 Switching Protocols"),
    "switching_to_h2c": head(b"Connection: Upgrade", b"Upgrade: h2c", start=b"HTTP/1.1 101 Switching Protocols"),
    "no_content_with_length": head(b"Content-Length: 5", start=b"HTTP/1.1 204 No Content") + b"hello",
    "no_content_with_chunks": head(b"Transfer-Encoding: chunked", start=b"HTTP/1.1 204 No Content") + b"0\r\n\r\n",
    "reset_content_with_length": head(b"Content-Length: 5", start=b"HTTP/1.1 205 Reset Content") + b"hello",
    "interim_with_length": head(b"Content-Length: 5", start=b"HTTP/1.1 103 Early Hints") + b"hello",
    "interim_with_chunks": head(b"Transfer-Encoding: chunked", start=b"HTTP/1.1 100 Continue") + b"0\r\n\r\n",
    "connection_not_a_token": head(b"Connection: a b", b"Content-Length: 0"),
    "head_of_80_kilobytes": head(*[b"X: " + b"a" * 1_000] * 80, b"Content-Length: 0"),
    "one_field_of_70_kilobytes": head(b"X: " + b"a" * 70_000, b"Content-Length: 0"),
    "endless_head": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000,
    "endless_status_line": b"HTTP/1.1 200 " + b"O" * 300_000,
    "fields_201": head(*[b"X: a"] * 200, b"Content-Length: 0"),
}


IN_OCTETS = pytest.mark.parametrize("in_octets", [False, True], ids=["whole", "in_octets"])


@cases(MALFORMED)
@IN_OCTETS
def test_a_malformed_response_is_a_bad_gateway(scene: Scene, case: bytes, in_octets: bool) -> None:  # noqa: FBT001
    scene.recorder.answer_next(Answer(case + POISON, in_octets=in_octets and len(case) < 10_000))
    (response,) = scene.served(request("GET", "/outer"), 502)
    assert b"Set-Cookie" not in response.body
    assert scene.targets == ["/outer"]


@cases(
    {
        "nothing": Answer(b"", then=Then.END),
        "reset": Answer(b"", then=Then.RESET),
        "half_a_status_line": Answer(b"HTTP/1.1 20", then=Then.END),
        "half_a_head": Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", then=Then.END),
        "head_but_for_a_newline": Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r", then=Then.END),
        "interim_only": Answer(b"HTTP/1.1 103 Early Hints\r\n\r\n", then=Then.END),
    }
)
def test_an_upstream_that_leaves_before_its_head_is_a_bad_gateway(scene: Scene, case: Answer) -> None:
    scene.recorder.answer_next(case)
    statuses = (103, 502) if b"103" in case.data else (502,)
    scene.served(request("POST", "/outer"), *statuses)
    assert scene.targets == ["/outer"]


CUT = {
    "length": head(b"Content-Length: 10") + b"01234",
    "length_without_body": head(b"Content-Length: 10"),
    "length_but_for_an_octet": head(b"Content-Length: 10") + b"012345678",
    "chunk": head(b"Transfer-Encoding: chunked") + b"a\r\n01234",
    "behind_a_chunk": head(b"Transfer-Encoding: chunked") + b"5\r\n01234\r\n",
    "chunk_size": head(b"Transfer-Encoding: chunked") + b"5\r\n01234\r\n5",
    "last_chunk": head(b"Transfer-Encoding: chunked") + b"5\r\n01234\r\n0",
    "trailers": head(b"Transfer-Encoding: chunked") + b"5\r\n01234\r\n0\r\nX: y\r\n",
    "final_line_end": head(b"Transfer-Encoding: chunked") + b"5\r\n01234\r\n0\r\n",
    "final_newline": head(b"Transfer-Encoding: chunked") + b"5\r\n01234\r\n0\r\n\r",
}


GOOD = {
    "length": head(b"Content-Length: 5") + b"hello",
    "chunks": head(b"Transfer-Encoding: chunked") + b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX: y\r\n\r\n",
    "interim_before": b"HTTP/1.1 102 Processing\r\n\r\n" + head(b"Content-Length: 5") + b"hello",
    "no_content": head(start=b"HTTP/1.1 204 No Content"),
    "not_modified": head(b"Content-Length: 5", start=b"HTTP/1.1 304 Not Modified"),
    "old": head(b"Content-Length: 5", b"Connection: keep-alive", start=b"HTTP/1.0 200 OK") + b"hello",
}


@cases(GOOD)
@IN_OCTETS
def test_a_response_in_order_arrives_however_it_is_cut(scene: Scene, case: bytes, in_octets: bool) -> None:  # noqa: FBT001
    scene.recorder.answer_next(Answer(case, in_octets=in_octets))
    statuses = [102, 200] if b" 102 " in case else [int(case[9:12])]
    responses = scene.served(request("GET", "/1") + request("GET", "/2"), *statuses, 200)
    assert responses[-2].body == (b"hello" if statuses[-1] == 200 else b"")
    first, second = scene.recorder.complete
    assert first.connection == second.connection


@cases(CUT)
@pytest.mark.parametrize("how", [Then.END, Then.RESET], ids=["end", "reset"])
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"], ids=["new", "old"])
def test_a_response_that_is_cut_is_visibly_cut(scene: Scene, case: bytes, how: Then, version: bytes) -> None:
    scene.recorder.answer_next(Answer(case, then=how))
    with scene.connect() as client:
        client.send(request("GET", "/outer").replace(b"HTTP/1.1", version))
        received = client.read_to_end()
        assert client.end is End.CUT
        assert not is_whole(received)
    scene.settle()
    assert scene.targets == ["/outer"]


BAD_CHUNKS = {
    "size": b"zz\r\n",
    "size_space": b" 5\r\nhello\r\n",
    "size_prefix": b"0x5\r\nhello\r\n",
    "size_newline": b"5\nhello\r\n",
    "size_huge": b"10000000000000000\r\nhello\r\n",
    "extension_newline": b"5;\nhello\r\n",
    "extension_long": b"5;" + b"a" * 300 + b"\r\nhello\r\n",
    "end_missing": b"5\r\nhelloXX",
    "too_long": b"5\r\nhello!\r\n",
    "overhead": b"1\r\nx\r\n" * 20_000,
    "trailer_malformed": b"0\r\nX\r\n\r\n",
}


@cases(BAD_CHUNKS)
def test_a_body_that_becomes_malformed_is_visibly_cut(scene: Scene, case: bytes) -> None:
    scene.recorder.answer_next(Answer(head(b"Transfer-Encoding: chunked") + b"5\r\nfirst\r\n"))
    with scene.connect() as client:
        client.send(request("GET", "/outer"))
        begun = client.read()
        assert begun.endswith(b"5\r\nfirst\r\n")
        scene.recorder.say(Answer(case + b"0\r\n\r\n" + POISON))
        received = begun + client.read_to_end()
        assert client.end is End.CUT
        assert b"poison" not in received
        assert not is_whole(received)
    scene.settle()


# -- where a response ends


REST = {
    "response": POISON,
    "octet": b"x",
    "line_end": b"\r\n",
    "last_chunk": b"0\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\n",
    "switching": SWITCHING.data.replace(b"{accept}", b"AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
}
EXCESS = {
    "behind_length": head(b"Content-Length: 5") + b"hello",
    "behind_zero_length": head(b"Content-Length: 0"),
    "behind_chunks": head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
    "behind_no_content": head(start=b"HTTP/1.1 204 No Content"),
    "behind_not_modified": head(b"Content-Length: 5", start=b"HTTP/1.1 304 Not Modified"),
    "behind_reset_content": head(b"Content-Length: 0", start=b"HTTP/1.1 205 Reset Content"),
}


@cases(EXCESS)
@pytest.mark.parametrize("rest", REST.values(), ids=list(REST))
def test_what_is_behind_a_response_reaches_nobody(scene: Scene, case: bytes, rest: bytes) -> None:
    scene.recorder.answer_next(Answer(case + rest))
    status = int(case[9:12])
    (response, _) = scene.served(request("GET", "/1") + request("GET", "/2"), status, 200)
    assert response.body in (b"hello", b"")
    assert scene.targets == ["/1", "/2"]
    first, second = scene.recorder.complete
    assert first.connection != second.connection  # whoever sends more than its answer is not asked again


@pytest.mark.parametrize("rest", REST.values(), ids=list(REST))
def test_what_comes_unasked_on_an_idle_connection_reaches_nobody(scene: Scene, rest: bytes) -> None:
    with scene.connect() as client:
        client.send(request("GET", "/1"))
        assert client.read_response().status == 200
        scene.recorder.say(Answer(rest))
        scene.recorder.settle()  # the bytes are with the proxy's kernel before it hears of another request
        client.send(request("GET", "/2"))
        assert client.read_response().body == b"/2"
    scene.settle()
    first, second = scene.recorder.complete
    assert first.connection != second.connection


@cases(
    {
        "no_framing": head(start=b"HTTP/1.1 205 Reset Content"),
        "chunks": head(b"Transfer-Encoding: chunked", start=b"HTTP/1.1 205 Reset Content"),
    }
)
def test_an_empty_response_whose_upstream_may_send_more_ends_the_connection(scene: Scene, case: bytes) -> None:
    scene.recorder.answer_next(Answer(case))
    scene.served(request("GET", "/1") + request("GET", "/2"), 205, 200)
    first, second = scene.recorder.complete
    assert first.connection != second.connection


def test_an_upstream_in_order_is_asked_again_on_the_same_connection(scene: Scene) -> None:
    scene.served(request("GET", "/1") + request("GET", "/2"), 200, 200)
    first, second = scene.recorder.complete
    assert first.connection == second.connection


@pytest.mark.parametrize("declared", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X: y"])
def test_a_response_to_head_has_no_body_whatever_it_declares(scene: Scene, declared: bytes) -> None:
    scene.recorder.answer_next(Answer(head(declared)))
    with scene.connect() as client:
        client.send(request("HEAD", "/1") + request("GET", "/2"))
        assert client.read_response("HEAD").status == 200
        if declared != b"X: y":
            assert client.read_response().body == b"/2"
    scene.settle()
    assert scene.targets[0] == "/1"


def test_the_body_of_a_response_to_head_reaches_nobody(scene: Scene) -> None:
    scene.recorder.answer_next(Answer(head(b"Content-Length: %d" % len(POISON)) + POISON))
    with scene.connect() as client:
        client.send(request("HEAD", "/1") + request("GET", "/2"))
        assert client.read_response("HEAD").status == 200
        assert client.read_response().body == b"/2"
    scene.settle()


def test_a_response_that_ends_with_its_connection_is_marked_in_chunks(scene: Scene) -> None:
    scene.recorder.answer_next(Answer(head(b"X: y") + b"hello", then=Then.END))
    (response, _) = scene.served(request("GET", "/1") + request("GET", "/2"), 200, 200)
    assert (response.body, response.values("Transfer-Encoding")) == (b"hello", ["chunked"])


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"], ids=["new", "old"])
def test_a_response_that_ends_by_reset_is_visibly_cut(scene: Scene, version: bytes) -> None:
    scene.recorder.answer_next(Answer(head(b"X: y") + b"hello", Moment.HEAD), Answer(b"", then=Then.RESET))
    with scene.connect() as client:
        client.send(request("GET", "/1").replace(b"HTTP/1.1", version))
        received = client.read_to_end()
        assert client.end is End.CUT
        assert not is_whole(received)
    scene.settle()


# -- what a response may say


HOP = {
    "keep_alive": b"Keep-Alive: timeout=5",
    "proxy_authenticate": b"Proxy-Authenticate: Basic",
    "proxy_connection": b"Proxy-Connection: keep-alive",
    "upgrade": b"Upgrade: h2c",
    "te": b"TE: trailers",
    "trailer": b"Trailer: X",
    "http2_settings": b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    "connection": b"Connection: keep-alive",
    "named": b"X-Named: y\r\nConnection: X-Named",
    "accept_of_a_websocket": b"Sec-WebSocket-Accept: AAAA",
}


@cases(HOP)
def test_what_belongs_to_the_upstreams_connection_stays_there(scene: Scene, case: bytes) -> None:
    scene.recorder.answer_next(Answer(head(case, b"Content-Length: 5", b"X-End: y") + b"hello"))
    (response,) = scene.served(request("GET", "/"), 200)
    name = case.partition(b":")[0].decode()
    assert response.values(name) == []
    assert response.values("X-End") == ["y"]


@pytest.mark.parametrize("reason", [b"", b" ", b" OK", b" caf\xe9", b" a:b", b" " + b"x" * 1_000])
def test_a_reason_is_words_only(scene: Scene, reason: bytes) -> None:
    scene.recorder.answer_next(Answer(head(b"Content-Length: 0", start=b"HTTP/1.1 200" + reason)))
    scene.served(request("GET", "/"), 200)


@pytest.mark.parametrize("count", [17, 1_000])
@pytest.mark.parametrize(
    "interim",
    [b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"],
)
def test_a_flood_of_interim_responses_is_a_bad_gateway(scene: Scene, interim: bytes, count: int) -> None:
    scene.recorder.answer_next(Answer(interim * count + POISON))
    with scene.connect() as client:
        client.send(request("GET", "/"))
        statuses: list[int] = []
        while not statuses or statuses[-1] < 200:
            statuses.append(client.read_response().status)
    assert statuses[-1] == 502
    assert len(statuses) <= 17
    scene.settle()


def test_two_interim_responses_are_enough_for_a_narrow_proxy(narrow: Scene) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    narrow.recorder.answer_next(Answer(hint * 2 + POISON))
    narrow.served(request("GET", "/"), 103, 103, 200)
    narrow.recorder.answer_next(Answer(hint * 3 + POISON))
    narrow.served(request("GET", "/"), 103, 103, 502)


NARROW = {
    "head": head(b"X: " + b"a" * 2_100, b"Content-Length: 0"),
    "fields": head(*[b"X: a"] * 16, b"Content-Length: 0"),
}


@cases(NARROW)
def test_the_limits_of_a_response_are_those_of_the_configuration(narrow: Scene, case: bytes) -> None:
    narrow.recorder.answer_next(Answer(case))
    narrow.served(request("GET", "/"), 502)


def test_no_detail_of_a_failure_reaches_the_client(scene: Scene) -> None:
    scene.recorder.answer_next(Answer(head(b"X: a\x00b secret")))
    (response,) = scene.served(request("GET", "/", "Accept: text/html"), 502)
    text = response.body.decode().lower()
    for word in ("secret", "traceback", "127.0.0.1", str(scene.recorder.ports["chat"]), "python", "plexigate/"):
        assert word not in text
    assert response.values("Server") == []
