"""The first line of a request, and protocols that only look like HTTP/1.1 (RFC 9112 sections 2.2 and 3)."""

import pytest

from tests.hostile.client import Cut, End
from tests.hostile.scene import ALL_CUTS, CUTS, SMUGGLED, Scene, cases, request


def led_by(line: bytes) -> bytes:
    """A request with this as its first line."""
    return line + b"\r\nHost: chat.test\r\n\r\n"


METHODS = {
    "connect": (b"CONNECT chat.test:443 HTTP/1.1", 501),
    "connect_to_a_path": (b"CONNECT / HTTP/1.1", 501),
    "trace": (b"TRACE / HTTP/1.1", 501),
    "track": (b"TRACK / HTTP/1.1", 501),
    "options_asterisk": (b"OPTIONS * HTTP/1.1", 501),
    "options_without_path": (b"OPTIONS https://chat.test HTTP/1.1", 501),
    "unknown": (b"BREW / HTTP/1.1", 501),
    "small_letters": (b"get / HTTP/1.1", 501),
    "capitalised": (b"Get / HTTP/1.1", 501),
    "longer": (b"GETX / HTTP/1.1", 501),
    "shorter": (b"GE / HTTP/1.1", 501),
    "underscore": (b"GE_T / HTTP/1.1", 501),
    "rtsp_method": (b"DESCRIBE / HTTP/1.1", 501),
    "sip_method": (b"INVITE / HTTP/1.1", 501),
    "purge": (b"PURGE / HTTP/1.1", 501),
    "m_search": (b"M-SEARCH / HTTP/1.1", 501),
    "source": (b"SOURCE / HTTP/1.1", 501),
    "query": (b"QUERY / HTTP/1.1", 501),
    "very_long": (b"G" * 8_000 + b" / HTTP/1.1", 501),
    "at_sign": (b"G@T / HTTP/1.1", 400),
    "colon": (b"GET: / HTTP/1.1", 400),
    "quotes": (b'"GET" / HTTP/1.1', 400),
    "slash": (b"GET/ / HTTP/1.1", 400),
    "nul_within": (b"GE\x00T / HTTP/1.1", 400),
    "nul_before": (b"\x00GET / HTTP/1.1", 400),
    "escape": (b"\x1bGET / HTTP/1.1", 400),
    "high_bit": (b"\xc7ET / HTTP/1.1", 400),
    "empty": (b" / HTTP/1.1", 400),
    "utf_8_bom": (b"\xef\xbb\xbfGET / HTTP/1.1", 400),
}

VERSIONS = {
    "http_2_0": (b"GET / HTTP/2.0", 505),
    "http_2": (b"GET / HTTP/2", 400),
    "http_3_0": (b"GET / HTTP/3.0", 505),
    "http_1_2": (b"GET / HTTP/1.2", 505),
    "http_1_9": (b"GET / HTTP/1.9", 505),
    "http_0_9": (b"GET / HTTP/0.9", 505),
    "http_9_9": (b"GET / HTTP/9.9", 505),
    "http_1_10": (b"GET / HTTP/1.10", 400),
    "http_01_1": (b"GET / HTTP/01.1", 400),
    "http_1": (b"GET / HTTP/1", 400),
    "http_1_": (b"GET / HTTP/1.", 400),
    "http_11": (b"GET / HTTP/11", 400),
    "http_comma": (b"GET / HTTP/1,1", 400),
    "http_minus": (b"GET / HTTP/-1.1", 400),
    "letters": (b"GET / HTTP/x.y", 400),
    "superscript": (b"GET / HTTP/1.\xb9", 400),
    "small_letters": (b"GET / http/1.1", 400),
    "mixed_letters": (b"GET / Http/1.1", 400),
    "space_within": (b"GET / HTTP/ 1.1", 400),
    "space_before_slash": (b"GET / HTTP /1.1", 400),
    "no_slash": (b"GET / HTTP1.1", 400),
    "something_behind": (b"GET / HTTP/1.1x", 400),
    "nul_behind": (b"GET / HTTP/1.1\x00", 400),
    "rtsp": (b"GET / RTSP/1.0", 400),
    "rtsp_options": (b"OPTIONS rtsp://chat.test/ RTSP/1.0", 400),
    "sip": (b"OPTIONS sip:chat.test SIP/2.0", 400),
    "icecast": (b"GET / ICE/1.0", 400),
    "https": (b"GET / HTTPS/1.1", 400),
    "shttp": (b"GET / Secure-HTTP/1.4", 400),
    "http_0_9_simple": (b"GET /", 400),
    "empty": (b"GET / ", 400),
    "version_only": (b"HTTP/1.1", 400),
    "a_response": (b"HTTP/1.1 200 OK", 400),
    "http_2_preface": (b"PRI * HTTP/2.0", 505),
}

