"""What the proxy answers itself: the body is read to its end, the answer framed for the client,
the connection continues."""

from collections.abc import Callable

import pytest

from proxy.downstream.requests.endpoint import Endpoint
from proxy.downstream.service.slow_work import WorkCrowdedOut, WorkOutcome
from proxy.http.local_answers import LocalAnswer, LocalRequest, WrongMethod
from proxy.limits.fair_queue import NoRoom
from proxy.limits.request_rates import ClientRates, RequestRate
from proxy.payload.endpoints import FOR_EVERY_ORIGIN, SlowAnswer
from proxy.payload.keys.suites import MessageUnreadable
from proxy.payload.messages.causes import Cause, PayloadFault
from tests.fakes_http import DATE, Conversation, request

START = b"POST /x HTTP/1.1"


def told(asked: LocalRequest, now: float) -> LocalAnswer:
    """Answer with what came."""
    assert now > 0
    match asked.method:
        case b"DELETE":
            raise WrongMethod(b"POST")
        case b"PUT":
            raise PayloadFault(Cause.BAD_HANDSHAKE)
        case b"OPTIONS":
            return LocalAnswer(204, b"", b"")
        case _:
            return LocalAnswer(200, asked.method + b" " + asked.body, b"X-Mine: 1\r\n")


def asked(*pieces: bytes, rate: RequestRate | None = None) -> Conversation:
    of = Conversation(
        endpoint=Endpoint(told, takes_body=True, mark=FOR_EVERY_ORIGIN), rate=rate, rates=ClientRates(b"network")
    )
    of.receive(*pieces)
    assert of.server.waiting == []
    return of


def test_answer_has_what_every_answer_has_and_the_next_request_follows() -> None:
    of = asked(request(b"Content-Length: 5", start=START) + b"hello" + request(start=b"GET /y HTTP/1.1"))
    of.loop.settle()
    first, second = (part for part in of.client.sent().split(b"HTTP/1.1 ") if part)
    assert first.startswith(b"200 OK\r\nX-Mine: 1\r\nContent-Length: 10\r\nDate: " + DATE + b"\r\nX-Request-Id: ")
    assert first.endswith(b"\r\n\r\nPOST hello")
    assert second.endswith(b"\r\n\r\nGET ")
    assert [(record.status, record.response_bytes) for record in of.records] == [(200, 10), (200, 4)]
    assert of.client.ending is None


def test_body_may_come_octet_by_octet() -> None:
    data = request(b"Transfer-Encoding: chunked", start=START) + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    assert asked(*(data[at : at + 1] for at in range(len(data)))).client.sent().endswith(b"POST hello")


def test_head_has_the_length_and_no_body() -> None:
    answer = asked(request(start=b"HEAD /x HTTP/1.1")).client.sent()
    assert b"Content-Length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_no_content_has_no_length() -> None:
    assert b"Content-Length" not in asked(request(start=b"OPTIONS /x HTTP/1.1")).client.sent()


@pytest.mark.parametrize(
    ("start", "lines", "connection", "ending"),
    [
        (b"GET /x HTTP/1.1", [b"Connection: close"], b"Connection: close", "end"),
        (b"GET /x HTTP/1.0", [b"Connection: keep-alive"], b"Connection: keep-alive", None),
        (b"GET /x HTTP/1.0", [], b"Connection: close", "end"),
    ],
)
def test_connection_is_told_about(start: bytes, lines: list[bytes], connection: bytes, ending: str | None) -> None:
    of = asked(request(*lines, start=start))
    assert connection + b"\r\n" in of.client.sent()
    assert of.client.ending == ending


def test_refusals_are_those_of_the_proxy() -> None:
    answer = asked(request(start=b"DELETE /x HTTP/1.1")).client.sent()
    assert answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"\r\nAllow: POST\r\n" in answer
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in answer
    answer = asked(request(b"Content-Length: 1", start=b"PUT /x HTTP/1.1") + b"x").client.sent()
    assert b"payload-session-request-invalid" in answer
    assert (
        b"\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After, X-Request-Id\r\n" in answer
    )


def test_client_that_waits_is_told_to_go_on() -> None:
    of = asked(request(b"Content-Length: 2", b"Expect: 100-continue", start=START))
    assert of.client.sent() == b"HTTP/1.1 100 Continue\r\n\r\n"
    of.receive(b"ok")
    assert of.client.sent().endswith(b"POST ok")


