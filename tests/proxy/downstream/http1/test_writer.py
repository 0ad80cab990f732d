"""Answers in HTTP/1.1: the client is told what becomes of its connection, and where a body ends."""

import pytest

from proxy.downstream.http1.writer import Http1Writer, whole_answer
from proxy.downstream.requests.answer_writer import OwnAnswer
from proxy.downstream.requests.body import CONTINUE
from proxy.downstream.requests.request import RequestReader
from proxy.downstream.service.stamps import Stamps
from proxy.http.alternative import AlternativeService, http3_at
from proxy.http.delivery import Persistence
from proxy.http.responses import Response, ResponseReader
from proxy.http.websocket.upgrade import accept_value
from tests.fakes_http import LIMITS, WALL_CLOCK, FakeClient, request, response

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
WEBSOCKET = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: " + KEY,
)
CHUNKED = b"Transfer-Encoding: chunked"


class Case:
    """A client whose request is answered."""

    def __init__(self, *lines: bytes, start: bytes = b"GET / HTTP/1.1", may_stay: bool = True) -> None:
        self.client = FakeClient(may_stay=may_stay)
        self.request = RequestReader().read(request(*lines, start=start), LIMITS.head)
        self.writer = Http1Writer(self.client, Stamps(lambda: WALL_CLOCK), self.request)

    def respond(self, *lines: bytes, start: bytes = b"HTTP/1.1 200 OK", is_request_complete: bool = True) -> None:
        """Begin with the head of a server."""
        self.writer.start(self.understood(*lines, start=start), b"f00-1", is_request_complete=is_request_complete)

    def understood(self, *lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> Response:
        """What a server answers."""
        head, offer = self.request.head, self.request.framing.websocket
        return ResponseReader().read(response(*lines, start=start), LIMITS.head, head.method, offer)

    def stays(self) -> bool:
        """Whether the connection may take another request once the answer is complete."""
        self.writer.complete()
        ((told, persistence),) = self.client.told()[-1:]
        assert told == "finished"
        return persistence is not Persistence.CLOSE

    @property
    def sent(self) -> bytes:
        """All that the client got."""
        return b"".join(self.client.writes)


def test_each_answer_says_where_http_3_is_served_once_that_is_known() -> None:
    case = Case()
    alternative = AlternativeService()
    writer = Http1Writer(case.client, Stamps(lambda: WALL_CLOCK), case.request, alternative)
    ours = OwnAnswer(404, b"Not Found", b"X: y\r\n", b"")
    writer.answer(ours, stays=True)
    assert b"Alt-Svc" not in case.sent
    alternative.say(http3_at(443, 60))
    writer.answer(ours, stays=True)
    writer.start(case.understood(b"Content-Length: 0"), b"f00-1", is_request_complete=True)
    writer.flush()
    assert case.sent.count(b'\r\nAlt-Svc: h3=":443"; ma=60\r\n') == 2


@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize("stays", [True, False])
def test_client_is_told_what_becomes_of_its_connection(minor: int, *, stays: bool) -> None:
    case = Case(start=b"GET / HTTP/1.%d" % minor)
    case.writer.answer(OwnAnswer(404, b"Not Found", b"X: y\r\n", b"no"), stays=stays)
    connection = {(1, True): b"", (0, True): b"Connection: keep-alive\r\n"}.get(
        (minor, stays), b"Connection: close\r\n"
    )
    assert case.sent == b"HTTP/1.1 404 Not Found\r\nX: y\r\n" + connection + b"\r\nno"
    assert case.stays() is stays


@pytest.mark.parametrize(("persistence", "value"), [(Persistence.IMPLICIT, b""), (Persistence.CLOSE, b"close, ")])
def test_upgrade_is_named_as_an_option_of_the_connection(persistence: Persistence, value: bytes) -> None:
    made = whole_answer(OwnAnswer(426, b"Upgrade Required", b"", b""), persistence)
    assert made == b"HTTP/1.1 426 Upgrade Required\r\nConnection: " + value + b"Upgrade\r\n\r\n"


def test_connection_takes_another_request_where_both_sides_and_the_message_allow_it() -> None:
    for case, is_complete, stays in (
        (Case(), True, True),
        (Case(), False, False),
        (Case(may_stay=False), True, False),
        (Case(b"Connection: close"), True, False),
        (Case(*WEBSOCKET), True, False),
    ):
        case.respond(b"Content-Length: 0", is_request_complete=is_complete)
        assert case.stays() is stays


def test_head_and_body_of_one_read_are_sent_as_one_piece() -> None:
    case = Case()
    assert case.writer.flush() == 0
    case.respond(b"Content-Length: 5")
    case.writer.data(b"hel")
    case.writer.data(b"lo")
    case.writer.end([])
    assert case.writer.flush() == len(case.sent)
    assert case.client.writes == [case.sent]
    assert case.sent.endswith(b"Content-Length: 5\r\n\r\nhello")


def test_body_of_unknown_length_is_chunked_and_ends_with_its_trailer_fields() -> None:
    case = Case(b"Connection: TE", b"TE: trailers")
    case.respond(CHUNKED)
    case.writer.data(b"hello")
    case.writer.end([(b"X-Sum", b"1"), (b"Content-Length", b"5")])
    case.writer.flush()
    assert case.sent.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")


def test_client_is_invited_informed_and_switched_at_once() -> None:
    case = Case(*WEBSOCKET)
    case.writer.invite()
    case.writer.informational(case.understood(b"Link: </a>", start=b"HTTP/1.1 103 Early Hints"))
    case.writer.switch(
        case.understood(
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Accept: " + accept_value(KEY),
            start=b"HTTP/1.1 101 Switching Protocols",
        ),
        b"f00-1",
    )
    invited, informed, switched = case.client.writes
    assert invited == CONTINUE
    assert informed == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert switched.startswith(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n")


def test_what_was_not_understood_is_answered_as_http_1_1() -> None:
    client = FakeClient()
    Http1Writer(client, Stamps(lambda: WALL_CLOCK), None).answer(OwnAnswer(400, b"Bad Request", b"", b""), stays=False)
    assert client.writes == [b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"]
