"""Requests of the doctor, and what their answers mean."""

import pytest

from proxy.doctor.finding import State
from proxy.doctor.handshakes import requests
from proxy.doctor.handshakes.judgement import Subject
from proxy.doctor.handshakes.requests import Http2Get, HttpReply, NoResponse
from proxy.http.websocket.upgrade import accept_value
from proxy.http2.wire.frames import PREFACE, FrameType
from tests.http2_frames import SETTINGS, Clock, block, cut, frame

SUBJECT = Subject("public", "127.0.0.1:443", "chat.test")
VIA = b"Via: 1.1 plexigate\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + VIA + b"Content-Length: 2\r\n\r\nhi"


def test_get_names_the_doctor_and_ends_the_connection() -> None:
    lines = requests.get("chat.test", "/health").split(b"\r\n")
    assert lines[0] == b"GET /health HTTP/1.1"
    assert b"Host: chat.test" in lines
    assert b"User-Agent: plexigate-doctor" in lines
    assert b"Connection: close" in lines
    assert lines[-2:] == [b"", b""]


def test_websocket_handshake_has_what_rfc_6455_asks_for() -> None:
    lines = requests.websocket_handshake("chat.test", "/").split(b"\r\n")
    assert {b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"} < set(lines)


class TestReadReply:
    @pytest.mark.parametrize(
        ("data", "reply"),
        [
            (OK, HttpReply(200, is_relayed=True)),
            (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", HttpReply(502, is_relayed=False)),
            (b"HTTP/1.0 404\r\nVia: 2.0 other, 1.1 plexigate\r\n\r\n", HttpReply(404, is_relayed=True)),
            (b"HTTP/1.1 200 OK\r\nVia: 1.1 plexigates\r\n\r\n", HttpReply(200, is_relayed=False)),
            (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, HttpReply(200, is_relayed=True)),
            (
                b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: %b\r\n\r\n" % accept_value(requests._KEY),
                HttpReply(101, is_relayed=False, is_accepted=True),
            ),
            (
                b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: aGVsbG8=\r\n\r\n",
                HttpReply(101, is_relayed=False),
            ),
        ],
    )
    def test_whole_and_octet_by_octet(self, data: bytes, reply: HttpReply) -> None:
        assert requests.read_reply(data) == reply
        end = next(length for length in range(len(data) + 1) if requests.read_reply(data[:length]) is not None)
        assert data[:end].endswith(b"\r\n\r\n")

    @pytest.mark.parametrize("data", [b"SSH-2.0-x\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"x" * 65_537])
    def test_what_is_no_response_is_said_so(self, data: bytes) -> None:
        with pytest.raises(NoResponse) as raised:
            requests.read_reply(data)
        assert str(raised.value)


def response(*fields: tuple[bytes, bytes], ends: bool = True) -> bytes:
    return frame(FrameType.HEADERS, 0x05 if ends else 0x04, 1, block(fields))


class TestHttp2:
    def asked(self) -> Http2Get:
        get = Http2Get("chat.test", "/", Clock())
        sent = get.to_send()
        assert sent.startswith(PREFACE)
        assert [one.kind for one in cut(sent.removeprefix(PREFACE)) if one.stream == 1] == [FrameType.HEADERS]
        return get

    def test_response_behind_settings(self) -> None:
        get = self.asked()
        assert get.receive(SETTINGS) is None
        assert get.to_send()  # the acknowledgement
        fields = ((b":status", b"204"), (b"via", b"1.1 plexigate"))
        assert get.receive(response((b":status", b"103"), ends=False)) is None
        assert get.receive(response(*fields)) == HttpReply(204, is_relayed=True)

    def test_response_without_status(self) -> None:
        get = self.asked()
        with pytest.raises(NoResponse, match="without a status"):
            get.receive(SETTINGS + response((b":status", b"ok")))

    def test_reset(self) -> None:
        get = self.asked()
        with pytest.raises(NoResponse, match="error code 2"):
            get.receive(SETTINGS + frame(FrameType.RST_STREAM, 0, 1, bytes([0, 0, 0, 2])))

    def test_broken_session(self) -> None:
        get = self.asked()
        with pytest.raises(NoResponse, match="broken HTTP/2 session"):
            get.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("reply", "state", "words"),
    [
        (HttpReply(200, is_relayed=True), State.OK, "the server behind the proxy answers 200"),
        (HttpReply(404, is_relayed=False), State.OK, "the proxy itself answers 404"),
        (HttpReply(500, is_relayed=True), State.WARNING, "the server behind the proxy answers 500"),
        (HttpReply(502, is_relayed=False), State.FAILURE, "the proxy answers 502"),
    ],
)
def test_answers_to_a_get(reply: HttpReply, state: State, words: str) -> None:
    finding = requests.reply_finding(requests.HTTP_2, SUBJECT, reply)
    assert finding.state is state
    assert words in finding.found
    assert (state is State.OK) != bool(finding.remedy)


@pytest.mark.parametrize(
    ("reply", "state", "words"),
    [
        (HttpReply(101, is_relayed=True, is_accepted=True), State.OK, "switched to WebSocket"),
        (HttpReply(101, is_relayed=True), State.FAILURE, "101 without the Sec-WebSocket-Accept"),
        (HttpReply(426, is_relayed=True), State.OK, "the server has no WebSocket here, and answers 426"),
        (HttpReply(403, is_relayed=False), State.OK, "the proxy itself answers 403"),
        (HttpReply(503, is_relayed=True), State.WARNING, "the server behind the proxy answers 503"),
        (HttpReply(502, is_relayed=False), State.FAILURE, "the proxy answers 502"),
    ],
)
def test_answers_to_a_websocket_handshake(reply: HttpReply, state: State, words: str) -> None:
    finding = requests.upgrade_finding(SUBJECT, reply)
    assert finding.state is state
    assert words in finding.found


def test_no_reply_and_another_protocol_are_failures() -> None:
    assert requests.no_reply(requests.HTTP_1, SUBJECT, "nothing within 5 s").state is State.FAILURE
    finding = requests.wrong_protocol(requests.HTTP_2, SUBJECT, "", "h2")
    assert finding.state is State.FAILURE
    assert finding.found == "ALPN settled nothing where h2 was offered"
    assert "settled http/1.1 where" in requests.wrong_protocol(requests.HTTP_2, SUBJECT, "http/1.1", "h2").found