def test_request_behind_a_body_that_came_later_is_answered_too() -> None:
    """In the very read that ends the body: with nothing more to come, nobody would look at it
    again."""
    of = asked(request(b"Content-Length: 5", start=START))
    of.receive(b"hello" + request(start=b"GET /y HTTP/1.1"))
    of.loop.settle()
    assert of.client.sent().count(b"HTTP/1.1 200 OK") == 2
    assert of.downstream.deadline == of.loop.now + 75


def test_nothing_is_computed_for_who_is_over_the_rate() -> None:
    """The endpoint is not asked: of a request that comes whole, nor of one whose body comes
    later."""
    rate = RequestRate.of("x", 1.0, 1, is_per_client=True)
    of = asked(request(b"Content-Length: 2", start=START) + b"ok", rate=rate)
    assert of.client.sent().endswith(b"POST ok")
    of.receive(request(b"Content-Length: 2", start=START) + b"ok")
    answer = of.client.sent()
    assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nRetry-After: 1\r\n" in answer
    assert of.client.ending is None
    of.receive(request(b"Content-Length: 2", start=START))
    assert of.client.sent().startswith(b"HTTP/1.1 429 ")
    assert [(record.status, record.error) for record in of.records[1:]] == [(429, "request_rate")] * 2


def test_body_that_is_too_long_is_refused() -> None:
    of = asked(request(b"Content-Length: 100001", start=START))
    assert of.client.sent().startswith(b"HTTP/1.1 413 ")


def test_what_a_websocket_client_sends_ahead_is_no_request() -> None:
    lines = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    of = asked(request(*lines, key, start=b"GET /x HTTP/1.1") + request(start=b"GET /y HTTP/1.1"))
    of.loop.settle()
    answer = of.client.sent()
    assert answer.count(b"HTTP/1.1") == 1
    assert b"Connection: close\r\n" in answer
    assert of.client.ending is not None


class Slow:
    """In the place of the thread: computes when the test says so, or takes nothing."""

    def __init__(self, room: NoRoom | None) -> None:
        self.jobs: list[tuple[bytes, Callable[[], bool], Callable[[], bytes], WorkOutcome]] = []
        self._room = room

    def begin(
        self, network: bytes, is_wanted: Callable[[], bool], compute: Callable[[], bytes], outcome: WorkOutcome
    ) -> NoRoom | None:
        """Note it."""
        self.jobs.append((network, is_wanted, compute, outcome))
        return self._room

    def run(self) -> None:
        """Compute what was begun last."""
        _, _, compute, outcome = self.jobs[-1]
        try:
            result = compute()
        except Exception as error:  # noqa: BLE001 - handed on, as the thread does
            outcome(None, error)
        else:
            outcome(result, None)


OFTEN = RequestRate.of("slow", 1_000.0, 1_000, is_per_client=True)


def slowly(
    secret: Callable[[], bytes] = lambda: b"secret", rate: RequestRate = OFTEN, room: NoRoom | None = None
) -> tuple[Conversation, Slow]:
    """A conversation whose answers take a thread."""

    def answer(_asked: LocalRequest, _now: float) -> SlowAnswer:
        return SlowAnswer(rate, secret, lambda found: LocalAnswer(200, b"with " + found, b""))

    of, slow = Conversation(endpoint=Endpoint(answer, takes_body=True), rates=ClientRates(b"network")), Slow(room)
    of.service.slow_work = slow
    return of, slow


def test_answer_that_takes_a_thread_comes_when_it_is_there() -> None:
    of, slow = slowly()
    of.receive(request(start=b"GET /x HTTP/1.1"))
    (network, is_wanted, _, _) = slow.jobs[0]
    assert (network, is_wanted(), of.client.sent()) == (b"network", True, b"")
    slow.run()
    assert of.client.sent().endswith(b"\r\n\r\nwith secret")
    of.receive(request(start=b"GET /y HTTP/1.1"))
    slow.run()
    assert of.client.sent().endswith(b"\r\n\r\nwith secret")


def test_nothing_is_answered_to_a_client_that_has_left_meanwhile() -> None:
    of, slow = slowly()
    of.receive(request(start=b"GET /x HTTP/1.1"))
    of.client.owner.connection_lost(None)
    assert not slow.jobs[0][1]()
    slow.run()
    assert of.client.sent() == b""


