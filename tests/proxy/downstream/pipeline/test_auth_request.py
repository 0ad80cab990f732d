"""The question to an authorization server: who passes, who gets its answer, and what happens without a verdict."""

import pytest

from proxy.auth.rules import AuthRule
from proxy.downstream.pipeline.auth_request import MOST_BODY_BYTES
from proxy.upstream.pooling.failures import UpstreamFault
from tests.fakes_http import DATE, Conversation, FakeStream, request, response
from tests.fakes_http2 import CONNECT, GET, POST, Http2Conversation

RULE = AuthRule("sso", b"/verify", frozenset({b"x-user"}), 5.0)
YES = response(b"Content-Length: 0", b"X-User: ada", start=b"HTTP/1.1 204 No Content").replace(
    b"Content-Length: 0\r\n", b""
)
NO = response(
    b"Location: https://sso.test/login",
    b"Set-Cookie: state=1",
    b"Content-Length: 5",
    start=b"HTTP/1.1 302 Found",
    body=b"login",
)


class AuthServer:
    """The authorization server of a conversation. It keeps its connection."""

    def __init__(self, of: Conversation) -> None:
        self._of = of
        self.stream: FakeStream

    def answers(self, answer: bytes) -> bytes:
        """Answer the question; returns it."""
        if self._of.sso.waiting:
            self.stream = self._of.sso.lend()
        asked = self.stream.sent()
        self.stream.receive(answer)
        self._of.loop.settle()
        return asked


def guarded() -> tuple[Conversation, AuthServer]:
    of = Conversation(auth=RULE)
    return of, AuthServer(of)


def guarded_streams() -> tuple[Http2Conversation, AuthServer]:
    of = Http2Conversation(auth=RULE)
    return of, AuthServer(of)


def test_request_goes_on_with_the_fields_of_the_verdict_and_not_with_forged_ones() -> None:
    of, server = guarded()
    of.receive(request(b"X-User: root", b"x_user: root", b"Cookie: s=1", start=b"GET /x?y HTTP/1.1"))
    assert of.server.waiting == []
    asked = server.answers(YES)
    assert asked.startswith(b"GET /verify HTTP/1.1\r\nHost: chat.test\r\n")
    assert b"\r\nX-Forwarded-Uri: /x?y\r\n" in asked
    got = of.answer(response(b"Content-Length: 2", body=b"hi"))
    assert got.startswith(b"GET /x?y HTTP/1.1\r\n")
    assert b"root" not in got
    assert b"\r\nx-user: ada\r\n" in got
    assert b"\r\nCookie: s=1\r\n" in got
    assert of.client.sent().endswith(b"\r\n\r\nhi")
    assert [(record.status, record.error) for record in of.records] == [(200, None)]


def test_every_other_answer_goes_to_the_client_and_the_connection_stays() -> None:
    of, server = guarded()
    of.receive(request())
    server.answers(NO)
    sent = of.client.sent()
    assert sent.startswith(b"HTTP/1.1 302 Found\r\nLocation: https://sso.test/login\r\nSet-Cookie: state=1\r\n")
    assert b"\r\nVia: 1.1 plexigate\r\n" in sent
    assert b"\r\nContent-Length: 5\r\n" in sent
    assert b"\r\nDate: " + DATE in sent
    assert sent.endswith(b"\r\n\r\nlogin")
    assert of.server.waiting == []
    assert [(one.status, one.error) for one in of.records] == [(302, "auth: the authorization server said 302")]
    of.receive(request())
    server.answers(YES)
    assert len(of.server.waiting) == 1


def test_answer_with_a_date_and_an_id_of_its_own_keeps_them_and_head_gets_no_body() -> None:
    of, server = guarded()
    of.receive(request(start=b"HEAD / HTTP/1.1"))
    server.answers(NO.replace(b"\r\n\r\n", b"\r\nDate: today\r\nX-Request-Id: theirs\r\n\r\n", 1))
    sent = of.client.sent()
    assert (sent.count(b"\r\nDate: "), sent.count(b"\r\nX-Request-Id: ")) == (1, 1)
    assert sent.endswith(b"\r\n\r\n")


def test_body_waits_for_the_verdict_and_then_goes_on() -> None:
    of, server = guarded()
    of.receive(request(b"Content-Length: 10", start=b"POST / HTTP/1.1", body=b"hello"))
    assert not of.client.is_reading
    server.answers(YES)
    backend = of.server.lend()
    assert of.client.is_reading
    assert backend.sent().endswith(b"\r\n\r\nhello")
    of.receive(b"world")
    assert backend.sent() == b"world"