SPACES = {
    "two_before_target": b"GET  / HTTP/1.1",
    "two_before_version": b"GET /  HTTP/1.1",
    "many": b"GET     /     HTTP/1.1",
    "leading": b" GET / HTTP/1.1",
    "trailing": b"GET / HTTP/1.1 ",
    "leading_tab": b"\tGET / HTTP/1.1",
    "trailing_tab": b"GET / HTTP/1.1\t",
    "tabs": b"GET\t/\tHTTP/1.1",
    "tab_before_version": b"GET /\tHTTP/1.1",
    "tab_behind_space": b"GET \t/ HTTP/1.1",
    "vertical_tabs": b"GET\x0b/\x0bHTTP/1.1",
    "form_feeds": b"GET\x0c/\x0cHTTP/1.1",
    "returns": b"GET\r/\rHTTP/1.1",
    "return_before_version": b"GET / \rHTTP/1.1",
    "no_break_spaces": b"GET\xa0/\xa0HTTP/1.1",
    "space_in_target": b"GET /a b HTTP/1.1",
    "request_in_target": b"GET /a HTTP/1.1 HTTP/1.1",
    "request_in_target_by_tab": b"GET /a\tHTTP/1.1\tX HTTP/1.1",
    "no_space": b"GET/HTTP/1.1",
    "no_space_before_target": b"GET/ HTTP/1.1",
    "nul": b"GET\x00/\x00HTTP/1.1",
    "empty": b"",
    "one_word": b"GET",
    "colon": b"GET: / HTTP/1.1",
}

LINE_ENDS = {
    "newline_only": b"GET / HTTP/1.1\nHost: chat.test\n\n\r\n\r\n",
    "newline_behind_the_line": b"GET / HTTP/1.1\nHost: chat.test\r\n\r\n",
    "newline_behind_a_field": b"GET / HTTP/1.1\r\nHost: chat.test\nX: y\r\n\r\n",
    "newline_ends_the_head": b"GET / HTTP/1.1\r\nHost: chat.test\r\n\n\r\n\r\n",
    "two_newlines": b"GET / HTTP/1.1\r\nHost: chat.test\n\n\r\n\r\n",
    "return_only": b"GET / HTTP/1.1\rHost: chat.test\r\r\n\r\n",
    "return_behind_a_field": b"GET / HTTP/1.1\r\nHost: chat.test\rX: y\r\n\r\n",
    "return_return_newline": b"GET / HTTP/1.1\r\r\nHost: chat.test\r\n\r\n",
    "newline_return": b"GET / HTTP/1.1\n\rHost: chat.test\r\n\r\n",
    "newline_before": b"\nGET / HTTP/1.1\r\nHost: chat.test\r\n\r\n",
    "return_before": b"\rGET / HTTP/1.1\r\nHost: chat.test\r\n\r\n",
    "three_empty_lines_before": b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: chat.test\r\n\r\n",
    "line_separator": "GET / HTTP/1.1\u2028Host: chat.test\r\n\r\n".encode(),
    "next_line": b"GET / HTTP/1.1\x85Host: chat.test\r\n\r\n",
    "vertical_tab": b"GET / HTTP/1.1\x0bHost: chat.test\r\n\r\n",
}