def test_message_that_cannot_be_read_is_refused_and_an_error_of_ours_is_reported() -> None:
    def unreadable() -> bytes:
        raise MessageUnreadable

    of, slow = slowly(unreadable)
    of.receive(request(start=b"GET /x HTTP/1.1"))
    slow.run()
    assert b"payload-session-request-invalid" in of.client.sent()

    def broken() -> bytes:
        raise OSError("a fault of ours")

    of, slow = slowly(broken)
    of.receive(request(start=b"GET /x HTTP/1.1"))
    with pytest.raises(OSError, match="a fault of ours"):
        slow.run()
    assert of.client.sent().startswith(b"HTTP/1.1 500 ")
    assert [(record.status, record.error) for record in of.records] == [(500, "payload: a session could not be made")]


def test_client_is_not_blamed_for_what_others_have_in_the_queue() -> None:
    of, _ = slowly(room=NoRoom.FULL)
    of.receive(request(start=b"GET /x HTTP/1.1"))
    answer = of.client.sent()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in answer

    def crowded_out() -> bytes:
        raise WorkCrowdedOut

    of, slow = slowly(crowded_out)
    of.receive(request(start=b"GET /x HTTP/1.1"))
    slow.run()
    assert of.client.sent().startswith(b"HTTP/1.1 503 ")


def test_thread_has_a_rate_and_a_queue_of_its_own() -> None:
    of, slow = slowly(rate=RequestRate.of("slow", 0.5, 1, is_per_client=True))
    of.receive(request(start=b"GET /x HTTP/1.1"))
    slow.run()
    of.receive(request(start=b"GET /x HTTP/1.1"))
    assert len(slow.jobs) == 1
    answer = of.client.sent()
    assert b"HTTP/1.1 429" in answer
    assert b"Retry-After: 2" in answer
    of, _ = slowly(room=NoRoom.SHARE)
    of.receive(request(start=b"GET /x HTTP/1.1"))
    answer = of.client.sent()
    assert b"HTTP/1.1 429" in answer
    assert b"Retry-After: 1" in answer


def fixed(*pieces: bytes, status: int = 200) -> Conversation:
    """A conversation with an endpoint that reads no body."""

    def answer(asked: LocalRequest, _now: float) -> LocalAnswer:
        assert asked.body == b""
        return LocalAnswer(status, b"fixed", b"")

    of = Conversation(endpoint=Endpoint(answer))
    of.receive(*pieces)
    return of


def test_body_that_nothing_reads_is_taken_off_before_the_next_request() -> None:
    body = b"GET /smuggled HTTP/1.1\r\nHost: chat.test\r\n\r\n"
    length = b"Content-Length: %d" % len(body)
    of = fixed(request(length, start=START) + body[:9])
    assert of.client.sent() == b""
    of.receive(body[9:] + request(start=b"GET /y HTTP/1.1"))
    of.loop.settle()
    answer = of.client.sent()
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert [record.target and record.target.path for record in of.records] == ["/x", "/y"]


def test_client_that_holds_its_body_back_gets_its_answer_and_no_more() -> None:
    """Whether the body still comes is not known, so nothing behind the head may become a
    request."""
    of = fixed(request(b"Content-Length: 40", b"Expect: 100-continue", start=START) + b"GET /y HTTP/1.1\r\nHost:")
    answer = of.client.sent()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"Connection: close\r\n" in answer
    assert of.client.ending == "end"


def test_body_over_the_limit_of_the_route_is_refused_while_it_comes() -> None:
    of = fixed(request(b"Transfer-Encoding: chunked", start=START))
    of.receive(b"186a1\r\n" + b"x" * 100_001)
    assert of.client.sent().startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(("status", "line"), [(304, b"HTTP/1.1 304 Not Modified"), (599, b"HTTP/1.1 599 ")])
def test_status_has_its_phrase_and_only_content_has_a_length(status: int, line: bytes) -> None:
    answer = fixed(request(), status=status).client.sent()
    assert answer.startswith(line + b"\r\n")
    assert (b"Content-Length: 5\r\n" in answer) == (status == 599)


def test_body_that_comes_after_a_blocked_answer_is_not_answered_once_more() -> None:
    """The client asked whether to send its body, got a long answer, takes nothing of it, and
    sends the body anyway."""

    def answer(_asked: LocalRequest, _now: float) -> LocalAnswer:
        of.downstream.pause_writing()
        return LocalAnswer(200, b"long", b"")

    of = Conversation(endpoint=Endpoint(answer))
    of.receive(request(b"Content-Length: 5", b"Expect: 100-continue", start=START))
    of.receive(b"hello" + request(start=b"GET /y HTTP/1.1"))
    of.downstream.resume_writing()
    of.loop.settle()
    assert of.client.sent().count(b"HTTP/1.1 200 OK") == 1
    assert (len(of.records), of.client.ending) == (1, "end")
