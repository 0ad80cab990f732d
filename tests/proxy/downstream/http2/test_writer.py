"""Answers in HTTP/2: heads that end their streams, and what has no place there."""

from proxy.downstream.http2.writer import Http2Writer
from proxy.downstream.requests.answer_writer import OwnAnswer
from proxy.downstream.service.stamps import Stamps
from proxy.http.alternative import NO_ALTERNATIVE, AlternativeService, http3_at
from proxy.http.responses import ResponseReader
from tests.fakes_http import LIMITS, WALL_CLOCK, response
from tests.fakes_http2 import GET, Http2Conversation


class Case:
    """The writer of a stream whose client waits, beside the one of the proxy."""

    def __init__(self, alternative: AlternativeService = NO_ALTERNATIVE) -> None:
        self.talk = Http2Conversation()
        self.number = self.talk.ask(GET)
        self.stream = self.talk.streams()[0]
        self.writes = 0
        self.ended = 0
        session = self.talk.connection.session
        self.writer = Http2Writer(session, self.stream, self, Stamps(lambda: WALL_CLOCK), alternative)

    def send(self) -> None:
        """Offer what waits to the client."""
        self.talk.connection.send()

    def written(self) -> None:
        """Count it, and have it sent."""
        self.writes += 1
        self.talk.connection.flush_soon()

    def answered(self) -> None:
        """Count it."""
        self.ended += 1

    def start(self, *lines: bytes, method: bytes = b"GET") -> None:
        """Begin with the head of a server."""
        read = ResponseReader().read(response(*lines), LIMITS.head, method)
        self.writer.start(read, b"f00-1", is_request_complete=True)


def test_head_waits_until_it_is_known_whether_a_body_follows() -> None:
    case = Case()
    case.start(b"Content-Length: 0")
    case.talk.pump()
    assert case.writes == 0
    case.writer.end([])
    assert case.writer.flush() == 0
    case.talk.pump()
    assert case.talk.has_ended(case.number)
    assert case.talk.body(case.number) == b""
    assert case.writes == 1


def test_flush_sends_a_head_whose_body_comes_later_and_counts_its_body() -> None:
    case = Case()
    case.start(b"Content-Length: 5")
    assert case.writer.flush() == 0
    case.talk.pump()
    assert case.talk.status(case.number) == 200
    case.writer.data(b"hello")
    assert case.writer.flush() == 5
    case.writer.end([])
    case.writer.flush()
    case.talk.pump()
    assert (case.talk.body(case.number), case.talk.has_ended(case.number)) == (b"hello", True)


def test_trailer_fields_follow_a_head_without_a_body_too() -> None:
    case = Case()
    case.start(b"Transfer-Encoding: chunked")
    case.writer.end([(b"Grpc-Status", b"0")])
    case.writer.flush()
    case.talk.pump()
    assert case.talk.trailers(case.number) == [(b"grpc-status", b"0")]
    assert case.talk.has_ended(case.number)


def test_answer_of_the_proxy_has_no_fields_about_the_connection() -> None:
    case = Case()
    case.writer.answer(OwnAnswer(426, b"Upgrade Required", b"Upgrade: websocket\r\nX-A: 1\r\n", b"no"), stays=False)
    case.talk.pump()
    assert case.talk.head(case.number) == {b":status": b"426", b"x-a": b"1"}
    assert (case.talk.body(case.number), case.talk.has_ended(case.number)) == (b"no", True)
    assert case.ended == 0
    case.writer.complete()
    assert case.ended == 1


def test_each_answer_says_where_http_3_is_served_once_that_is_known() -> None:
    alternative = AlternativeService()
    alternative.say(http3_at(443, 60))
    own = Case(alternative)
    own.writer.answer(OwnAnswer(404, b"Not Found", b"", b""), stays=True)
    forwarded = Case(alternative)
    forwarded.start(b"Content-Length: 0")
    forwarded.writer.end([])
    forwarded.writer.flush()
    for case in (own, forwarded):
        case.talk.pump()
        assert case.talk.head(case.number)[b"alt-svc"] == b'h3=":443"; ma=60'


def test_answer_to_head_ends_with_its_head() -> None:
    case = Case()
    case.writer.answer(OwnAnswer(404, b"Not Found", b"Content-Length: 9\r\n", b""), stays=True)
    case.talk.pump()
    assert case.talk.head(case.number) == {b":status": b"404", b"content-length": b"9"}
    assert case.talk.has_ended(case.number)


def test_what_a_server_marked_is_marked_in_heads_and_trailers() -> None:
    case = Case()
    session = case.talk.connection.session
    case.writer.never_index(frozenset({b"x-key"}))
    case.start(b"Transfer-Encoding: chunked", b"X-Key: secret")
    case.writer.data(b"x")
    case.writer.never_index(frozenset({b"x-sum"}))
    case.writer.end([(b"x-sum", b"1"), (b"x-key", b"2")])
    sent = session.data_to_send(65_536)
    for mark in (b"\x10\x05x-key\x06secret", b"\x10\x05x-sum\x011", b"\x10\x05x-key\x012"):
        assert mark in sent


def test_what_a_client_does_not_take_of_a_large_piece_is_kept_behind_its_view() -> None:
    case = Case()
    body = bytes(range(250)) * 800
    buffer = bytearray(body)
    case.start(b"Content-Length: 200000")
    case.writer.data(memoryview(buffer))
    buffer[:] = bytes(len(body))
    assert case.writer.flush() == len(body)
    assert 0 < case.stream.queued < len(body), "a window holds back the rest"
    case.writer.end([])
    case.talk.pump()
    case.talk.peer.increment_flow_control_window(1 << 20)
    case.talk.peer.increment_flow_control_window(1 << 20, case.number)
    case.talk.pump()
    assert (case.talk.body(case.number), case.talk.has_ended(case.number)) == (body, True)