def test_client_that_waits_for_a_100_is_invited_after_the_verdict_only() -> None:
    of, server = guarded()
    of.receive(request(b"Content-Length: 5", b"Expect: 100-continue", start=b"POST / HTTP/1.1"))
    assert of.client.sent() == b""
    server.answers(NO)
    assert of.client.sent().startswith(b"HTTP/1.1 302 ")
    assert of.client.ending is not None  # its body may follow: the connection cannot stay


def test_without_an_answer_in_time_nothing_passes() -> None:
    of, _ = guarded()
    of.receive(request())
    stream = of.sso.lend()
    of.advance(5.1)
    assert of.client.sent().startswith(b"HTTP/1.1 504 ")
    assert stream.ending is not None
    (record,) = of.records
    assert record.error is not None
    assert record.error.startswith("auth_failed: the upstream did not answer in time: no answer within 5 s")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"nonsense\r\n\r\n", 502),
        (response(b"ETag: x", start=b"HTTP/1.1 304 Not Modified"), 502),
        (response(b"Content-Length: 70000", start=b"HTTP/1.1 403 Forbidden", body=b"x" * (MOST_BODY_BYTES + 1)), 502),
        (response(b"Content-Length: 65537", start=b"HTTP/1.1 403 Forbidden", body=b"x" * (MOST_BODY_BYTES + 1)), 502),
    ],
)
def test_no_complete_answer_is_no_verdict(answer: bytes, status: int) -> None:
    of, server = guarded()
    of.receive(request())
    server.answers(answer)
    assert of.client.sent().startswith(b"HTTP/1.1 %d " % status)
    assert of.server.waiting == []


def test_server_that_cannot_be_reached_lets_nobody_in() -> None:
    of, _ = guarded()
    of.receive(request())
    of.sso.fail(UpstreamFault.UNREACHABLE)
    of.loop.settle()
    assert of.client.sent().startswith(b"HTTP/1.1 502 ")
    of.sso.server.check_told(is_up=False)
    of.receive(request())
    assert of.client.sent().startswith(b"HTTP/1.1 503 ")
    assert [one.error and one.error.partition(":")[0] for one in of.records] == ["auth_failed", "auth_failed"]


def test_interim_answers_mean_nothing_and_errors_of_the_server_go_to_the_client() -> None:
    of, server = guarded()
    of.receive(request())
    server.answers(b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(b"Content-Length: 0", start=b"HTTP/1.1 500 Oops"))
    assert of.client.sent().startswith(b"HTTP/1.1 500 Oops\r\n")


def test_dead_connection_is_replaced_once() -> None:
    of, server = guarded()
    of.receive(request())
    server.answers(YES)
    of.answer(response(b"Content-Length: 0"))
    of.receive(request())
    server.stream.receive_end()
    of.loop.settle()
    server.answers(YES)
    of.receive(b"")
    assert of.records[0].status == 200
    assert of.server.idle == []  # the second request has the connection


def test_client_that_leaves_ends_the_question() -> None:
    of, _ = guarded()
    of.receive(request())
    stream = of.sso.lend()
    of.client.lose()
    of.loop.settle()
    assert stream.ending is not None
    assert [one.status for one in of.records] == [499]
    of.advance(10.0)  # no deadline is left
    assert len(of.records) == 1


def test_client_that_leaves_while_the_question_waits_for_a_connection() -> None:
    of, _ = guarded()
    of.receive(request())
    of.client.lose()
    assert not of.sso.waiting[0].is_waiting
    of.sso.lend(FakeStream)


class TestHttp2:
    """The same for streams."""

    def test_streams_wait_each_for_its_own_verdict(self) -> None:
        of, server = guarded_streams()
        one, two = of.ask(GET), of.ask(GET)
        server.answers(NO)
        server.answers(YES)
        of.pump()
        assert of.status(one) == 302
        of.respond(response(b"Content-Length: 2", body=b"hi"))
        assert of.body(two) == b"hi"

    def test_body_gets_no_credit_before_the_verdict(self) -> None:
        of, server = guarded_streams()
        stream = of.ask(POST, body=b"x" * 40_000, ends=False)
        assert of.peer.local_flow_control_window(stream) == 25_536
        server.answers(YES)
        of.pump()
        got = of.respond(response(b"Content-Length: 0"))
        assert b"x" * 1_000 in got

    def test_websockets_are_guarded_as_all_else(self) -> None:
        of, server = guarded_streams()
        stream = of.ask(CONNECT, ends=False)
        server.answers(NO)
        of.pump()
        assert of.status(stream) == 302
        assert of.server.waiting == []

    def test_reset_stream_ends_its_question(self) -> None:
        of, _ = guarded_streams()
        stream = of.ask(GET)
        asked = of.sso.lend()
        of.peer.reset_stream(stream)
        of.pump()
        assert asked.ending is not None