FOREIGN = {
    "http_2_preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "http_2_preface_cut_short": b"PRI * HTTP/2.0\r\n\r\n",
    "tls_hello": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "smtp": b"EHLO chat.test\r\nMAIL FROM:<a@b>\r\n\r\n",
    "ftp": b"USER anonymous\r\nPASS x\r\n\r\n",
    "imap": b"a001 LOGIN user password\r\n\r\n",
    "redis": b"*1\r\n$4\r\nPING\r\n\r\n",
    "memcached": b"set key 0 0 4\r\nGET /\r\n\r\n",
    "fastcgi": b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\r\n\r\n",
    "ajp": b"\x12\x34\x00\x01\x0a\r\n\r\n",
    "proxy_protocol_1": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: chat.test\r\n\r\n",
    "proxy_protocol_2": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\x00\x02"
    + request(),
    "websocket_frames": b"\x81\x85\x00\x00\x00\x00hello\r\n\r\n",
    "gopher": b"/selector\tterms\r\n\r\n",
    "json": b'{"jsonrpc":"2.0","method":"x"}\r\n\r\n',
    "mqtt": b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00\r\n\r\n",
    "zeros": bytes(64) + b"\r\n\r\n",
    "ones": b"\xff" * 64 + b"\r\n\r\n",
}


@CUTS
@cases({**METHODS, **VERSIONS})
def test_a_foreign_method_or_version_is_refused(scene: Scene, case: tuple[bytes, int], cut: Cut) -> None:
    line, status = case
    scene.refused(led_by(line) + SMUGGLED, status, cut=cut)


@CUTS
@cases(SPACES)
def test_words_that_are_not_parted_by_single_spaces_are_refused(scene: Scene, case: bytes, cut: Cut) -> None:
    if not case:
        case = b"\r\n\r\n"  # a third empty line follows, and the fields stand where a request line belongs
    scene.refused(led_by(case) + SMUGGLED, 400, cut=cut)


@CUTS
@cases(LINE_ENDS)
def test_a_line_end_that_is_not_crlf_is_refused(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.refused(case + SMUGGLED, 400, cut=cut)


@CUTS
@cases(FOREIGN)
def test_another_protocol_is_refused(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.refused(case + SMUGGLED, 400, 501, 505, cut=cut)


@ALL_CUTS
@pytest.mark.parametrize("lines", [1, 2])
def test_up_to_two_empty_lines_before_a_request_are_ignored(scene: Scene, lines: int, cut: Cut) -> None:
    raw = b"\r\n" * lines + request(target="/first") + b"\r\n" * lines + request(target="/second")
    scene.served(raw, 200, 200, cut=cut)
    assert scene.targets == ["/first", "/second"]


SIMPLE = {"get": b"GET /\r\n", "get_without_end": b"GET /"}


@CUTS
@cases(SIMPLE)
def test_a_request_of_http_0_9_gets_no_answer_without_a_head(scene: Scene, case: bytes, cut: Cut) -> None:
    with scene.connect() as client:
        client.send(case, cut)
        client.shut_down()
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.begun == []


@CUTS
@pytest.mark.parametrize("case", [b"GET /\n", b"GET / HTTP/1.1\nHost: chat.test\n\n", b"\n"])
def test_a_line_that_ends_with_lf_alone_is_refused_at_once(scene: Scene, case: bytes, cut: Cut) -> None:
    """Its head would never end for us, so waiting helps nobody."""
    scene.refused(case, 400, cut=cut)


@pytest.mark.parametrize("octet", [octet for octet in range(0x21) if octet != 0x20] + [0x7F, 0x80, 0xA0, 0xFF])
@pytest.mark.parametrize("place", [b"G%cET / HTTP/1.1", b"GET /%c HTTP/1.1", b"GET / HTTP/%c1.1", b"GET / HTTP/1.1%c"])
def test_no_octet_that_is_not_visible_is_taken_anywhere_in_the_line(scene: Scene, octet: int, place: bytes) -> None:
    scene.refused(led_by(place % octet) + SMUGGLED, 400)


@CUTS
def test_http_1_0_is_spoken_as_http_1_1_to_the_upstream(scene: Scene, cut: Cut) -> None:
    with scene.connect() as client:
        client.send(request().replace(b"HTTP/1.1", b"HTTP/1.0") + SMUGGLED, cut)
        assert client.read_response().values("Connection") == ["close"]
        assert client.await_end() is End.CLEAN
    assert scene.only_request().start[2] == b"HTTP/1.1"
    (via,) = scene.only_request().values("Via")
    assert via.startswith("1.0 plexigate-")
